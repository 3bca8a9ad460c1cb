//! Texts that are mostly the same few: static ones cost nothing, others are shared.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A text of a match.
#[derive(Clone)]
pub(crate) enum Text {
    /// One of the program's own.
    Fixed(&'static str),
    /// Any other.
    Shared(Arc<str>),
}

impl Text {
    /// The empty text.
    pub(crate) const EMPTY: Text = Text::Fixed("");
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Fixed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Text::Fixed(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text::Shared(text.into())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Appends a number in decimal.
pub(crate) fn number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    let mut left = value;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        used += 1;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}
