//! Which matches of a feed are audited, and what the answers say: of a server that goes on above its cap, but leaves out deltas. Pure.
//!
//! Where a connection holds more than any was proven to be served in full, its newest matches are audited, since above a cap those are the
//! surplus. If one misses deltas, so is the rest; and if others of the connection miss none, some of those that do are taken elsewhere, where
//! fewer are held. Served in full there, they prove the cap: what was served on the first connection. If they are not, this server's loads
//! always differ from its deltas, which is no sign for `IGNORED_FOR`. A match that did not change proves nothing: it is asked again later.
//! Called by `audits`.

mod round;
#[cfg(test)]
mod tests;

pub(super) use round::{Asks, Connection, Look};

use round::{Answer, Round, Seat};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use touchline_common::ipc::messages::worker::Finding;
use touchline_common::model::{Generation, MatchKey, SlotId};

/// From a round that proved nothing to the next; doubles.
const WAIT_FIRST: Duration = Duration::from_secs(5);
const WAIT_LAST: Duration = Duration::from_secs(600);
/// Matches that are tried elsewhere.
const WITNESSES: usize = 3;
/// How long these have.
const CONTRAST_FOR: Duration = Duration::from_secs(60);
/// From the load of a witness to its audit; doubles.
const WITNESS_AFTER: Duration = Duration::from_secs(3);
/// What also missed deltas elsewhere is no sign for this long; nor is anything where all do, the longer the more often that was so.
const IGNORED_FOR: Duration = Duration::from_secs(600);
const IGNORED_LAST: Duration = Duration::from_secs(7_200);
/// A worker that found something missing unasked makes its connection be looked at, this long after, and so often at most.
const HINT_AFTER: Duration = Duration::from_secs(10);
const HINT_EVERY: Duration = Duration::from_secs(60);

/// What is known of the deltas that a feed's server leaves out.
#[derive(Debug)]
pub(super) struct Auditor {
    /// One connection was served in full with so many subscriptions.
    proven: u32,
    stage: Stage,
    /// Nothing new is asked before.
    next_at: Duration,
    wait: Duration,
    ignored: BTreeMap<MatchKey, Duration>,
    /// How long nothing is asked where there is nothing to compare with; doubles.
    ignores: Duration,
    /// Connections that were above the cap when it was learned: what they keep may still be thinned, until
    /// it is subscribed again.
    doubtful: BTreeSet<(SlotId, Generation)>,
    hint: Option<Hint>,
    hinted_at: Option<Duration>,
    counts: Counts,
}

/// How many audits there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Answers.
    pub(super) audits: u64,
    /// Answers that said that deltas are missing.
    pub(super) missed: u64,
}

#[derive(Debug)]
enum Stage {
    Idle,
    /// Some matches of one connection are asked.
    Round(Round),
    /// Some that missed deltas there are tried elsewhere.
    Contrast(Contrast),
}

/// A match that missed deltas without anybody having asked.
#[derive(Clone, Debug)]
pub(super) struct Hint {
    pub(super) slot: SlotId,
    pub(super) generation: Generation,
    key: MatchKey,
}

#[derive(Debug)]
struct Contrast {
    slot: SlotId,
    generation: Generation,
    /// What the connection served in full.
    granted: u32,
    /// What it may hold meanwhile: all but the witnesses.
    cap: u32,
    witnesses: BTreeMap<MatchKey, Witness>,
    until: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Witness {
    ask_at: Duration,
    wait: Duration,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// These are to be audited, too, on the connection that is being looked at.
    Ask { slot: SlotId, keys: Vec<MatchKey> },
    /// The connection was looked at.
    Looked(Look),
    /// It serves so many in full, and not these, of which some are taken elsewhere.
    Suspect { look: Look, granted: u32, missing: usize },
    /// What was tried above the learned cap was looked at.
    Tried { look: Look, outcome: Tried },
}

/// What became of one match more than was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// It is served in full.
    Served,
    /// It is not, and others are.
    Thinned,
    /// Others are not either: deltas say nothing here.
    Unlike,
    /// It did not change.
    Unknown,
}

