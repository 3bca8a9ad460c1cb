//! From text to a configuration, collecting every mistake on the way.
//!
//! Three passes: syntax; types and keys, taking out what cannot be read and going on with the rest; values, where each
//! setting is compared with the others. A setting that could not be read is not judged a second time.

use super::locate::{Place, remove};
use super::report::{ConfigErrors, MAX_MISTAKES, Mistake};
use super::{Config, unbuilt, values};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

/// Mistakes as they are found, with the paths that are already known to be wrong.
pub(super) struct Findings<'d> {
    document: &'d DeTable<'d>,
    unread: Vec<Place>,
    mistakes: Vec<Mistake>,
}

impl Findings<'_> {
    /// Adds what is wrong with the setting at `place` and what was expected there.
    pub(super) fn add(&mut self, place: &Place, message: impl Into<String>, expected: impl Into<String>) {
        self.add_related(place, message, expected, None);
    }

    /// As [`Findings::add`], with another place that belongs to it and what to say there.
    pub(super) fn add_related(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        expected: impl Into<String>,
        related: Option<(Place, &str)>,
    ) {
        if self.unread.contains(place) {
            return;
        }
        let related = related.map(|(place, label)| (place.find(self.document), label.to_owned()));
        self.mistakes.push(Mistake {
            setting: place.to_string(),
            message: message.into(),
            expected: expected.into(),
            span: place.find(self.document),
            related,
            ..Mistake::default()
        });
    }

    pub(super) fn is_written(&self, place: &Place) -> bool {
        place.is_written(self.document)
    }
}

pub(super) fn parse(text: &str, file: &str) -> Result<Config, ConfigErrors> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        let mistakes = syntax.iter().map(syntax_mistake).collect();
        return Err(ConfigErrors::new(file, text, mistakes));
    }
    let (config, unread, mistakes) = read(&document);
    let mut findings = Findings { document: document.get_ref(), unread, mistakes };
    let config = config.map(|mut config| {
        values::check(&mut config, &mut findings);
        unbuilt::check(&config, &mut findings);
        config
    });
    match config {
        Some(config) if findings.mistakes.is_empty() => Ok(config),
        Some(_) | None => Err(ConfigErrors::new(file, text, findings.mistakes)),
    }
}

/// Reads the types, taking each setting that cannot be read out of a copy until the rest can.
fn read(document: &Spanned<DeTable<'_>>) -> (Option<Config>, Vec<Place>, Vec<Mistake>) {
    let mut rest = document.clone();
    let (mut unread, mut mistakes) = (Vec::new(), Vec::new());
    while mistakes.len() < MAX_MISTAKES {
        let error = match Config::deserialize(Deserializer::from(rest.clone())) {
            Ok(config) => return (Some(config), unread, mistakes),
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let place = remove(rest.get_mut(), &span);
        let (message, expected) = if is_single_feed(place.as_ref(), error.message()) {
            let message = "`[feed]` is a single table, but there may be several feeds";
            (message.to_owned(), "write `[[feed]]`".to_owned())
        } else {
            reworded(error.message())
        };
        let setting = place.as_ref().map(Place::to_string).unwrap_or_default();
        mistakes.push(Mistake { setting, message, expected, span, ..Mistake::default() });
        let Some(place) = place else { break };
        unread.push(place);
    }
    (None, unread, mistakes)
}

fn is_single_feed(place: Option<&Place>, message: &str) -> bool {
    place.is_some_and(|place| place.to_string() == "feed") && message.starts_with("invalid type: map")
}

fn syntax_mistake(error: &toml::de::Error) -> Mistake {
    let (message, expected) = reworded(error.message());
    Mistake { message, expected, span: error.span().unwrap_or(0..0), ..Mistake::default() }
}

/// Splits a parser's message into what is wrong and what was expected; an unknown key gets a suggestion instead of
/// the list of all thirty.
fn reworded(message: &str) -> (String, String) {
    let message = message.lines().next().unwrap_or_default();
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let Some(key) = what.strip_prefix("unknown field `").and_then(|rest| rest.strip_suffix('`')) else {
        let expected = match expected {
            "" => String::new(),
            expected => format!("expected {}", in_plain_words(expected)),
        };
        return (what.replace("unknown variant", "unknown value"), expected);
    };
    let known = expected.split('`').skip(1).step_by(2);
    let expected = match nearest(key, known) {
        _ if key.contains("password") => "expected `password_env` or `password_file`".to_owned(),
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected {expected}"),
    };
    (format!("unknown key `{key}`"), expected)
}

/// What a parser calls by the names of its types, as whoever writes the file calls it.
fn in_plain_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number up to 255",
        "u16" => "a whole number up to 65535",
        "u32" => "a whole number up to 4294967295",
        "u64" | "usize" => "a whole number of at least 0",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "text in quotes",
        "path string" => "a path in quotes",
        "a sequence" => "a list in brackets, such as [\"a\", \"b\"]",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

/// The most similar of the known words, if any is similar: by letters to change, where two that changed places count as one.
/// Words beyond 64 bytes are far from everything.
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    known
        .filter(|other| word.len() <= 64 && other.len() <= 64)
        .map(|other| (strsim::osa_distance(word, other), other))
        .filter(|(far, _)| *far <= allowed)
        .min()
        .map(|(_, near)| near)
}
