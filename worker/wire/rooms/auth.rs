//! What rooms are joined with: a small TOML file, read at each join, so that a token can be exchanged while the program runs.
//!
//! ```toml
//! variant = "current"          # or "old": a join without a token, of `uid` alone
//! uid = 0                      # 0: not logged in
//! key = "…"                    # the token
//! protover = 3                 # 0, 1: bodies as they are; 2: zlib; 3: brotli
//! platform = "web"
//! buvid = "…"                  # any further member is sent as it stands
//! ```
//!
//! No error and no `Debug` shows a value: they are secrets.

use serde_json::{Map, Value};
use std::fmt;
use toml::Table;

#[derive(Clone, PartialEq, Eq)]
pub enum JoinAuth {
    /// Room and user alone.
    Old { uid: u64 },
    Current {
        uid: u64,
        /// The token; empty: none is sent.
        key: String,
        /// What the server may compress bodies with.
        protover: u8,
        platform: String,
        /// Further members of the join.
        extra: Map<String, Value>,
    },
}

impl Default for JoinAuth {
    fn default() -> JoinAuth {
        JoinAuth::Current {
            uid: 0,
            key: String::new(),
            protover: PROTOVER,
            platform: "web".to_owned(),
            extra: Map::new(),
        }
    }
}

const PROTOVER: u8 = 3;

/// What is wrong with the text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// No TOML.
    Syntax { line: usize, column: usize, what: String },
    /// A member's value is none that it may have.
    Member { name: String, expected: &'static str },
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, column, what } => {
                write!(f, "line {line}, column {column}: {what}; the file of auth_file is to be TOML")
            }
            Self::Member { name, expected } => write!(f, "{name} must be {expected}"),
        }
    }
}

impl std::error::Error for AuthError {}

impl fmt::Debug for JoinAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinAuth::Old { .. } => f.write_str("Old"),
            JoinAuth::Current { protover, platform, .. } => {
                write!(f, "Current {{ protover: {protover}, platform: {platform:?} }}")
            }
        }
    }
}

impl JoinAuth {
    /// Reads the text of an `auth_file`; an empty one is [`JoinAuth::default`]: no token.
    ///
    /// # Errors
    /// What is wrong with it, without any of its values.
    pub fn parse(text: &str) -> Result<JoinAuth, AuthError> {
        let mut table: Table = toml::from_str(text).map_err(|error| syntax(&error, text))?;
        let uid = whole(&mut table, "uid", u64::MAX)?.unwrap_or(0);
        match string(&mut table, "variant")?.as_deref() {
            None | Some("current") => {}
            Some("old") => return Ok(JoinAuth::Old { uid }),
            Some(_) => return Err(member("variant", "\"current\" or \"old\"")),
        }
        let protover = whole(&mut table, "protover", 3)?.and_then(|n| u8::try_from(n).ok());
        let key = string(&mut table, "key")?.unwrap_or_default();
        let platform = string(&mut table, "platform")?.unwrap_or_else(|| "web".to_owned());
        let mut extra = Map::new();
        for (name, value) in table {
            let json = serde_json::to_value(&value).ok().filter(|_| !value.is_datetime());
            let json =
                json.ok_or_else(|| member(&name, "a text, a number, true, false, a list or a table"))?;
            extra.insert(name, json);
        }
        Ok(JoinAuth::Current { uid, key, protover: protover.unwrap_or(PROTOVER), platform, extra })
    }

    /// The members of a join.
    pub(super) fn members(&self, room: &str) -> Map<String, Value> {
        let mut members = Map::new();
        let id = room.parse::<u64>().map_or_else(|_| Value::from(room), Value::from);
        match self {
            JoinAuth::Old { uid } => {
                members.insert("uid".to_owned(), (*uid).into());
            }
            JoinAuth::Current { uid, key, protover, platform, extra } => {
                members.insert("type".to_owned(), 2.into());
                members.extend(extra.clone());
                members.insert("uid".to_owned(), (*uid).into());
                members.insert("protover".to_owned(), (*protover).into());
                members.insert("platform".to_owned(), platform.as_str().into());
                if !key.is_empty() {
                    members.insert("key".to_owned(), key.as_str().into());
                }
            }
        }
        members.insert("roomid".to_owned(), id);
        members
    }
}

fn syntax(error: &toml::de::Error, text: &str) -> AuthError {
    let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let (line, column) = (1 + before.matches('\n').count(), 1 + line.chars().count());
    AuthError::Syntax { line, column, what: error.message().to_owned() }
}

fn member(name: &str, expected: &'static str) -> AuthError {
    AuthError::Member { name: name.to_owned(), expected }
}

fn string(table: &mut Table, name: &'static str) -> Result<Option<String>, AuthError> {
    match table.remove(name) {
        None => Ok(None),
        Some(toml::Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(member(name, "a text")),
    }
}

fn whole(table: &mut Table, name: &'static str, most: u64) -> Result<Option<u64>, AuthError> {
    let Some(value) = table.remove(name) else { return Ok(None) };
    let number = value.as_integer().and_then(|n| u64::try_from(n).ok()).filter(|n| *n <= most);
    let expected = if most == 3 { "a whole number from 0 to 3" } else { "a whole number, 0 or more" };
    number.map(Some).ok_or_else(|| member(name, expected))
}
