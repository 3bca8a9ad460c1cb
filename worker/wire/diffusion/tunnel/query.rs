//! The connect request as the query of an upgrade: `?t=TOPICS&v=4&ty=WB&ca=CAPABILITIES[&c=ID][&username=…&password=…]`.

use crate::wire::diffusion::{ConnectRequest, Credentials};

/// A browser: what speaks texts on a WebSocket.
const CLIENT_TYPE: &str = "WB";
/// The same in a connect request.
const CLIENT_TYPE_BYTE: u8 = 0x10;
/// Encrypted, compressed and base64 bodies: a text has no byte that distinguishes them from plain ones.
const ENCODINGS: u8 = 0x07;

/// Path and query of the upgrade that asks what `request` asks.
pub(super) fn target(path: &str, request: &ConnectRequest<'_>) -> String {
    let mut target = path.to_owned();
    target.push(if path.contains('?') { '&' } else { '?' });
    target.push_str("t=");
    escape(request.topics, &mut target);
    let capabilities = request.capabilities & !ENCODINGS;
    target.push_str(&format!("&v={}&ty={CLIENT_TYPE}&ca={capabilities}", request.version));
    if let Some(id) = request.client_id {
        target.push_str("&c=");
        escape(id, &mut target);
    }
    if let Some(credentials) = request.credentials {
        target.push_str("&username=");
        escape(credentials.username, &mut target);
        target.push_str("&password=");
        escape(credentials.password, &mut target);
    }
    target
}

/// What a target's query asks; owned, since it is unescaped.
#[derive(Debug, Default)]
pub(super) struct Query {
    version: Option<u8>,
    capabilities: u8,
    topics: Vec<u8>,
    client_id: Option<Vec<u8>>,
    username: Option<Vec<u8>>,
    password: Option<Vec<u8>>,
}

impl Query {
    /// Reads the query of a target; what it does not know it skips.
    pub(super) fn parse(target: &str) -> Query {
        let mut query = Query::default();
        let text = target.split_once('?').map_or("", |(_, query)| query);
        for part in text.split('&') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let number = || value.parse().ok();
            match name {
                "v" => query.version = number(),
                "ca" => query.capabilities = number().unwrap_or_default(),
                "t" => query.topics = unescape(value),
                "c" => query.client_id = Some(unescape(value)),
                "username" => query.username = Some(unescape(value)),
                "password" => query.password = Some(unescape(value)),
                _ => {}
            }
        }
        query
    }

    /// The same as a connect request.
    pub(super) fn request(&self) -> ConnectRequest<'_> {
        let credentials = self
            .username
            .as_deref()
            .map(|username| Credentials { username, password: self.password.as_deref().unwrap_or_default() });
        let version = self.version.unwrap_or(crate::wire::diffusion::VERSION);
        ConnectRequest {
            version,
            credentials,
            topics: &self.topics,
            client_id: self.client_id.as_deref(),
            ..ConnectRequest::new(CLIENT_TYPE_BYTE, self.capabilities)
        }
    }
}

fn escape(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// A broken escape stands for itself.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.split_first_chunk::<2>().and_then(|(two, after)| Some((hex(*two)?, after)))) {
            (b'%', Some((value, after))) => {
                out.push(value);
                rest = after;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
    }
    out
}

fn hex(two: [u8; 2]) -> Option<u8> {
    let [high, low] = two.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

/// Path and query of the text form's upgrade: a number of the client's own, unless the address has one.
pub(super) fn with_uid(path: &str, uid: u64) -> String {
    let query = path.split_once('?').map(|(_, query)| query);
    match query {
        Some(query) if query.split('&').any(|part| part.starts_with("uid=")) => path.to_owned(),
        Some(_) => format!("{path}&uid={uid}"),
        None => format!("{path}?uid={uid}"),
    }
}
