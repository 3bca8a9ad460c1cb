//! One look at a connection: which of its matches are asked, what they answered, and which of them are its surplus.

use std::time::Duration;
use touchline_common::ipc::messages::worker::Finding;
use touchline_common::model::{Generation, MatchKey, SlotId};

/// The newest matches of a connection that are asked first.
const PROBED: usize = 3;
/// The oldest ones that are asked beside the newest when more than was learned is tried: what they miss is no sign.
const COMPARED: usize = 2;
/// So many deltas and none missing is served in full; of fewer, all may have come by chance.
pub(super) const PROOF: u32 = 5;
/// How long all answers may take: a connection asks at its own rate.
const ROUND_FOR: Duration = Duration::from_secs(75);
/// Matches that missed deltas are asked again after this long; twice as long after each time that none of them changed.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How often they are asked again at most.
const AGAIN_MOST: u32 = 3;

/// A connection that may be looked at.
#[derive(Clone, Debug)]
pub(in crate::pool) struct Connection {
    pub(in crate::pool) slot: SlotId,
    pub(in crate::pool) generation: Generation,
    /// Its subscriptions, all of which have their load.
    pub(in crate::pool) held: u32,
    /// Its matches with their topics, the oldest first.
    pub(in crate::pool) matches: Vec<(MatchKey, u32)>,
}

/// Which matches of a connection are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Asks {
    /// Its newest.
    Newest,
    /// The newest, which is more than was learned, and the oldest.
    Trial,
    /// All.
    All,
    /// Those that missed deltas, once more: what was left out before they were subscribed again may have had another reason than how
    /// much is held now.
    Again,
}

/// What a connection that was looked at showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Look {
    pub(in crate::pool) slot: SlotId,
    pub(in crate::pool) held: u32,
    /// Matches that were asked.
    pub(in crate::pool) audited: usize,
    /// Of them, those that miss deltas.
    pub(in crate::pool) missed: usize,
}

/// What a match answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    NotAsked,
    Awaited,
    /// Every delta came.
    Served,
    /// Deltas are missing.
    Missed,
    /// It proves nothing.
    Void,
}

#[derive(Debug)]
pub(super) struct Seat {
    pub(super) key: MatchKey,
    pub(super) topics: u32,
    pub(super) answer: Answer,
}

#[derive(Debug)]
pub(super) struct Round {
    pub(super) slot: SlotId,
    pub(super) generation: Generation,
    pub(super) held: u32,
    /// The oldest first.
    pub(super) seats: Vec<Seat>,
    pub(super) asks: Asks,
    /// Those that missed deltas when all were asked.
    doubted: Vec<MatchKey>,
    /// When they are asked again, if that is still to come, and how often they were.
    again_at: Option<Duration>,
    tries: u32,
    until: Duration,
}

impl Answer {
    pub(super) fn of(finding: Finding) -> Answer {
        match finding {
            Finding::Missed { .. } => Answer::Missed,
            Finding::Whole { deltas } if deltas >= PROOF => Answer::Served,
            Finding::Whole { .. } | Finding::Void => Answer::Void,
        }
    }
}

impl Round {
    /// `also`: a match that is asked in any case.
    pub(super) fn new(there: Connection, asks: Asks, also: Option<&MatchKey>, now: Duration) -> Round {
        let count = there.matches.len();
        let is_asked = |at: usize, key: &MatchKey| match asks {
            Asks::All | Asks::Again => true,
            Asks::Newest => at + PROBED >= count || also == Some(key),
            Asks::Trial => at + 1 == count || at < COMPARED,
        };
        let seats = there.matches.into_iter().enumerate().map(|(at, (key, topics))| {
            let answer = if is_asked(at, &key) { Answer::Awaited } else { Answer::NotAsked };
            Seat { key, topics, answer }
        });
        let (slot, generation, held) = (there.slot, there.generation, there.held);
        let (doubted, again_at, tries, until) = (Vec::new(), None, 0, now + ROUND_FOR);
        Round { slot, generation, held, seats: seats.collect(), asks, doubted, again_at, tries, until }
    }

    /// All others are asked, too.
    pub(super) fn ask_all(&mut self, now: Duration) {
        for seat in self.seats.iter_mut().filter(|seat| seat.answer == Answer::NotAsked) {
            seat.answer = Answer::Awaited;
        }
        (self.asks, self.until) = (Asks::All, now + ROUND_FOR);
    }

