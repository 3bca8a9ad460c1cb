//! The handshake of client and server.
//!
//! Both texts end with NUL and may arrive in pieces of any size, so parsing starts over with each piece: `Ok(None)`
//! asks for more. It never asks for more than [`HANDSHAKE_LIMIT`] bytes. A refusal counts as soon as its code is
//! there, for it is unknown whether a server goes on after it.

use super::{FD, NUL, RD, ResponseCode, VERSION};
use memchr::memchr;
use std::fmt;

/// The most that either side may say before its NUL, in bytes.
pub const HANDSHAKE_LIMIT: usize = 4096;
/// How many bytes a message's length has; nothing else is understood.
pub const LENGTH_BYTES: u8 = 4;

/// The capability bit of clients that take compressed bodies.
pub const CAN_COMPRESSED: u8 = 0x02;
/// The capability bit of clients that take bodies in base64.
pub const CAN_BASE64: u8 = 0x04;

const MAGIC: u8 = 0x23;
const HTTP: u8 = b'H';
const TLS_ALERT: u8 = 0x15;
const TLS_HANDSHAKE: u8 = 0x16;
const REQUEST_HEAD: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectRequest<'a> {
    pub version: u8,
    pub client_type: u8,
    pub capabilities: u8,
    /// User name and password, where a login is wanted.
    pub credentials: Option<Credentials<'a>>,
    /// Selectors to subscribe at once, with commas between; empty for none.
    pub topics: &'a [u8],
    pub client_id: Option<&'a [u8]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials<'a> {
    pub username: &'a [u8],
    /// The password; never shown.
    pub password: &'a [u8],
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, …)", self.username.escape_ascii())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectResponse<'a> {
    Accepted {
        version: u8,
        /// [`ResponseCode::is_accepted`] holds.
        code: ResponseCode,
        client_id: &'a [u8],
    },
    /// No session.
    Refused { version: u8, code: ResponseCode },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The first byte is not the one that every handshake begins with.
    Magic { byte: u8 },
    /// There is no end within the limit.
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    LengthBytes {
        /// Their size in bytes.
        bytes: u8,
    },
    /// The credentials are not a user name and a password.
    Credentials { fields: usize },
    /// A text that was to be sent contains a separator or NUL.
    Text { what: &'static str },
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Magic { byte: HTTP } => f.write_str(
                "the server answers in HTTP, not in the classic protocol; check the port in `url`, or take ws:// or wss:// if it is reached by WebSocket",
            ),
            HandshakeError::Magic { byte: TLS_ALERT | TLS_HANDSHAKE } => f.write_str(
                "the server answers in TLS; check the port in `url`, or take dpts:// or wss://",
            ),
            HandshakeError::Magic { byte } => {
                write!(
                    f,
                    "a handshake begins with {byte:#04x} instead of {MAGIC:#04x}: this is not the classic protocol; check the port and the scheme in `url`"
                )
            }
            HandshakeError::TooLong { limit } => write!(
                f,
                "a handshake has no end after {limit} bytes: this is not the classic protocol; check the port and the scheme in `url`"
            ),
            HandshakeError::LengthBytes { bytes } => {
                write!(f, "the server wants lengths of {bytes} bytes, only {LENGTH_BYTES} are understood")
            }
            HandshakeError::Credentials { fields } => {
                write!(f, "the credentials of a handshake have {fields} fields instead of 2")
            }
            HandshakeError::Text { what } => {
                write!(f, "the {what} contains a control character that a handshake cannot carry")
            }
        }
    }
}

impl std::error::Error for HandshakeError {}

impl<'a> ConnectRequest<'a> {
    /// A request without credentials, topics and session.
    pub const fn new(client_type: u8, capabilities: u8) -> ConnectRequest<'a> {
        ConnectRequest {
            version: VERSION,
            client_type,
            capabilities,
            credentials: None,
            topics: &[],
            client_id: None,
        }
    }

    /// Appends the request to `out`. On an error `out` is as it was.
    ///
    /// # Errors
    /// [`HandshakeError::Text`], [`HandshakeError::TooLong`].
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), HandshakeError> {
        let start = out.len();
        let written = self.write(out).and_then(|()| check_length(out.len() - start));
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), HandshakeError> {
        out.extend_from_slice(&[MAGIC, self.version, self.client_type, self.capabilities]);
        if let Some(credentials) = self.credentials {
            push_text(out, credentials.username, "user name")?;
            out.push(FD);
            push_text(out, credentials.password, "password")?;
            out.push(RD);
        }
        push_text(out, self.topics, "set of login topics")?;
        if let Some(client_id) = self.client_id {
            out.push(FD);
            push_text(out, client_id, "client id")?;
        }
        out.push(NUL);
        Ok(())
    }

    /// The request that `bytes` begins with, and how many bytes it has; `None` if its end is not there yet.
    ///
    /// # Errors
    /// [`HandshakeError::Magic`], [`HandshakeError::TooLong`], [`HandshakeError::Credentials`].
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(ConnectRequest<'a>, usize)>, HandshakeError> {
        check_magic(bytes)?;
        // Capability bits may be 0, so the search for the end begins after them.
        let Some(([_, version, client_type, capabilities], rest)) = bytes.split_first_chunk::<REQUEST_HEAD>()
        else {
            return Ok(None);
        };
        let Some(text) = until_nul(rest, REQUEST_HEAD)? else { return Ok(None) };
        let (credentials, text_after) = match split_at(RD, text) {
            Some((record, after)) => (Some(parse_credentials(record)?), after),
            None => (None, text),
        };
        let (topics, client_id) = match split_at(FD, text_after) {
            Some((topics, client_id)) => (topics, Some(client_id)),
            None => (text_after, None),
        };
        let request = ConnectRequest {
            version: *version,
            client_type: *client_type,
            capabilities: *capabilities,
            credentials,
            topics,
            client_id,
        };
        Ok(Some((request, REQUEST_HEAD + text.len() + 1)))
    }
}

