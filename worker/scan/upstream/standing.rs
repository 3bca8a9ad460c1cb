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

    /// The connection is over, whether its session was open or not.
    pub(super) fn ended(&mut self, why: &LostReason) {
        let before = std::mem::replace(&mut self.stage, Stage::Closed);
        self.credit = match (before, why) {
            (_, LostReason::SessionRefused { .. }) | (Stage::Open(_), _) => Credit::Bad,
            (Stage::Serving, _) => Credit::Good,
            (Stage::Closed, _) => self.credit,
        };
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
