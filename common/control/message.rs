//! Requests, answers and what can go wrong, with the exit code of each.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How a verb ended: the exit code of the command line and `code` of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", from = "u8")]
pub enum Code {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Usage or configuration.
    Usage = 2,
    /// The daemon is not running, or `run`: another instance is.
    NotRunning = 3,
    /// Timed out or partial; what is missing is named.
    Partial = 4,
    /// No permission.
    Refused = 5,
}

impl From<Code> for u8 {
    fn from(code: Code) -> Self {
        code as u8
    }
}

impl From<u8> for Code {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Done,
            2 => Self::Usage,
            3 => Self::NotRunning,
            4 => Self::Partial,
            5 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub verb: String,
    #[serde(default)]
    pub args: Map<String, Value>,
}

impl Request {
    pub fn new(verb: &str) -> Self {
        Self { verb: verb.to_owned(), args: Map::new() }
    }

    /// Reads one line.
    ///
    /// # Errors
    /// What is no such object.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line)
            .map_err(|error| format!("no request ({error}), expected {{\"verb\":\"status\",\"args\":{{}}}}"))
    }

    /// The text argument `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.args.get(name).and_then(Value::as_str)
    }

    /// The number argument `name`.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.args.get(name).and_then(Value::as_u64)
    }

    /// Whether the switch `name` is given and true.
    pub fn is_set(&self, name: &str) -> bool {
        self.args.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    pub fn to_line(&self) -> Vec<u8> {
        line_of(self)
    }
}

/// The answer to a request: one line. Verbs that follow send lines of their own after it.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Ok(Value),
    Refused { code: Code, error: String },
}

#[derive(Serialize, Deserialize)]
struct Wire {
    ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Answer {
    pub fn refused(code: Code, error: impl Into<String>) -> Self {
        Self::Refused { code, error: error.into() }
    }

    pub fn to_line(&self) -> Vec<u8> {
        match self {
            // Not through `Wire`, which would copy the result.
            Self::Ok(result) => {
                let mut line = b"{\"ok\":true,\"result\":".to_vec();
                line.extend(serde_json::to_vec(result).unwrap_or_else(|_| b"null".to_vec()));
                line.extend(b"}\n");
                line
            }
            Self::Refused { code, error } => {
                line_of(&Wire { ok: false, result: None, code: Some(*code), error: Some(error.clone()) })
            }
        }
    }

    /// Reads one line and gives the result as it was written, members in their order.
    ///
    /// # Errors
    /// What is no answer, and [`ControlError::Refused`].
    pub fn parse(line: &[u8]) -> Result<Box<RawValue>, ControlError> {
        let wire: Wire = serde_json::from_slice(line).map_err(|error| bad_answer(&error))?;
        if wire.ok {
            wire.result
                .map_or_else(|| serde_json::value::to_raw_value(&()).map_err(|error| bad_answer(&error)), Ok)
        } else {
            let error = wire.error.unwrap_or_else(|| "no reason given".to_owned());
            Err(ControlError::Refused { code: wire.code.unwrap_or(Code::Failed), error })
        }
    }
}

pub(super) fn bad_answer(error: &serde_json::Error) -> ControlError {
    ControlError::BadAnswer(error.to_string())
}

fn line_of(value: &impl Serialize) -> Vec<u8> {
    // Plain data with text keys: JSON can always write it.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Why a client has no answer.
#[derive(Debug)]
pub enum ControlError {
    /// No daemon listens at the socket.
    NotRunning {
        path: PathBuf,
        /// How connecting failed.
        kind: io::ErrorKind,
    },
    /// The socket may not be opened, or the daemon hung up on us.
    NoPermission {
        path: PathBuf,
    },
    Io {
        doing: &'static str,
        source: io::Error,
    },
    /// No answer in time.
    TimedOut {
        after: Duration,
    },
    /// The daemon ended the conversation before its answer was whole.
    Ended,
    BadAnswer(String),
    Refused {
        code: Code,
        error: String,
    },
}

impl ControlError {
    pub fn code(&self) -> Code {
        match self {
            Self::NotRunning { .. } => Code::NotRunning,
            Self::NoPermission { .. } => Code::Refused,
            Self::TimedOut { .. } => Code::Partial,
            Self::Refused { code, .. } => *code,
            Self::Io { .. } | Self::Ended | Self::BadAnswer(_) => Code::Failed,
        }
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning { path, kind } => {
                let path = path.display();
                let is_missing = *kind == io::ErrorKind::NotFound;
                let why = if is_missing { "no such socket".to_owned() } else { kind.to_string() };
                write!(f, "cannot connect to {path}: {why} (start the daemon with `touchline run`)")
            }
            Self::NoPermission { path } => {
                write!(
                    f,
                    "no permission for {}: your uid must be in `[control]`, or you in its group",
                    path.display()
                )
            }
            Self::Io { doing, source } => write!(f, "{doing} failed: {source}"),
            Self::TimedOut { after } => write!(f, "no answer within {after:?} (longer with --timeout)"),
            Self::Ended => f.write_str("the daemon closed the connection (it may be stopping: see its log)"),
            Self::BadAnswer(why) => {
                write!(f, "cannot read the daemon's answer ({why}): is it another version?")
            }
            Self::Refused { error, .. } => f.write_str(error),
        }
    }
}

impl std::error::Error for ControlError {}
