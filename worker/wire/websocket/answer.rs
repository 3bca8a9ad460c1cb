//! What a server answers, and what a client reads of it (RFC 6455, 4.2.2 and 4.1).

use super::deflate::Deflate;
use super::error::printable;
use super::head::{HttpHead, QUOTED};
use super::{ClientRequest, Key, Offer, ServerRequest, UpgradeError};

impl ServerRequest {
    /// Appends the answer that opens the WebSocket; the compression that is agreed upon, if the client offers what is `wanted`.
    pub fn accept(
        &self,
        protocol: Option<&str>,
        wanted: Option<&Deflate>,
        out: &mut Vec<u8>,
    ) -> Option<Deflate> {
        let deflate = wanted.and_then(|wanted| Deflate::from_offers(&self.extensions, wanted));
        let mut text = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
            self.key.accept()
        );
        if let Some(protocol) = protocol {
            text.push_str(&format!("Sec-WebSocket-Protocol: {protocol}\r\n"));
        }
        if let Some(deflate) = deflate {
            text.push_str(&format!("Sec-WebSocket-Extensions: {}\r\n", deflate.to_answer()));
        }
        text.push_str("\r\n");
        out.extend_from_slice(text.as_bytes());
        deflate
    }
}

/// Appends the answer to a request that leads to no WebSocket; `code` is the status, such as 403.
pub fn refuse(code: u16, reason: &str, out: &mut Vec<u8>) {
    let text = format!("HTTP/1.1 {code} {reason}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    out.extend_from_slice(text.as_bytes());
}

impl ClientRequest<'_> {
    /// The compression that the answer which `bytes` begin with agrees upon, and the answer's size; `None` if its end is not
    /// there yet.
    ///
    /// # Errors
    /// [`UpgradeError`]: the connection leads to no WebSocket.
    pub fn read_answer(
        &self,
        key: &Key,
        bytes: &[u8],
    ) -> Result<Option<(Option<Deflate>, usize)>, UpgradeError> {
        check_start(bytes)?;
        let Some((head, used)) = HttpHead::parse(bytes)? else { return Ok(None) };
        check_status(&head)?;
        head.check_upgrade()?;
        match head.value("sec-websocket-accept") {
            None => return Err(UpgradeError::Missing { header: "Sec-WebSocket-Accept" }),
            Some(given) if given != key.accept().as_bytes() => return Err(UpgradeError::Accept),
            Some(_) => {}
        }
        check_protocol(&head, self)?;
        Ok(Some((chosen_extension(&head, self.offer)?, used)))
    }
}

/// Notices at the first bytes that this is no HTTP: a server of another protocol may never send the end of a head.
fn check_start(bytes: &[u8]) -> Result<(), UpgradeError> {
    const START: &[u8] = b"HTTP/1.";
    if bytes.iter().zip(START).any(|(given, wanted)| given != wanted) {
        return Err(UpgradeError::NotHttp { start: printable(bytes, 16) });
    }
    Ok(())
}

fn check_status(head: &HttpHead<'_>) -> Result<(), UpgradeError> {
    let digits =
        head.first.split(|byte| *byte == b' ').nth(1).and_then(|code| std::str::from_utf8(code).ok());
    let Some(code) = digits.filter(|code| code.len() == 3).and_then(|code| code.parse::<u16>().ok()) else {
        return Err(UpgradeError::NotHttp { start: printable(head.first, QUOTED) });
    };
    if code == 101 {
        return Ok(());
    }
    let location = head.value("location").map(|location| printable(location, QUOTED));
    Err(UpgradeError::Status { code, line: printable(head.first, QUOTED), location })
}

/// Browsers insist on an answer to an offered subprotocol; servers of this protocol do not always give one.
fn check_protocol(head: &HttpHead<'_>, request: &ClientRequest<'_>) -> Result<(), UpgradeError> {
    match head.value("sec-websocket-protocol") {
        Some(given) if request.protocol.map(str::as_bytes) != Some(given) => {
            Err(UpgradeError::Protocol { given: printable(given, QUOTED) })
        }
        Some(_) | None => Ok(()),
    }
}

fn chosen_extension(head: &HttpHead<'_>, offer: Offer) -> Result<Option<Deflate>, UpgradeError> {
    let given = head.joined("sec-websocket-extensions");
    if given.is_empty() {
        return Ok(None);
    }
    let refused = || UpgradeError::Extension { given: printable(given.as_bytes(), QUOTED) };
    match offer {
        Offer::Deflate => Deflate::from_answer(&given).map(Some).ok_or_else(refused),
        Offer::Nothing => Err(refused()),
    }
}
