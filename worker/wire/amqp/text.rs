//! Short texts: at most 255 bytes, as names, routing keys and reasons travel.

use std::fmt;

/// The longest, in bytes.
const MOST: usize = 255;

/// A text of at most 255 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Short(String);

impl Short {
    /// The text, if it is short enough.
    pub fn new(text: impl Into<String>) -> Option<Short> {
        let text = text.into();
        (text.len() <= MOST).then_some(Short(text))
    }

    /// As much of the text as travels: for what only people read.
    pub fn cut(text: &str) -> Short {
        Short(text.get(..text.floor_char_boundary(MOST)).unwrap_or_default().to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Cast: no longer than 255 bytes, as the type says.
        out.push(self.0.len() as u8);
        out.extend_from_slice(self.0.as_bytes());
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
