//! Texts with places for attributes of the list's event node: `6V{ID}`, `{C1}{T1}M{CL.ID}`.

use std::fmt;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `{KEY}` or `{TYPE.KEY}`, without the braces.
    Place(String),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A `{` without its `}`, at this byte.
    Open(usize),
    /// A `}` without its `{`, at this byte.
    Close(usize),
    /// What stands between the braces is neither `KEY` nor `TYPE.KEY`, at this byte.
    Name(usize),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(at) => write!(f, "the {{ at character {} has no }}", at + 1),
            Self::Close(at) => write!(f, "the }} at character {} has no {{", at + 1),
            Self::Name(at) => {
                write!(
                    f,
                    "between the braces at character {} expected KEY or TYPE.KEY, such as {{ID}}",
                    at + 1
                )
            }
        }
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Braces that do not match, or hold no name.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let (mut rest, mut at) = (text, 0);
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(brace);
            if from.starts_with('}') {
                return Err(TemplateError::Close(at + brace));
            }
            let end = from.find('}').ok_or(TemplateError::Open(at + brace))?;
            let name = from.get(1..end).unwrap_or_default();
            if !is_name(name) {
                return Err(TemplateError::Name(at + brace));
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Place(name.to_owned()));
            at += brace + end + 1;
            rest = from.get(end + 1..).unwrap_or_default();
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The names between the braces, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Place(name) => Some(name.as_str()),
        })
    }

    /// The text with each place filled; `None` if one of them has no value or an empty one.
    pub fn fill<'a>(
        &self,
        mut value: impl FnMut(&str) -> Option<std::borrow::Cow<'a, str>>,
    ) -> Option<String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Place(name) => {
                    let value = value(name).filter(|value| !value.is_empty())?;
                    out.push_str(&value);
                }
            }
        }
        Some(out)
    }

    /// As [`Template::fill`], from a listing's attributes.
    pub fn fill_from(&self, attributes: &[(String, String)]) -> Option<String> {
        self.fill(|name| {
            attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str().into())
        })
    }
}

fn is_name(name: &str) -> bool {
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    match name.split_once('.') {
        Some((kind, key)) => word(kind) && word(key),
        None => word(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_or_the_whole_is_nothing() {
        let template = Template::parse("6V{ID}-{CL.ID}.x").unwrap();
        assert_eq!(template.names().collect::<Vec<_>>(), ["ID", "CL.ID"]);
        let attributes = [("ID".to_owned(), "7".to_owned()), ("CL.ID".to_owned(), "1".to_owned())];
        assert_eq!(template.fill_from(&attributes).as_deref(), Some("6V7-1.x"));
        assert_eq!(template.fill_from(&attributes[..1]), None);
        assert_eq!(Template::parse("plain").unwrap().fill_from(&[]).as_deref(), Some("plain"));
    }

    #[test]
    fn what_is_no_template_says_where() {
        assert_eq!(Template::parse("a{ID"), Err(TemplateError::Open(1)));
        assert_eq!(Template::parse("a}b"), Err(TemplateError::Close(1)));
        assert_eq!(Template::parse("{ID}{}"), Err(TemplateError::Name(4)));
        assert_eq!(Template::parse("{a.b.c}"), Err(TemplateError::Name(0)));
        assert_eq!(Template::parse("{{ID}}"), Err(TemplateError::Name(0)));
    }
}