    /// Those that missed deltas are to be asked again after a while; whether they were not asked too often already.
    pub(super) fn doubt(&mut self, now: Duration) -> bool {
        if self.asks == Asks::All {
            self.doubted = self.missed().iter().map(|seat| seat.key.clone()).collect();
        }
        self.asks = Asks::Again;
        self.again_at = Some(now + AGAIN_AFTER * 2_u32.saturating_pow(self.tries));
        self.tries += 1;
        self.tries <= AGAIN_MOST
    }

    /// Whether it is time to ask those again; they are awaited then.
    pub(super) fn asks_again(&mut self, now: Duration) -> bool {
        if self.again_at.take_if(|at| now >= *at).is_none() {
            return false;
        }
        self.until = now + ROUND_FOR;
        for seat in self.seats.iter_mut().filter(|seat| self.doubted.contains(&seat.key)) {
            seat.answer = Answer::Awaited;
        }
        true
    }

    /// Whether any of those that were asked again changed. One that did not is taken for what most are, then.
    pub(super) fn decides(&mut self) -> bool {
        let doubted = |seat: &&mut Seat| self.doubted.contains(&seat.key);
        let (mut missed, mut served) = (0, 0);
        for seat in self.seats.iter_mut().filter(doubted) {
            missed += u32::from(seat.answer == Answer::Missed);
            served += u32::from(seat.answer == Answer::Served);
        }
        let rest = if missed >= served { Answer::Missed } else { Answer::Served };
        if missed + served > 0 {
            let unchanged = |seat: &&mut Seat| seat.answer == Answer::Void;
            let rests = self.seats.iter_mut().filter(doubted).filter(unchanged);
            rests.for_each(|seat| seat.answer = rest);
        }
        missed + served > 0
    }

    /// Those that are still to answer.
    pub(super) fn awaited(&self) -> Vec<MatchKey> {
        let awaited = self.seats.iter().filter(|seat| seat.answer == Answer::Awaited);
        awaited.map(|seat| seat.key.clone()).collect()
    }

    /// Whether this is an answer that is waited for; it is noted then.
    pub(super) fn takes(&mut self, key: &MatchKey, answer: Answer) -> bool {
        let awaited = |seat: &&mut Seat| seat.key == *key && seat.answer == Answer::Awaited;
        let seat = self.seats.iter_mut().find(awaited);
        seat.map(|seat| seat.answer = answer).is_some()
    }

    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.again_at.is_none()
            && (now >= self.until || self.seats.iter().all(|seat| seat.answer != Answer::Awaited))
    }

    /// Nothing is waited for any more: who did not answer proves nothing.
    pub(super) fn close(&mut self) {
        for seat in self.seats.iter_mut().filter(|seat| seat.answer == Answer::Awaited) {
            seat.answer = Answer::Void;
        }
    }

    pub(super) fn look(&self) -> Look {
        let count = |of: fn(Answer) -> bool| self.seats.iter().filter(|seat| of(seat.answer)).count();
        Look {
            slot: self.slot,
            held: self.held,
            audited: count(|answer| answer != Answer::NotAsked),
            missed: count(|answer| answer == Answer::Missed),
        }
    }

    pub(super) fn missed(&self) -> Vec<&Seat> {
        self.seats.iter().filter(|seat| seat.answer == Answer::Missed).collect()
    }

    /// With how many subscriptions it was served in full: those newer than the newest match of which that is known do not count.
    pub(super) fn proven(&self) -> u32 {
        if !self.seats.iter().any(|seat| seat.answer == Answer::Served) {
            return 0;
        }
        let newer = self.seats.iter().rev().take_while(|seat| seat.answer != Answer::Served);
        self.held.saturating_sub(newer.map(|seat| seat.topics).sum())
    }

    /// What is not served in full. A match that proved nothing is taken for what the next older one is that did.
    pub(super) fn surplus(&self) -> Vec<&Seat> {
        let mut last = Answer::Served;
        let mut surplus = Vec::new();
        for seat in &self.seats {
            match seat.answer {
                Answer::Served | Answer::Missed => last = seat.answer,
                Answer::Void | Answer::NotAsked | Answer::Awaited => {}
            }
            if last == Answer::Missed {
                surplus.push(seat);
            }
        }
        surplus
    }
}
