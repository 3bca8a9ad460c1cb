//! JSON pointers as the configuration writes them: RFC 6901 with two steps more, which find instead of name.
//!
//! `[member=value]` is the first item of an array (the first value of an object) whose member has that text; `*` is the first item for
//! which the rest of the pointer leads to something, and each of them where a list is meant. Beside `~0` and `~1`, `~2` stands for a
//! `*` and `~3` for a `[` that is part of a name. Invariant: `Display` writes what was read. The worker's `json` payload follows them.

use super::units::as_text;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Steps of a pointer at most.
const MAX_STEPS: usize = 32;
/// Bytes of a pointer at most.
const MAX_TEXT: usize = 512;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PointerStep {
    /// A member of an object, or the place in an array, from 0.
    Member(String),
    /// `*`.
    Any,
    /// `[member=value]`.
    Having { member: String, value: String },
}

/// Where in a JSON value something stands; the empty text is the whole value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pointer {
    text: String,
    steps: Vec<PointerStep>,
}

impl Pointer {
    /// To a member whose name needs no escape.
    pub(super) fn member(name: &str) -> Pointer {
        Pointer { text: format!("/{name}"), steps: vec![PointerStep::Member(name.to_owned())] }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn steps(&self) -> &[PointerStep] {
        &self.steps
    }
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        if text.len() > MAX_TEXT {
            return Err(PointerError::Long);
        }
        let Some(rest) = text.strip_prefix('/') else {
            return if text.is_empty() { Ok(Pointer::default()) } else { Err(PointerError::Start) };
        };
        let steps = rest.split('/').map(step).collect::<Result<Vec<_>, _>>()?;
        if steps.len() > MAX_STEPS {
            return Err(PointerError::Long);
        }
        Ok(Pointer { text: text.to_owned(), steps })
    }
}

fn step(text: &str) -> Result<PointerStep, PointerError> {
    if text == "*" {
        return Ok(PointerStep::Any);
    }
    let Some(inside) = text.strip_prefix('[') else { return Ok(PointerStep::Member(unescaped(text)?)) };
    let inside = inside.strip_suffix(']').ok_or(PointerError::Bracket)?;
    let (member, value) = inside.split_once('=').ok_or(PointerError::Bracket)?;
    if member.is_empty() {
        return Err(PointerError::Bracket);
    }
    Ok(PointerStep::Having { member: unescaped(member)?, value: unescaped(value)? })
}

fn unescaped(text: &str) -> Result<String, PointerError> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        out.push(match (char, char == '~') {
            (plain, false) => plain,
            (_, true) => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                Some('2') => '*',
                Some('3') => '[',
                Some(_) | None => return Err(PointerError::Escape),
            },
        });
    }
    Ok(out)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(Pointer, "a JSON pointer as text, such as \"/data/id\"");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerError {
    Start,
    Escape,
    /// `[` without `member=value]`.
    Bracket,
    Long,
}

impl fmt::Display for PointerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => {
                "a JSON pointer begins with `/`, expected such as \"/data/id\", or \"\" for the whole"
            }
            Self::Escape => {
                "`~` in a JSON pointer is followed by 0 (`~`), 1 (`/`), 2 (`*`) or 3 (`[`), as in \"/a~1b\""
            }
            Self::Bracket => "a step that begins with `[` finds an item, expected `[member=value]`",
            Self::Long => "a JSON pointer of more than 32 steps or 512 bytes",
        })
    }
}

impl std::error::Error for PointerError {}

/// One pointer or several. What several mean (the first that finds something, or all, joined) is said where they are used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pointers(pub Vec<Pointer>);

impl Serialize for Pointers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Pointers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Pointers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON pointer or an array of them, such as \"/id\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Pointers, E> {
                Ok(Pointers(vec![text.parse().map_err(E::custom)?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Pointers, A::Error> {
                let mut all = Vec::new();
                while let Some(pointer) = items.next_element()? {
                    all.push(pointer);
                }
                Ok(Pointers(all))
            }
        }

        deserializer.deserialize_any(OneOrSeveral)
    }
}

/// A text that is always the same, or where it stands: what begins with `/` is a pointer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextOrPointer {
    Text(String),
    At(Pointer),
}

impl FromStr for TextOrPointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        Ok(if text.starts_with('/') { Self::At(text.parse()?) } else { Self::Text(text.to_owned()) })
    }
}

impl fmt::Display for TextOrPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::At(pointer) => pointer.fmt(f),
        }
    }
}

as_text!(TextOrPointer, "a text such as \"soccer\", or a JSON pointer such as \"/sport/slug\"");

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<PointerStep> {
        text.parse::<Pointer>().unwrap().steps().to_vec()
    }

    fn member(name: &str) -> PointerStep {
        PointerStep::Member(name.to_owned())
    }

    #[test]
    fn names_are_unescaped_and_the_text_is_kept() {
        assert_eq!(steps(""), []);
        assert_eq!(steps("/"), [member("")]);
        assert_eq!(
            steps("/a~1b/m~0n/~01/ /é"),
            [member("a/b"), member("m~n"), member("~1"), member(" "), member("é")]
        );
        assert_eq!(steps("/~2/~3x]"), [member("*"), member("[x]")]);
        assert_eq!("/a~1b/*".parse::<Pointer>().unwrap().to_string(), "/a~1b/*");
    }

    #[test]
    fn steps_that_find() {
        let having =
            |member: &str, value: &str| PointerStep::Having { member: member.into(), value: value.into() };
        assert_eq!(
            steps("/groups/*/items/[key=a~1b=c]/0"),
            [member("groups"), PointerStep::Any, member("items"), having("key", "a/b=c"), member("0")]
        );
        assert_eq!(steps("/[key=]"), [having("key", "")]);
    }

    #[test]
    fn what_is_no_pointer_says_why() {
        let error = |text: &str| text.parse::<Pointer>().unwrap_err();
        assert_eq!(error("id"), PointerError::Start);
        assert_eq!(error("/a~"), PointerError::Escape);
        assert_eq!(error("/a~4"), PointerError::Escape);
        for text in ["/[", "/[a]", "/[=b]", "/[a=b"] {
            assert_eq!(error(text), PointerError::Bracket, "{text}");
        }
        assert_eq!(error(&"/a".repeat(33)), PointerError::Long);
        assert_eq!(error(&format!("/{}", "a".repeat(512))), PointerError::Long);
    }

    #[test]
    fn a_text_or_where_it_stands() {
        assert_eq!("soccer".parse(), Ok(TextOrPointer::Text("soccer".to_owned())));
        assert_eq!("/sport".parse(), Ok(TextOrPointer::At("/sport".parse().unwrap())));
        assert_eq!("/~".parse::<TextOrPointer>(), Err(PointerError::Escape));
    }
}
