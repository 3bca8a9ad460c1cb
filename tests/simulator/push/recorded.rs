//! A recorded stream of an exchange that is served as one topic: each line as it stands in the file, however often it is asked for.
//!
//! Its first line holds the whole, so whoever subscribes is sent all lines from the beginning; whoever shows a token of one of them, those
//! behind it. Lines of other topics are passed over.

use serde_json::Value;
use std::collections::HashMap;
use std::io;
use std::path::Path;

#[derive(Clone, Debug)]
pub(super) struct Recording {
    /// The topic that the lines are of.
    pub(super) id: String,
    lines: Vec<String>,
    /// Behind which line a client with this token is.
    tokens: HashMap<String, usize>,
}

impl Recording {
    /// Reads a file with one message a line.
    ///
    /// # Errors
    /// When it cannot be read, or holds no message of a topic.
    pub(super) fn read(path: &Path) -> io::Result<Recording> {
        let text = std::fs::read_to_string(path)?;
        let mut found = Recording { id: String::new(), lines: Vec::new(), tokens: HashMap::new() };
        for line in text.lines() {
            let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
            let Some(id) = message.pointer("/mc/0/id").and_then(Value::as_str) else { continue };
            if found.id.is_empty() {
                id.clone_into(&mut found.id);
            }
            if found.id != id {
                continue;
            }
            found.lines.push(line.to_owned());
            if let Some(token) = message.get("clk").and_then(Value::as_str) {
                found.tokens.insert(token.to_owned(), found.lines.len());
            }
        }
        if found.lines.is_empty() {
            let what = format!("{}: no line with a topic at /mc/0/id", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(found)
    }

    /// Behind which line a client with this token is.
    pub(super) fn behind(&self, token: &str) -> Option<usize> {
        self.tokens.get(token).copied()
    }

    /// At most `count` lines behind the first `sent`.
    pub(super) fn next(&self, sent: usize, count: usize) -> &[String] {
        let to = sent.saturating_add(count).min(self.lines.len());
        self.lines.get(sent..to).unwrap_or_default()
    }
}
