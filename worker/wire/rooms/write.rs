//! Packets to send, and what the answer to a join says.

use super::{BodyForm, JoinAuth, Operation, body, head};
use serde::Deserialize;

/// Appends a packet. `body` is written as it is; of a compressed form it is whole packets back to back, which are compressed here.
pub fn write_packet(out: &mut Vec<u8>, form: BodyForm, operation: Operation, body: &[u8]) {
    let start = out.len();
    head::write(out, body.len(), form.to_wire(), operation.to_wire());
    let from = out.len();
    body::pack(form, body, out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if out.len() - from != body.len()
        && let Some(place) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<4>)
    {
        *place = length.to_be_bytes();
    }
}

/// Appends the first packet of a connection. A room that is a number is written as one.
pub fn write_join(out: &mut Vec<u8>, room: &str, auth: &JoinAuth) {
    let body = serde_json::Value::Object(auth.members(room)).to_string();
    write_packet(out, BodyForm::Control, Operation::Join, body.as_bytes());
}

/// Appends a heartbeat. Its body is empty, so that a server that echoes it behind its answer's length echoes nothing.
pub fn write_heartbeat(out: &mut Vec<u8>) {
    write_packet(out, BodyForm::Control, Operation::Heartbeat, b"");
}

/// What the body of a [`Operation::JoinReply`] says. It is a yes unless it states another code than 0: older servers answer with nothing.
///
/// # Errors
/// The code.
pub fn join_outcome(body: &[u8]) -> Result<(), i64> {
    #[derive(Deserialize)]
    struct Reply {
        #[serde(default)]
        code: i64,
    }
    match serde_json::from_slice(body) {
        Ok(Reply { code: 0 }) | Err(_) => Ok(()),
        Ok(Reply { code }) => Err(code),
    }
}
