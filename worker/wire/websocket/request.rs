//! What a client asks, and what a server reads of it (RFC 6455, 4.1 and 4.2.1).

use super::UpgradeError;
use super::deflate::OFFER;
use super::error::printable;
use super::head::{HttpHead, QUOTED, is_plain};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A key is 16 bytes in base64; older clients send a few more.
const KEY_MAX: usize = 64;

/// The number that an answer must prove to have seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// A key of 16 random bytes.
    pub fn new(random: [u8; 16]) -> Key {
        Key(STANDARD.encode(random))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the answer must say.
    pub fn accept(&self) -> String {
        let mut hash = Sha1::new();
        hash.update(self.0.as_bytes());
        hash.update(GUID);
        STANDARD.encode(hash.finalize())
    }
}

/// What a client offers beside the protocol itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Compression of messages, which takes a window of some 40 KiB for each connection.
    Deflate,
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    /// `host:port`.
    pub host: &'a str,
    /// Path and query, beginning with `/`.
    pub target: &'a str,
    pub protocol: Option<&'a str>,
    pub offer: Offer,
    pub headers: &'a [(String, String)],
}

impl ClientRequest<'_> {
    /// Appends the request to `out`. On an error `out` is as it was.
    ///
    /// # Errors
    /// [`UpgradeError::Ours`].
    pub fn encode(&self, key: &Key, out: &mut Vec<u8>) -> Result<(), UpgradeError> {
        let ours = |header: &str| UpgradeError::Ours { header: printable(header.as_bytes(), QUOTED) };
        let mut text = String::new();
        if !self.target.starts_with('/') || !is_plain(self.target) || self.target.contains(' ') {
            return Err(ours("GET"));
        }
        text.push_str(&format!("GET {} HTTP/1.1\r\n", self.target));
        let mut line = |name: &str, value: &str| {
            let token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
            if !token || !is_plain(value) {
                return Err(ours(name));
            }
            text.push_str(&format!("{name}: {value}\r\n"));
            Ok(())
        };
        line("Host", self.host)?;
        line("Upgrade", "websocket")?;
        line("Connection", "Upgrade")?;
        line("Sec-WebSocket-Version", "13")?;
        line("Sec-WebSocket-Key", key.as_str())?;
        if let Some(protocol) = self.protocol {
            line("Sec-WebSocket-Protocol", protocol)?;
        }
        match self.offer {
            Offer::Deflate => line("Sec-WebSocket-Extensions", OFFER)?,
            Offer::Nothing => {}
        }
        for (name, value) in self.headers {
            line(name, value)?;
        }
        text.push_str("\r\n");
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRequest {
    pub target: String,
    /// The subprotocols that the client knows, the best first, with commas between.
    pub protocols: String,
    pub extensions: String,
    pub(super) key: Key,
}

impl ServerRequest {
    /// The request that `bytes` begin with, and its size; `None` if its end is not there yet.
    ///
    /// # Errors
    /// [`UpgradeError::TooLong`], [`UpgradeError::NotHttp`], [`UpgradeError::Header`], [`UpgradeError::Missing`]: answer with
    /// [`super::refuse`] and close.
    pub fn parse(bytes: &[u8]) -> Result<Option<(ServerRequest, usize)>, UpgradeError> {
        let Some((head, used)) = HttpHead::parse(bytes)? else { return Ok(None) };
        let not_http = || UpgradeError::NotHttp { start: printable(head.first, QUOTED) };
        let line = std::str::from_utf8(head.first).map_err(|_| not_http())?;
        let target = line
            .strip_prefix("GET ")
            .and_then(|rest| rest.strip_suffix(" HTTP/1.1"))
            .filter(|target| target.starts_with('/') && !target.contains(' '))
            .ok_or_else(not_http)?;
        head.check_upgrade()?;
        let key = head.value("sec-websocket-key").and_then(|key| std::str::from_utf8(key).ok());
        let key = key.filter(|key| !key.is_empty() && key.len() <= KEY_MAX);
        let Some(key) = key else { return Err(UpgradeError::Missing { header: "Sec-WebSocket-Key" }) };
        Ok(Some((
            ServerRequest {
                target: target.to_owned(),
                protocols: head.joined("sec-websocket-protocol"),
                extensions: head.joined("sec-websocket-extensions"),
                key: Key(key.to_owned()),
            },
            used,
        )))
    }
}
