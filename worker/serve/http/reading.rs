//! One request of a reader's connection from bytes that come in pieces. It is the way of a client's state machine without its times, for fuzz
//! targets: they stand outside of this package, and look at whether the pieces matter and what a request is taken for.

use super::{BadRequest, BodyReader, Side, body_limit, parse, route};

/// A request that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Bytes of it, head and body.
    pub size: usize,
    pub path: String,
    pub body: Vec<u8>,
    /// Whether there is something at the path.
    pub leads: bool,
}

/// The request that `bytes` begin with, `step` of which come at a time; `None`: its end is not there.
///
/// # Errors
/// Why it is none.
pub fn read_in_pieces(bytes: &[u8], step: usize) -> Result<Option<Reading>, String> {
    pieces(bytes, step.max(1)).map_err(|bad| bad.to_string())
}

fn pieces(bytes: &[u8], step: usize) -> Result<Option<Reading>, BadRequest> {
    let mut came = step.min(bytes.len());
    let (request, mut at) = loop {
        match parse(bytes.get(..came).unwrap_or_default())? {
            Some(read) => break read,
            None if came == bytes.len() => return Ok(None),
            None => came = bytes.len().min(came + step),
        }
    };
    let leads = route(&request).is_ok();
    let mut body = BodyReader::new(request.length, body_limit(Side::Readers, &request).unwrap_or_default())?;
    loop {
        at += body.take(bytes.get(at..came).unwrap_or_default())?;
        if body.is_whole() {
            return Ok(Some(Reading { size: at, path: request.path, body: body.into_body(), leads }));
        }
        if came == bytes.len() {
            return Ok(None);
        }
        came = bytes.len().min(came + step);
    }
}
