//! A password that cannot be printed by accident.
//!
//! Invariant: it has no `Display`, and neither `Debug` nor serialisation shows it; what needs it calls [`Secret::expose`].
//! It reaches the children only by `Config::to_child_json`.

use serde::{Serialize, Serializer};
use std::fmt;

/// What stands for a secret wherever something is printed.
pub const REDACTED: &str = "<redacted>";

/// Words in the name of a key or a header whose value is not shown.
const SECRET_WORDS: [&str; 9] =
    ["password", "passwd", "secret", "token", "credential", "authorization", "cookie", "api-key", "apikey"];

pub(super) fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}
