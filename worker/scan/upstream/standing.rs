//! Whether a session that the server accepted can be relied on.
//!
//! Most servers refuse in the handshake. One that lets in and throws out at once would be taken for up at each attempt, and
//! tried again without ever waiting longer. So after a session that ended before it had served anything, the next one is
//! on trial: it counts once it has served something, or stood for [`STANDS`]. Pure. Called by the connection.

use crate::feed::diffusion::LostReason;
use std::time::{Duration, Instant};

/// A session that stood so long counts as one that serves, though nothing may have been asked of it.
const STANDS: Duration = Duration::from_secs(5);

/// What an open session counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The connection is up.
    Up,
    /// Whether it is shows by what it serves.
    OnTrial,
}

/// How far a session had come when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// It was never open.
    Nothing,
    /// It was open and had served nothing.
    Open,
    /// It had served.
    Serving,
}

impl Reached {
    /// Where the reason for the end is no more than that it ended: what that may mean, and what to look at.
    pub(super) fn advice(self, why: &LostReason) -> &'static str {
        let bare = match why {
            LostReason::HandshakeDeadline { .. } => {
                return "; check the port and the scheme in `url`, or whether the server is overloaded";
            }
            LostReason::EndOfStream | LostReason::Socket(_) => true,
            LostReason::ClosedByServer | LostReason::Aborted => self == Reached::Open,
            LostReason::Asked
            | LostReason::Handshake(_)
            | LostReason::Version { .. }
            | LostReason::Refused(_)
            | LostReason::SessionRefused { .. }
            | LostReason::Wire(_)
            | LostReason::Silent { .. }
            | LostReason::Tls(_)
            | LostReason::Tunnel(_)
            | LostReason::OutputFull { .. } => false,
        };
        match self {
            Reached::Nothing if bare => {
                " before the handshake was done; check the port and the scheme in `url`, and whether the server lets this address in"
            }
            Reached::Open if bare => {
                " before anything was served; check the topics in `list_topic` and `match_topics`, and whether `max_subscriptions` is more than the server allows"
            }
            Reached::Nothing | Reached::Open | Reached::Serving => "",
        }
    }
}

/// Follows the sessions of one connection after the other.
#[derive(Debug)]
pub(super) struct Record {
    stage: Stage,
    credit: Credit,
}

/// How far the session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is not open.
    Closed,
    /// It is open since then, and has served nothing yet.
    Open(Instant),
    /// It serves what it is asked for.
    Serving,
}

/// What the earlier ones say of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credit {
    /// The last one that was open served, or there was none.
    Good,
    /// It did not, or the server refused it after all.
    Bad,
}

impl Record {
    pub(super) const fn new() -> Record {
        Record { stage: Stage::Closed, credit: Credit::Good }
    }

    /// The server accepted a session.
    pub(super) fn opened(&mut self, now: Instant) -> Standing {
        self.stage = Stage::Open(now);
        match self.credit {
            Credit::Good => Standing::Up,
            Credit::Bad => Standing::OnTrial,
        }
    }

    /// The session serves. Whether that is news.
    pub(super) fn served(&mut self) -> Option<Standing> {
        match self.stage {
            Stage::Open(_) => {
                self.stage = Stage::Serving;
                self.credit = Credit::Good;
                Some(Standing::Up)
            }
            Stage::Closed | Stage::Serving => None,
        }
    }

    /// As [`Record::served`], if it stands long enough.
    pub(super) fn stands(&mut self, now: Instant) -> Option<Standing> {
        match self.stage {
            Stage::Open(since) if now.saturating_duration_since(since) >= STANDS => self.served(),
            Stage::Open(_) | Stage::Closed | Stage::Serving => None,
        }
    }

    /// The connection is over. How far its session had come.
    pub(super) fn ended(&mut self, why: &LostReason) -> Reached {
        let reached = match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Closed => Reached::Nothing,
            Stage::Open(_) => Reached::Open,
            Stage::Serving => Reached::Serving,
        };
        self.credit = match (reached, why) {
            (_, LostReason::SessionRefused { .. }) | (Reached::Open, _) => Credit::Bad,
            (Reached::Serving, _) => Credit::Good,
            (Reached::Nothing, _) => self.credit,
        };
        reached
    }

    /// When a session that is on trial has stood long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match (self.stage, self.credit) {
            (Stage::Open(since), Credit::Bad) => since.checked_add(STANDS),
            (Stage::Open(_), Credit::Good) | (Stage::Closed | Stage::Serving, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> LostReason {
        LostReason::SessionRefused { topic: 0, said: "2".to_owned() }
    }

    #[test]
    fn a_session_after_one_that_served_nothing_is_on_trial_until_it_serves() {
        let now = Instant::now();
        let mut record = Record::new();
        assert_eq!(record.opened(now), Standing::Up, "nothing is known against it");
        assert_eq!(record.deadline(), None);
        record.ended(&LostReason::EndOfStream);
        assert_eq!(record.opened(now), Standing::OnTrial);
        assert_eq!(record.deadline(), Some(now + STANDS));
        assert_eq!(record.served(), Some(Standing::Up));
        assert_eq!((record.served(), record.deadline()), (None, None), "once");
        record.ended(&LostReason::EndOfStream);
        assert_eq!(record.opened(now), Standing::Up, "it served before it was lost");
    }

    #[test]
    fn an_end_without_a_reason_says_where_it_came_and_what_to_look_at() {
        let end = LostReason::EndOfStream;
        let mut record = Record::new();
        assert!(record.ended(&end).advice(&end).contains("before the handshake was done; check the port"));
        record.opened(Instant::now());
        assert!(record.ended(&end).advice(&end).contains("before anything was served; check the topics"));
        record.opened(Instant::now());
        record.served();
        assert_eq!(record.ended(&end).advice(&end), "");
        record.opened(Instant::now());
        assert_eq!(record.ended(&refused()).advice(&refused()), "", "the reason says it");
    }

    #[test]
    fn standing_for_long_is_as_good_as_serving() {
        let now = Instant::now();
        let mut record = Record::new();
        record.opened(now);
        assert_eq!(record.stands(now + STANDS - Duration::from_millis(1)), None);
        record.ended(&LostReason::EndOfStream);
        record.opened(now);
        assert_eq!(record.stands(now + STANDS), Some(Standing::Up));
        assert_eq!(record.stands(now + STANDS), None);
        record.ended(&LostReason::ClosedByServer);
        assert_eq!(record.opened(now), Standing::Up);
    }

    #[test]
    fn who_never_came_in_is_judged_by_the_one_before_and_who_was_refused_is_on_trial() {
        let now = Instant::now();
        let mut record = Record::new();
        record.ended(&LostReason::EndOfStream);
        assert_eq!(record.opened(now), Standing::Up);
        record.served();
        record.ended(&refused());
        record.ended(&LostReason::EndOfStream);
        assert_eq!(record.opened(now), Standing::OnTrial, "although it had served");
    }
}