impl Auditor {
    pub(super) fn new() -> Self {
        Auditor {
            proven: 0,
            stage: Stage::Idle,
            next_at: Duration::ZERO,
            wait: WAIT_FIRST,
            ignored: BTreeMap::new(),
            ignores: IGNORED_FOR,
            doubtful: BTreeSet::new(),
            hint: None,
            hinted_at: None,
            counts: Counts::default(),
        }
    }

    /// So many subscriptions of one connection are known to be served in full.
    pub(super) fn proven(&self) -> u32 {
        self.proven
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// There was an audit, whoever asked for it.
    pub(super) fn count(&mut self, finding: Finding) {
        self.counts.audits += 1;
        match finding {
            Finding::Missed { .. } => self.counts.missed += 1,
            Finding::Whole { .. } | Finding::Void => {}
        }
    }

    /// Whether some connection is to be looked at, if there is one that holds more than was proven.
    pub(super) fn may_begin(&self, now: Duration) -> bool {
        matches!(self.stage, Stage::Idle) && now >= self.next_at
    }

    /// The cap is known; this connection holds more than that.
    pub(super) fn doubt(&mut self, slot: SlotId, generation: Generation) {
        self.doubtful.insert((slot, generation));
    }

    /// Whether a connection is to be looked at, though it holds no more than was proven.
    pub(super) fn doubts(&self, slot: SlotId, generation: Generation) -> bool {
        self.doubtful.contains(&(slot, generation))
    }

    /// The connection to look at before others.
    pub(super) fn hint(&self) -> Option<&Hint> {
        self.hint.as_ref()
    }

    /// What this connection may hold while some of its matches are tried elsewhere.
    pub(super) fn cap_of(&self, slot: SlotId) -> Option<u32> {
        self.contrast().filter(|contrast| contrast.slot == slot).map(|contrast| contrast.cap)
    }

    /// Up to how many subscriptions a connection may hold with this match, if it is to be tried elsewhere: where more are held nothing is
    /// proven.
    pub(super) fn most_with(&self, key: &MatchKey) -> Option<u32> {
        self.contrast().filter(|of| of.witnesses.contains_key(key)).map(|contrast| contrast.granted)
    }

    /// The matches that are tried elsewhere.
    pub(super) fn witnesses(&self) -> Vec<MatchKey> {
        self.contrast().map(|contrast| contrast.witnesses.keys().cloned().collect()).unwrap_or_default()
    }

    /// Whether this match is to be tried elsewhere, or is.
    pub(super) fn is_witness(&self, key: &MatchKey) -> bool {
        self.contrast().is_some_and(|contrast| contrast.witnesses.contains_key(key))
    }

    /// The connection whose surplus is tried elsewhere.
    pub(super) fn suspected(&self) -> Option<SlotId> {
        self.contrast().map(|contrast| contrast.slot)
    }

    fn contrast(&self) -> Option<&Contrast> {
        match &self.stage {
            Stage::Contrast(contrast) => Some(contrast),
            Stage::Idle | Stage::Round(_) => None,
        }
    }

    /// Looks at a connection. Gives the matches to be audited.
    pub(super) fn begin(&mut self, there: Connection, asks: Asks, now: Duration) -> Vec<MatchKey> {
        self.doubtful.remove(&(there.slot, there.generation));
        let hinted = self.hint.take().filter(|hint| hint.slot == there.slot).map(|hint| hint.key);
        let round = Round::new(there, asks, hinted.as_ref(), now);
        let keys = round.awaited();
        self.stage = Stage::Round(round);
        keys
    }

    /// A worker tells what an audit found. `held`: what its connection holds. Gives the cap if that proves one.
    pub(super) fn found(
        &mut self,
        key: &MatchKey,
        at: (SlotId, Generation),
        held: u32,
        finding: Finding,
        now: Duration,
    ) -> Option<u32> {
        let answer = Answer::of(finding);
        let ignored = self.ignored.contains_key(key);
        match &mut self.stage {
            Stage::Round(round) if (round.slot, round.generation) == at => {
                let noted = if ignored { Answer::Void } else { answer };
                if round.takes(key, noted) {
                    return None;
                }
            }
            Stage::Contrast(contrast) if contrast.slot != at.0 && contrast.witnesses.contains_key(key) => {
                return self.testified(key, held, answer, now);
            }
            Stage::Idle | Stage::Round(_) | Stage::Contrast(_) => {}
        }
        if answer == Answer::Missed && !ignored {
            self.hinted(key, at, now);
        }
        None
    }

    fn testified(&mut self, key: &MatchKey, held: u32, answer: Answer, now: Duration) -> Option<u32> {
        let Stage::Contrast(contrast) = &mut self.stage else { return None };
        let granted = contrast.granted;
        match answer {
            Answer::Served if held <= granted => {
                self.rest(now + WAIT_FIRST);
                self.ignores = IGNORED_FOR;
                self.proven = granted;
                return Some(granted);
            }
            Answer::Missed if held <= granted => {
                contrast.witnesses.remove(key);
                self.ignored.insert(key.clone(), now + IGNORED_FOR);
                if contrast.witnesses.is_empty() {
                    self.ignore(now);
                }
            }
            // Where as much is held as on the first connection, it proves nothing what becomes of it.
            Answer::Served | Answer::Missed | Answer::Void | Answer::NotAsked | Answer::Awaited => {}
        }
        None
    }

    fn hinted(&mut self, key: &MatchKey, (slot, generation): (SlotId, Generation), now: Duration) {
        if self.hinted_at.is_some_and(|at| now < at + HINT_EVERY) {
            return;
        }
        self.hinted_at = Some(now);
        self.hint = Some(Hint { slot, generation, key: key.clone() });
        self.proven = 0;
        self.next_at = self.next_at.max(now + HINT_AFTER);
    }

    /// What follows from the answers, and from the time.
    pub(super) fn settle(&mut self, now: Duration) -> Option<Step> {
        self.ignored.retain(|_, until| *until > now);
        match &self.stage {
            Stage::Idle => None,
            Stage::Contrast(contrast) => {
                if now >= contrast.until {
                    // They found no place, or did not change there.
                    self.ignore(now);
                }
                None
            }
            Stage::Round(_) => self.settle_round(now),
        }
    }

    fn settle_round(&mut self, now: Duration) -> Option<Step> {
        let Stage::Round(round) = &mut self.stage else { return None };
        if round.asks_again(now) {
            return Some(Step::Ask { slot: round.slot, keys: round.awaited() });
        }
        if !round.is_over(now) {
            return None;
        }
        let Stage::Round(round) = std::mem::replace(&mut self.stage, Stage::Idle) else { return None };
        self.conclude(round, now)
    }

    fn conclude(&mut self, mut round: Round, now: Duration) -> Option<Step> {
        round.close();
        let look = round.look();
        let served = round.seats.iter().any(|seat| seat.answer == Answer::Served);
        match round.asks {
            Asks::Trial => return Some(Step::Tried { look, outcome: self.tried(&round, now) }),
            Asks::Newest if look.missed > 0 => {
                round.ask_all(now);
                let (slot, keys) = (round.slot, round.awaited());
                self.stage = Stage::Round(round);
                return Some(Step::Ask { slot, keys });
            }
            // All loads differ, or nothing else changed.
            Asks::All if look.missed > 0 && !served => self.ignore(now),
            Asks::All if look.missed > 0 => {
                round.doubt(now);
                self.stage = Stage::Round(round);
                return None;
            }
            Asks::Again => return self.conclude_again(round, now),
            Asks::Newest | Asks::All => self.nothing_missed(&round, now),
        }
        Some(Step::Looked(look))
    }

    fn conclude_again(&mut self, mut round: Round, now: Duration) -> Option<Step> {
        if !round.decides() {
            if round.doubt(now) {
                self.stage = Stage::Round(round);
                return None;
            }
            self.wait_longer(now);
        } else if round.missed().is_empty() {
            self.nothing_missed(&round, now);
        } else {
            return Some(self.suspect(&round, now));
        }
        Some(Step::Looked(round.look()))
    }

    fn nothing_missed(&mut self, round: &Round, now: Duration) {
        let proven = round.proven();
        self.proven = self.proven.max(proven);
        if proven >= round.held {
            self.ignores = IGNORED_FOR;
            self.rest(now);
        } else {
            self.wait_longer(now);
        }
    }

    fn suspect(&mut self, round: &Round, now: Duration) -> Step {
        let (look, missed) = (round.look(), round.missed());
        let surplus = round.surplus();
        let granted = round.held.saturating_sub(surplus.iter().map(|seat| seat.topics).sum());
        let witnesses: Vec<&&Seat> = missed.iter().rev().take(WITNESSES).collect();
        let cap = round.held.saturating_sub(witnesses.iter().map(|seat| seat.topics).sum());
        let ask_at = Witness { ask_at: now, wait: WITNESS_AFTER };
        self.stage = Stage::Contrast(Contrast {
            slot: round.slot,
            generation: round.generation,
            granted,
            cap,
            witnesses: witnesses.iter().map(|seat| (seat.key.clone(), ask_at)).collect(),
            until: now + CONTRAST_FOR,
        });
        Step::Suspect { look, granted, missing: surplus.len() }
    }

    fn tried(&mut self, round: &Round, now: Duration) -> Tried {
        let newest = round.seats.last().map_or(Answer::Void, |seat| seat.answer);
        let others = round.seats.iter().rev().skip(1).any(|seat| seat.answer == Answer::Served);
        match newest {
            Answer::Served => {
                self.rest(now);
                self.proven = self.proven.max(round.held);
                Tried::Served
            }
            Answer::Missed if others => {
                self.rest(now + WAIT_FIRST);
                Tried::Thinned
            }
            Answer::Missed => {
                self.rest(now + WAIT_FIRST);
                Tried::Unlike
            }
            Answer::Void | Answer::NotAsked | Answer::Awaited => {
                self.next_at = now + WAIT_FIRST;
                Tried::Unknown
            }
        }
    }

    /// Whether a witness is to be audited now, which was asked for elsewhere at `since`.
    pub(super) fn is_due(&mut self, key: &MatchKey, since: Duration, now: Duration) -> bool {
        let Stage::Contrast(contrast) = &mut self.stage else { return false };
        let Some(witness) = contrast.witnesses.get_mut(key) else { return false };
        let due = now >= witness.ask_at.max(since + WITNESS_AFTER);
        if due {
            *witness = Witness { ask_at: now + witness.wait, wait: witness.wait * 2 };
        }
        due
    }

    /// A process is gone: what was thought of its connection is void.
    pub(super) fn gone(&mut self, slot: SlotId, generation: Generation, now: Duration) {
        self.hint.take_if(|hint| (hint.slot, hint.generation) == (slot, generation));
        self.doubtful.remove(&(slot, generation));
        let concerned = match &self.stage {
            Stage::Idle => false,
            Stage::Round(round) => (round.slot, round.generation) == (slot, generation),
            Stage::Contrast(contrast) => (contrast.slot, contrast.generation) == (slot, generation),
        };
        if concerned {
            self.rest(now + WAIT_FIRST);
        }
    }

    /// Nothing is asked until then.
    fn rest(&mut self, until: Duration) {
        self.stage = Stage::Idle;
        self.wait = WAIT_FIRST;
        self.next_at = until;
    }

    /// There is nothing to compare with for now: loads differ from deltas whoever holds how many, or nobody has room.
    fn ignore(&mut self, now: Duration) {
        self.rest(now + self.ignores);
        self.ignores = (self.ignores * 2).min(IGNORED_LAST);
    }

    /// It proved nothing: later again, and later each time.
    fn wait_longer(&mut self, now: Duration) {
        self.stage = Stage::Idle;
        self.next_at = now + self.wait;
        self.wait = (self.wait * 2).min(WAIT_LAST);
    }
}
