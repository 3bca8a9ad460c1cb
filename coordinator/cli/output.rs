//! Standard output and standard error, without panics.
//!
//! Invariant: a closed pipe ends the program with success: whoever reads has seen enough. Everything that a feed wrote
//! goes through [`clean`], so that no name of a team moves a cursor.

use super::{Code, OutputFormat};
use serde::Serialize;
use serde_json::json;
use std::borrow::Cow;
use std::io::{self, BufWriter, ErrorKind, Write};

/// Why a verb ended before its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// Standard output is closed: success.
    Closed,
    /// Standard output cannot be written.
    Output(io::Error),
    /// Something to be printed on standard error, in a line after the program's name.
    Line(Code, String),
    Report(Code, String),
}

impl Failure {
    pub(super) fn new(code: Code, text: impl Into<String>) -> Self {
        Self::Line(code, text.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::Closed } else { Self::Output(error) }
    }
}

impl From<touchline_common::control::ControlError> for Failure {
    fn from(error: touchline_common::control::ControlError) -> Self {
        Self::Line(error.code(), error.to_string())
    }
}

pub(super) type Outcome = Result<Code, Failure>;

/// Who reads standard output, which decides how lines are written that have several forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    People,
    Programs,
}

/// Buffered standard output, or whatever stands for it in a test.
pub(super) struct Printer<'w> {
    out: BufWriter<&'w mut dyn Write>,
    audience: Audience,
}

impl<'w> Printer<'w> {
    pub(super) fn new(out: &'w mut dyn Write, audience: Audience) -> Self {
        Self { out: BufWriter::new(out), audience }
    }

    pub(super) fn audience(&self) -> Audience {
        self.audience
    }

    pub(super) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.out.write_all(text.as_ref().as_bytes())?;
        Ok(self.out.write_all(b"\n")?)
    }

    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.out, value).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// A text of its own, such as a man page; to programs an object with it.
    pub(super) fn page(&mut self, text: &str, format: OutputFormat) -> Result<(), Failure> {
        match format {
            OutputFormat::Text => self.bytes(text.as_bytes()),
            OutputFormat::Json => self.json(&json!({ "text": text })),
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.out.write_all(bytes)?)
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}

/// Reports the outcome, on `err` to people and as an object on standard output to programs, and gives its code.
pub(super) fn settle(
    outcome: Outcome,
    format: OutputFormat,
    out: &mut Printer<'_>,
    err: &mut dyn Write,
) -> Code {
    let failure = match outcome {
        Ok(code) => return code,
        Err(failure) => failure,
    };
    let failure = match (format, failure) {
        (OutputFormat::Json, Failure::Line(code, text) | Failure::Report(code, text)) => {
            let object = json!({"ok": false, "code": u8::from(code), "error": text});
            match out.json(&object).and_then(|()| out.flush()) {
                Ok(()) | Err(Failure::Closed) => return code,
                Err(failure) => failure,
            }
        }
        (_, failure) => failure,
    };
    // There is nowhere left to report that standard error cannot be written.
    match failure {
        Failure::Closed => Code::Done,
        Failure::Output(error) => {
            let _ = writeln!(err, "touchline: cannot write to standard output: {error}");
            Code::Failed
        }
        Failure::Line(code, text) => {
            let _ = writeln!(err, "touchline: {}", clean_lines(&text));
            code
        }
        Failure::Report(code, text) => {
            let _ = writeln!(err, "{}", clean_lines(&text));
            code
        }
    }
}

/// What is wrong with the arguments, of the parser's page about it: without the usage, tips in parentheses.
pub(super) fn usage_line(page: &str) -> String {
    if !page.starts_with("error: ") {
        return "no verb given: see `touchline --help`".to_owned();
    }
    let lines = page.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let told = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let words: Vec<String> = told
        .map(|line| match line.strip_prefix("tip: ") {
            Some(tip) => format!("({tip})"),
            None => line.strip_prefix("error: ").unwrap_or(line).to_owned(),
        })
        .collect();
    words.join(" ")
}

/// Text from elsewhere, fit for a terminal: control characters and the like are escaped.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| if is_unsafe(c) { c.escape_unicode().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}

fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
