//! Settings that are well written and cannot be used as things are: a file that is not there, a variable that is not set.
//!
//! Who looks outside the configuration finds them; here they get their places in the file, so that they read like any other mistake.

use super::locate::Place;
use super::report::{ConfigErrors, Mistake};
use std::path::Path;
use toml::de::DeTable;

#[derive(Clone, Debug)]
pub struct Unusable {
    place: Place,
    message: String,
    /// What was expected, in one line; empty if the message has it.
    expected: String,
}

impl Unusable {
    /// `key` of the `[[feed]]` at `index`.
    pub fn of_feed(
        index: usize,
        key: &str,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) -> Unusable {
        Unusable { place: Place::feed(index, key), message: message.into(), expected: expected.into() }
    }

    /// `key` of another table.
    pub fn of_table(
        table: &str,
        key: &str,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) -> Unusable {
        Unusable { place: Place::key(table, key), message: message.into(), expected: expected.into() }
    }
}

impl ConfigErrors {
    /// What cannot be used of the file at `path`, each at its place there.
    pub fn unusable(path: &Path, found: Vec<Unusable>) -> ConfigErrors {
        let text = match super::read(path) {
            Ok(text) => text,
            Err(errors) => return errors,
        };
        let (document, _) = DeTable::parse_recoverable(&text);
        let mistakes = found.into_iter().map(|wrong| Mistake {
            setting: wrong.place.to_string(),
            span: wrong.place.find(document.get_ref()),
            message: wrong.message,
            expected: wrong.expected,
            ..Mistake::default()
        });
        ConfigErrors::new(&path.display().to_string(), &text, mistakes.collect())
    }
}
