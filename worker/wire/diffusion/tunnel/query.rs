//! The connect request as the query of an upgrade: `?t=TOPICS&v=4&ty=WB&ca=CAPABILITIES[&c=ID][&username=…&password=…]`.

use crate::wire::diffusion::{ConnectRequest, Credentials, HandshakeError, VERSION};

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

/// Appends what the query of `target` asks, as a connect request; what it does not know it skips.
///
/// # Errors
/// As [`ConnectRequest::encode`].
pub(super) fn encode_request(target: &str, out: &mut Vec<u8>) -> Result<(), HandshakeError> {
    let (mut version, mut capabilities, mut topics) = (None, None, Vec::new());
    let (mut client_id, mut username, mut password) = (None, None, Vec::new());
    let query = target.split_once('?').map_or("", |(_, query)| query);
    for part in query.split('&') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name {
            "v" => version = value.parse().ok(),
            "ca" => capabilities = value.parse().ok(),
            "t" => topics = unescape(value),
            "c" => client_id = Some(unescape(value)),
            "username" => username = Some(unescape(value)),
            "password" => password = unescape(value),
            _ => {}
        }
    }
    let request = ConnectRequest {
        version: version.unwrap_or(VERSION),
        client_type: CLIENT_TYPE_BYTE,
        capabilities: capabilities.unwrap_or_default(),
        credentials: username.as_deref().map(|username| Credentials { username, password: &password }),
        topics: &topics,
        client_id: client_id.as_deref(),
    };
    request.encode(out)
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
