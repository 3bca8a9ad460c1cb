//! What is kept of a session after its connection: enough to go on with it on the next one.
//!
//! A server keeps a session for a while after its connection broke. It is asked for once, by the client id, within
//! [`KEEP`]; refused, a fresh session is asked for at once. After the server's own end of a session it is never
//! asked for again. A refused login is tried rarely, and told only when something changed: where a server accepts the
//! connection before it refuses the session, only a session that serves is a change. Called by the scan loop.

use super::{LostReason, Session};
use crate::wire::diffusion::AliasTable;
use std::time::{Duration, Instant};

/// How long an earlier session is asked for; a server's usual time to keep one.
pub const KEEP: Duration = Duration::from_secs(60);
/// The wait after a refused login.
pub const LOGIN_WAIT: Duration = Duration::from_secs(60);

/// A session whose connection broke.
#[derive(Debug)]
pub struct Earlier {
    pub(super) client_id: Vec<u8>,
    /// The server goes on to use the aliases that it gave.
    pub(super) aliases: AliasTable,
    pub(super) topics: Vec<EarlierTopic>,
}

/// A topic of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EarlierTopic {
    pub(super) name: Box<[u8]>,
    pub(super) proof: Proof,
}

/// What is known of a subscription of an earlier session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Its load came.
    Loaded,
    /// It was asked for, or given up: the server may have heard that or not.
    None,
}

/// When the next connection is to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Now: only the earlier session was refused.
    AtOnce,
    /// After the usual wait.
    Soon,
    /// After [`LOGIN_WAIT`].
    Late,
}

/// Whether a reason is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It is.
    Changed,
    /// The same refusal as before.
    Same,
}

/// What is known between two connections.
#[derive(Debug, Default)]
pub struct Comeback {
    earlier: Option<(Earlier, Instant)>,
    refusal: Option<LostReason>,
}

impl Comeback {
    /// The earlier session, if it is worth asking for; it is asked for once.
    pub fn take(&mut self, now: Instant) -> Option<Earlier> {
        self.earlier.take().filter(|(_, until)| now < *until).map(|(earlier, _)| earlier)
    }

    /// A session was accepted. That says nothing where the last one was, too, before it was refused.
    pub fn opened(&mut self) {
        self.refusal.take_if(|why| !matches!(why, LostReason::SessionRefused { .. }));
    }

    /// The session serves what it was asked for.
    pub fn served(&mut self) {
        self.refusal = None;
    }

    /// A connection is over, and with it `session`.
    pub fn lost(&mut self, session: Session, why: &LostReason, now: Instant) -> (Retry, News) {
        let news =
            if why.is_login() && self.refusal.as_ref() == Some(why) { News::Same } else { News::Changed };
        self.refusal = why.is_login().then(|| why.clone());
        let asked_for_earlier = session.is_resuming();
        if why.is_resumable() {
            self.earlier = session.into_earlier().zip(now.checked_add(KEEP));
        }
        let retry = match why {
            LostReason::SessionRefused { .. } => Retry::Late,
            LostReason::Refused(_) | LostReason::Tunnel(_) if why.is_login() => Retry::Late,
            LostReason::Refused(_) if asked_for_earlier => Retry::AtOnce,
            LostReason::Refused(_)
            | LostReason::Asked
            | LostReason::HandshakeDeadline { .. }
            | LostReason::Handshake(_)
            | LostReason::Version { .. }
            | LostReason::Wire(_)
            | LostReason::ClosedByServer
            | LostReason::Aborted
            | LostReason::Silent { .. }
            | LostReason::EndOfStream
            | LostReason::Socket(_)
            | LostReason::Tls(_)
            | LostReason::Tunnel(_)
            | LostReason::OutputFull { .. } => Retry::Soon,
        };
        (retry, news)
    }
}
