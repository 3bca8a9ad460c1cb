//! The url of a polled source: `https://host/matches/{ID}/events?key={TOKEN:/data/key}`.
//!
//! Invariants: http or https; the host is written out, so that no answer decides where a request goes; no login in it. What fills a place is
//! percent-encoded, so it can be neither a path nor a parameter of its own.

use super::units::as_text;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UrlPart {
    Text(String),
    /// The id of the match.
    Id,
    /// What a JSON pointer finds in the newest answer of another source.
    Answer {
        source: String,
        pointer: String,
    },
}

/// Empty by default, which is no url.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UrlTemplate {
    text: String,
    parts: Vec<UrlPart>,
}

impl UrlTemplate {
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn has_id(&self) -> bool {
        self.parts.contains(&UrlPart::Id)
    }

    /// The sources whose answers it needs, with the pointers, in order.
    pub fn answers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.iter().filter_map(|part| match part {
            UrlPart::Text(_) | UrlPart::Id => None,
            UrlPart::Answer { source, pointer } => Some((source.as_str(), pointer.as_str())),
        })
    }

    /// The url with every place filled: the id, and `value(source, pointer)`.
    ///
    /// # Errors
    /// The first source and pointer whose value is unknown or empty.
    pub fn fill<'v, 't>(
        &'t self,
        id: &str,
        mut value: impl FnMut(&str, &str) -> Option<Cow<'v, str>>,
    ) -> Result<String, (&'t str, &'t str)> {
        let mut filled = String::with_capacity(self.text.len() + 16);
        for part in &self.parts {
            match part {
                UrlPart::Text(text) => filled.push_str(text),
                UrlPart::Id => encode(id, &mut filled),
                UrlPart::Answer { source, pointer } => {
                    let value = value(source, pointer).filter(|value| !value.is_empty());
                    encode(&value.ok_or((source.as_str(), pointer.as_str()))?, &mut filled);
                }
            }
        }
        Ok(filled)
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986, section 2.3.
pub fn encode(text: &str, into: &mut String) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Whether `text` is a JSON pointer (RFC 6901).
pub fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escapes && !text.chars().any(char::is_control)
}

impl FromStr for UrlTemplate {
    type Err = UrlTemplateError;

    fn from_str(text: &str) -> Result<Self, UrlTemplateError> {
        check_authority(text)?;
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            let inside = brace.strip_prefix('{').ok_or(UrlTemplateError::Brace)?;
            let (inside, after) = inside.split_once('}').ok_or(UrlTemplateError::Brace)?;
            if !before.is_empty() {
                parts.push(UrlPart::Text(before.to_owned()));
            }
            parts.push(place(inside)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(UrlPart::Text(rest.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

fn check_authority(text: &str) -> Result<(), UrlTemplateError> {
    let (scheme, rest) = text.split_once("://").ok_or(UrlTemplateError::Scheme)?;
    if !matches!(scheme, "http" | "https") {
        return Err(UrlTemplateError::Scheme);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(UrlTemplateError::Login);
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if authority.is_empty() || !authority.chars().all(is_plain) {
        return Err(UrlTemplateError::Host);
    }
    if text.chars().any(|c| c.is_control() || matches!(c, ' ' | '#' | '\\')) {
        return Err(UrlTemplateError::Character);
    }
    Ok(())
}

fn place(inside: &str) -> Result<UrlPart, UrlTemplateError> {
    if inside == "ID" {
        return Ok(UrlPart::Id);
    }
    let (source, pointer) = inside.split_once(':').ok_or(UrlTemplateError::Place)?;
    if source.is_empty() || !is_pointer(pointer) {
        return Err(UrlTemplateError::Place);
    }
    Ok(UrlPart::Answer { source: source.to_owned(), pointer: pointer.to_owned() })
}

impl fmt::Display for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(UrlTemplate, "a url as text, such as \"https://host/matches/{ID}\"");

/// What is wrong with a url. It is not repeated: it might carry a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlTemplateError {
    Scheme,
    Login,
    Host,
    Character,
    /// A brace without the other.
    Brace,
    /// What stands between the braces is neither an id nor a pointer into an answer.
    Place,
}

impl fmt::Display for UrlTemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "bad scheme of a url, expected http:// or https:// and then a host",
            Self::Login => "a login in a url, expected it in `headers_env` or `headers_file`",
            Self::Host => "bad host in a url, expected it written out: a name or an address",
            Self::Character => "bad character in a url, expected neither spaces nor `#`",
            Self::Brace => "open brace in a url, expected `{ID}` or `{NAME:/pointer}`",
            Self::Place => {
                "bad place in a url, expected `{ID}` or `{NAME:/pointer}`: the name of a source and a JSON pointer"
            }
        })
    }
}

impl std::error::Error for UrlTemplateError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_encoded() {
        let url: UrlTemplate = "https://h:1/m/{ID}?k={token:/a/0}".parse().unwrap();
        assert!(url.has_id());
        assert_eq!(url.answers().collect::<Vec<_>>(), [("token", "/a/0")]);
        let filled = url.fill("a/ü", |_, _| Some("x&y".into()));
        assert_eq!(filled.as_deref(), Ok("https://h:1/m/a%2F%C3%BC?k=x%26y"));
        assert_eq!(url.fill("a", |_, _| None), Err(("token", "/a/0")));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (text, why) in [
            ("file:///etc/passwd", UrlTemplateError::Scheme),
            ("h/x", UrlTemplateError::Scheme),
            ("https://u:p@h/", UrlTemplateError::Login),
            ("https://{ID}/x", UrlTemplateError::Host),
            ("https:///x", UrlTemplateError::Host),
            ("https://h/a b", UrlTemplateError::Character),
            ("https://h/{ID", UrlTemplateError::Brace),
            ("https://h/ID}", UrlTemplateError::Brace),
            ("https://h/{NAME}", UrlTemplateError::Place),
            ("https://h/{a:b}", UrlTemplateError::Place),
        ] {
            assert_eq!(text.parse::<UrlTemplate>(), Err(why), "{text}");
        }
        assert!(is_pointer("") && is_pointer("/a~1b/0") && !is_pointer("a") && !is_pointer("/a~2"));
    }
}
