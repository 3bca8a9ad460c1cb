//! What the topics say that only the login asked for, as far as it ends a session. Callers: the loop, the probe.

use crate::feed::diffusion::LostReason;
use crate::payload;

/// As much of the server's word is told, bytes.
const SAID_MAX: usize = 64;

/// Why the session is over, if this load of a topic that is the login's alone says that it is refused.
pub(super) fn refusal(login_topics: &[String], topic: &[u8], body: &[u8]) -> Option<LostReason> {
    let place = login_topics.iter().position(|asked| asked.as_bytes() == topic)?;
    let said = payload::session_error(body)?;
    let said = said.get(..said.len().min(SAID_MAX)).unwrap_or_default().escape_ascii().to_string();
    Some(LostReason::SessionRefused { topic: place, said })
}