impl<'a> ConnectResponse<'a> {
    /// Appends the response to `out`. A refusal is written with an empty client id. On an error `out` is as it was.
    ///
    /// # Errors
    /// [`HandshakeError::Text`], [`HandshakeError::TooLong`].
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), HandshakeError> {
        let (version, code, client_id) = match *self {
            ConnectResponse::Accepted { version, code, client_id } => (version, code, client_id),
            ConnectResponse::Refused { version, code } => (version, code, &[][..]),
        };
        let start = out.len();
        out.extend_from_slice(&[MAGIC, version, code.byte(), LENGTH_BYTES]);
        let written = push_text(out, client_id, "client id");
        out.push(NUL);
        let written = written.and_then(|()| check_length(out.len() - start));
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// The response that `bytes` begins with, and how many bytes it has; `None` if its end is not there yet. A
    /// refusal has 3 bytes, whatever may follow.
    ///
    /// # Errors
    /// [`HandshakeError::Magic`], [`HandshakeError::LengthBytes`], [`HandshakeError::TooLong`].
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(ConnectResponse<'a>, usize)>, HandshakeError> {
        check_magic(bytes)?;
        let Some(([_, version, code], rest)) = bytes.split_first_chunk::<3>() else { return Ok(None) };
        let (version, code) = (*version, ResponseCode::from_byte(*code));
        if !code.is_accepted() {
            return Ok(Some((ConnectResponse::Refused { version, code }, 3)));
        }
        let Some((length_bytes, rest)) = rest.split_first() else { return Ok(None) };
        if *length_bytes != LENGTH_BYTES {
            return Err(HandshakeError::LengthBytes { bytes: *length_bytes });
        }
        let Some(client_id) = until_nul(rest, REQUEST_HEAD)? else { return Ok(None) };
        let used = REQUEST_HEAD + client_id.len() + 1;
        Ok(Some((ConnectResponse::Accepted { version, code, client_id }, used)))
    }
}

fn check_magic(bytes: &[u8]) -> Result<(), HandshakeError> {
    match bytes.first() {
        Some(&byte) if byte != MAGIC => Err(HandshakeError::Magic { byte }),
        Some(_) | None => Ok(()),
    }
}

fn check_length(length: usize) -> Result<(), HandshakeError> {
    if length > HANDSHAKE_LIMIT {
        return Err(HandshakeError::TooLong { limit: HANDSHAKE_LIMIT });
    }
    Ok(())
}

/// What stands in `rest` before its NUL, which must come within the limit, `before` bytes of which are used.
fn until_nul(rest: &[u8], before: usize) -> Result<Option<&[u8]>, HandshakeError> {
    let window = rest.get(..HANDSHAKE_LIMIT - before).unwrap_or(rest);
    match memchr(NUL, window) {
        Some(at) => Ok(window.get(..at)),
        None => check_length(before + rest.len() + 1).map(|()| None),
    }
}

fn split_at(separator: u8, text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, after) = text.split_at_checked(memchr(separator, text)?)?;
    Some((before, after.get(1..)?))
}

fn parse_credentials(record: &[u8]) -> Result<Credentials<'_>, HandshakeError> {
    let fields = record.split(|byte| *byte == FD).count();
    match split_at(FD, record) {
        Some((username, password)) if fields == 2 => Ok(Credentials { username, password }),
        Some(_) | None => Err(HandshakeError::Credentials { fields }),
    }
}

fn push_text(out: &mut Vec<u8>, text: &[u8], what: &'static str) -> Result<(), HandshakeError> {
    if text.iter().any(|byte| matches!(*byte, RD | FD | NUL)) {
        return Err(HandshakeError::Text { what });
    }
    out.extend_from_slice(text);
    Ok(())
}
