//! Text with places for attributes: `6V{ID}`, `{CL.ID}-{ID}`.
//!
//! Invariant: a parsed template has no open brace and no empty key. The worker fills a match's id from its list's
//! nodes, the pool a match's topics from what the worker reported of them.

use super::units::as_text;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Text(String),
    /// An attribute's value: `KEY` is the event node's own, `TYPE.KEY` the nearest ancestor's of that type.
    Attribute(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

impl Part {
    /// The event node's attribute `key`.
    pub(super) fn attribute(key: &str) -> Self {
        Self::Attribute(key.to_owned())
    }
}

impl Template {
    /// A built-in template with its parts, so that a default needs no parsing; a test compares the two.
    pub(super) fn of(text: &str, parts: &[Part]) -> Self {
        Self { text: text.to_owned(), parts: parts.to_vec() }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the attributes that it has places for, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Attribute(name) => Some(name.as_str()),
        })
    }

    /// The text with every place filled by `value(name)`.
    ///
    /// # Errors
    /// The first name whose value is unknown or empty.
    pub fn fill<'v, 't>(
        &'t self,
        mut value: impl FnMut(&str) -> Option<Cow<'v, str>>,
    ) -> Result<String, &'t str> {
        let mut filled = String::with_capacity(self.text.len() + 16);
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Attribute(name) => {
                    filled.push_str(&value(name).filter(|value| !value.is_empty()).ok_or(name.as_str())?);
                }
            }
        }
        Ok(filled)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            let inside = brace.strip_prefix('{').ok_or(TemplateError::Unopened)?;
            let (inside, after) = inside.split_once('}').ok_or(TemplateError::Open)?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(attribute(inside)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.is_empty() { Err(TemplateError::Empty) } else { Ok(Self { text: text.to_owned(), parts }) }
    }
}

fn attribute(inside: &str) -> Result<Part, TemplateError> {
    let name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let (ancestor, key) = match inside.split_once('.') {
        Some((ancestor, key)) => (Some(ancestor), key),
        None => (None, inside),
    };
    if !name(key) || !ancestor.is_none_or(name) {
        return Err(if inside.contains('{') { TemplateError::Open } else { TemplateError::Key });
    }
    Ok(Part::Attribute(inside.to_owned()))
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(Template, "a template as text, such as \"6V{ID}\"");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateError {
    Empty,
    /// `{` without `}`.
    Open,
    /// `}` without `{`.
    Unopened,
    /// What stands between the braces is no key.
    Key,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty template, expected text with places such as `{ID}`",
            Self::Open => "open template brace, expected `}` after the key, as in `{ID}`",
            Self::Unopened => "template brace closed without being opened, expected `{KEY}`",
            Self::Key => "bad key in a template, expected `{KEY}` or `{ANCESTOR.KEY}` of letters and digits",
        })
    }
}

impl std::error::Error for TemplateError {}
