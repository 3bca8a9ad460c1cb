//! What is stored of people.

use super::value::Text;
use ring::hmac;
use std::borrow::Cow;

/// What becomes of a user's name.
#[derive(Clone, Copy)]
pub enum UserForm {
    /// It is kept as it came.
    Keep,
    /// The first 16 hexadecimal digits of an HMAC-SHA-256 of the user's id under this key take its place.
    Hash([u8; 32]),
    Drop,
}

/// [`UserForm`] with its key ready for use.
pub(super) enum People {
    Keep,
    Hash(hmac::Key),
    Drop,
}

impl From<UserForm> for People {
    fn from(form: UserForm) -> People {
        match form {
            UserForm::Keep => People::Keep,
            UserForm::Hash(key) => People::Hash(hmac::Key::new(hmac::HMAC_SHA256, &key)),
            UserForm::Drop => People::Drop,
        }
    }
}

impl People {
    /// A user as it is stored; empty if nothing is known or stored of them.
    pub(super) fn shown<'a>(&self, id: &Text<'_>, name: &'a str) -> Cow<'a, str> {
        match self {
            People::Keep => name.into(),
            People::Drop => "".into(),
            People::Hash(key) => id.id().map_or_else(|| "".into(), |id| hashed(key, id).into()),
        }
    }
}

fn hashed(key: &hmac::Key, id: &str) -> String {
    let tag = hmac::sign(key, id.as_bytes());
    let first = tag.as_ref().first_chunk::<8>().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(first))
}
