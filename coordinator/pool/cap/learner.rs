//! What one connection of a feed may really hold, learned where more is configured than the server grants. Pure.
//!
//! Two signs: a connection that is lost just after more was asked of it than was ever answered, and subscriptions that get no
//! load while others of the same connection have theirs. The first is believed when it comes three times and no connection holds as much, the second when
//! the same match gets its load on another connection: a page without content gets none anywhere, and is left alone for
//! `IGNORED_FOR`. A third sign is that deltas are missing; that is looked for by `audit`. What was learned is tried again from time to time, one match at a time. Called by `caps`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use touchline_common::model::{MatchKey, SlotId};

/// So many refusals within this time are no accident.
const REFUSALS: usize = 3;
const REFUSALS_WITHIN: Duration = Duration::from_secs(60);
/// A connection that is lost later than this after something was asked of it was not lost for that.
const AT_ONCE: Duration = Duration::from_secs(2);
const REFUSALS_KEPT: usize = 64;
/// Refusals of connections that were full before the cap was learned may show that more is granted than the first ones showed.
const LATE_REFUSALS: Duration = Duration::from_secs(5);
/// How long the matches of a suspicion have to get their loads elsewhere.
const SUSPICION_FOR: Duration = Duration::from_secs(15);
/// A match that got no load elsewhere either is no sign for this long.
const IGNORED_FOR: Duration = Duration::from_secs(600);
/// The first attempt to hold more than was learned; the wait doubles with each that fails.
const RETRY_FIRST: Duration = Duration::from_secs(600);
const RETRY_LAST: Duration = Duration::from_secs(7_200);
/// After an attempt that succeeded, the next.
const RETRY_AGAIN: Duration = Duration::from_secs(60);
/// An attempt that is not settled by then has failed.
const PROBE_FOR: Duration = Duration::from_secs(20);
/// One that has its loads and is not known by then to get all deltas has failed, too.
const AUDITED_FOR: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(in crate::pool) struct Learner {
    configured: u32,
    learned: Option<u32>,
    learned_at: Duration,
    sign: Sign,
    suspicions: Vec<Suspicion>,
    ignored: BTreeMap<MatchKey, Duration>,
    refusals: VecDeque<Refusal>,
    retry_at: Duration,
    retry_after: Duration,
    probe: Option<Probe>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Sign {
    Loads,
    Deltas,
}

/// A connection that gave fewer loads than it was asked for.
#[derive(Debug)]
struct Suspicion {
    slot: SlotId,
    granted: u32,
    /// What it did not give; these are tried elsewhere.
    keys: BTreeSet<MatchKey>,
    until: Duration,
}

/// A connection that was lost while it was asked for more than it had answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Refusal {
    pub(in crate::pool) at: Duration,
    pub(in crate::pool) asked: u32,
    pub(in crate::pool) granted: u32,
    /// How long before something was last asked.
    pub(in crate::pool) quiet: Duration,
}

/// A connection that holds more than was learned, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Probe {
    pub(in crate::pool) slot: SlotId,
    pub(in crate::pool) cap: u32,
    pub(in crate::pool) until: Duration,
    pub(in crate::pool) stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Stage {
    Filling,
    /// It has its loads; whether it also gets its deltas is being found out.
    Audited,
}

impl Learner {
    /// `known`: what an earlier run learned.
    pub(in crate::pool) fn new(configured: u32, known: Option<u32>) -> Self {
        Learner {
            configured,
            learned: known.filter(|cap| (1..configured).contains(cap)),
            learned_at: Duration::ZERO,
            sign: Sign::Loads,
            suspicions: Vec::new(),
            ignored: BTreeMap::new(),
            refusals: VecDeque::new(),
            retry_at: RETRY_FIRST,
            retry_after: RETRY_FIRST,
            probe: None,
        }
    }

    /// The cap that was learned, if it is below the configured one.
    pub(in crate::pool) fn learned(&self) -> Option<u32> {
        self.learned
    }

    pub(in crate::pool) fn cap(&self) -> u32 {
        self.learned.unwrap_or(self.configured)
    }

    pub(in crate::pool) fn cap_of(&self, slot: SlotId) -> u32 {
        let tried = self.probe.filter(|probe| probe.slot == slot).map(|probe| probe.cap);
        let suspected = self.suspicions.iter().find(|of| of.slot == slot).map(|of| of.granted);
        tried.unwrap_or(self.cap()).min(suspected.unwrap_or(u32::MAX))
    }

    pub(in crate::pool) fn is_suspected(&self, slot: SlotId) -> bool {
        self.suspicions.iter().any(|of| of.slot == slot)
    }

    /// Whether a match without a load is no sign: it is being tried elsewhere, or got none there either.
    pub(in crate::pool) fn is_ignored(&self, key: &MatchKey) -> bool {
        self.ignored.contains_key(key) || self.suspicions.iter().any(|of| of.keys.contains(key))
    }

    /// A connection gave so many loads and not those of `keys`; they are tried elsewhere from now on.
    pub(in crate::pool) fn suspect(
        &mut self,
        slot: SlotId,
        granted: u32,
        keys: BTreeSet<MatchKey>,
        now: Duration,
    ) {
        self.suspicions.push(Suspicion { slot, granted, keys, until: now + SUSPICION_FOR });
    }

    /// A match got its load on this connection. Gives the cap if that proves a suspicion against another.
    pub(in crate::pool) fn loaded(&mut self, key: &MatchKey, at: SlotId, now: Duration) -> Option<u32> {
        self.ignored.remove(key);
        let proven = self.suspicions.iter().position(|of| of.slot != at && of.keys.contains(key))?;
        let suspicion = self.suspicions.swap_remove(proven);
        if self.probe.is_some_and(|probe| probe.slot == suspicion.slot) {
            self.probe_failed(now);
            return None;
        }
        self.learn(suspicion.granted, Sign::Loads, now)
    }

    /// Less than some connection has in full is no cap. `held`: the most that one holds with every load; `served`: with which no deltas are
    /// missing, which counts where deltas were the sign. Gives the new cap if that disproves what was learned.
    pub(in crate::pool) fn held(&mut self, held: u32, served: u32) -> Option<u32> {
        self.refusals.retain(|of| of.asked > held);
        let granted = match self.sign {
            Sign::Loads => held,
            Sign::Deltas => served,
        };
        if self.learned.is_none_or(|learned| learned >= granted) || self.probe.is_some() {
            return None;
        }
        self.learned = (granted < self.configured).then_some(granted);
        Some(self.cap())
    }

    /// A connection was lost soon after it was asked for more. `elsewhere`: what another one of the feed holds at the moment.
    /// Gives the cap if that proves one.
    pub(in crate::pool) fn refused(&mut self, slot: SlotId, refusal: Refusal, elsewhere: u32) -> Option<u32> {
        let now = refusal.at;
        if self.probe.is_some_and(|probe| probe.slot == slot) {
            self.probe_failed(now);
            return None;
        }
        // A server that answered nothing has another trouble than a cap; and what another connection holds is granted.
        let unasked = refusal.quiet > AT_ONCE || refusal.granted >= refusal.asked;
        if unasked || refusal.granted == 0 || refusal.asked <= elsewhere {
            return None;
        }
        if let Some(learned) = self.learned
            && now.saturating_sub(self.learned_at) <= LATE_REFUSALS
            && refusal.asked > learned
        {
            return (refusal.granted > learned)
                .then(|| self.learn_anew(refusal.granted, Sign::Loads, now))
                .flatten();
        }
        self.refusals.retain(|of| now.saturating_sub(of.at) < REFUSALS_WITHIN);
        self.refusals.push_back(refusal);
        if self.refusals.len() > REFUSALS_KEPT {
            self.refusals.pop_front();
        }
        let least_asked = self.refusals.iter().map(|of| of.asked).min()?;
        let granted =
            self.refusals.iter().map(|of| of.granted).filter(|granted| *granted < least_asked).max()?;
        (self.refusals.len() >= REFUSALS).then(|| {
            // What was answered before the end is the least that is granted; half of what was asked is the next guess.
            let guess = granted.max(elsewhere).max(least_asked / 2).min(least_asked - 1);
            self.refusals.clear();
            self.learn(guess, Sign::Loads, now)
        })?
    }

    /// What time settles: matches that got no load elsewhere either are ignored, an attempt that lasts too long has failed.
    pub(in crate::pool) fn tick(&mut self, now: Duration) {
        self.ignored.retain(|_, until| *until > now);
        let (over, on): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.suspicions).into_iter().partition(|of| of.until <= now);
        self.suspicions = on;
        for suspicion in over {
            self.ignored.extend(suspicion.keys.into_iter().map(|key| (key, now + IGNORED_FOR)));
        }
        match self.probe.filter(|probe| probe.until <= now).map(|probe| probe.stage) {
            Some(Stage::Filling) => self.probe_failed(now),
            // Its loads alone are not believed.
            Some(Stage::Audited) => self.probe_thinned(now),
            None => {}
        }
    }

    /// A process is gone: what was thought of its connection is void.
    pub(in crate::pool) fn gone(&mut self, slot: SlotId) {
        self.suspicions.retain(|of| of.slot != slot);
        self.probe = self.probe.filter(|probe| probe.slot != slot);
    }

    /// Whether some connection is under suspicion, or holds more for a while.
    pub(in crate::pool) fn is_learning(&self) -> bool {
        self.probe.is_some() || !self.suspicions.is_empty()
    }

    /// Whether it is time to see if the server grants more by now.
    pub(in crate::pool) fn may_probe(&self, now: Duration) -> bool {
        self.learned.is_some() && self.probe.is_none() && self.suspicions.is_empty() && now >= self.retry_at
    }

    /// This connection may hold so much for a while.
    pub(in crate::pool) fn probe_above(&mut self, slot: SlotId, cap: u32, now: Duration) {
        let cap = cap.min(self.configured);
        self.probe = Some(Probe { slot, cap, until: now + PROBE_FOR, stage: Stage::Filling });
    }

    /// No connection could be filled to try: later.
    pub(in crate::pool) fn probe_later(&mut self, now: Duration) {
        self.retry_at = now + RETRY_AGAIN;
    }

    pub(in crate::pool) fn probe(&self) -> Option<Probe> {
        self.probe
    }

    pub(in crate::pool) fn probe_held(&mut self, now: Duration) -> Option<u32> {
        let probe = self.probe.take()?;
        self.learned = (probe.cap < self.configured).then_some(probe.cap);
        self.retry_after = RETRY_FIRST;
        self.retry_at = now + RETRY_AGAIN;
        Some(probe.cap)
    }

    /// The connection that was to hold more does, and is audited from now on: that may take longer.
    pub(in crate::pool) fn probe_audited(&mut self, now: Duration) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.stage == Stage::Filling) {
            probe.until = now + AUDITED_FOR;
            probe.stage = Stage::Audited;
        }
    }

    /// The connection that was to hold more does, but lacks deltas.
    pub(in crate::pool) fn probe_thinned(&mut self, now: Duration) {
        self.sign = Sign::Deltas;
        self.probe_failed(now);
    }

    /// What was taken for a surplus misses deltas where fewer are held, too. Gives the cap that holds again.
    pub(in crate::pool) fn thinning_unproven(&mut self) -> Option<u32> {
        (self.sign == Sign::Deltas).then(|| {
            (self.learned, self.sign) = (None, Sign::Loads);
            self.cap()
        })
    }

    pub(in crate::pool) fn sign(&self) -> Sign {
        self.sign
    }

    fn probe_failed(&mut self, now: Duration) {
        self.probe = None;
        self.retry_after = (self.retry_after * 2).min(RETRY_LAST);
        self.retry_at = now + self.retry_after;
    }

    /// A connection grants so much and no more, as was proven on another. Gives the cap if that is a lower one.
    pub(in crate::pool) fn learn(&mut self, cap: u32, sign: Sign, now: Duration) -> Option<u32> {
        (cap >= 1 && cap < self.cap()).then(|| self.learn_anew(cap, sign, now))?
    }

    fn learn_anew(&mut self, cap: u32, sign: Sign, now: Duration) -> Option<u32> {
        self.learned = Some(cap);
        self.sign = sign;
        self.learned_at = now;
        self.retry_at = now + self.retry_after;
        Some(cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::model::FeedId;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn keys(ids: &[&str]) -> BTreeSet<MatchKey> {
        ids.iter().map(|id| MatchKey { feed: FeedId(0), id: (*id).into() }).collect()
    }

    fn key(id: &str) -> MatchKey {
        MatchKey { feed: FeedId(0), id: id.into() }
    }

    fn refusal(at: u64, asked: u32, granted: u32) -> Refusal {
        Refusal { at: s(at), asked, granted, quiet: Duration::ZERO }
    }

    #[test]
    fn a_match_that_loads_elsewhere_proves_the_cap() {
        let mut learner = Learner::new(50, None);
        learner.suspect(SlotId(1), 37, keys(&["a", "b"]), s(3));
        assert_eq!(learner.cap_of(SlotId(1)), 37, "nothing more goes there meanwhile");
        assert_eq!(learner.cap_of(SlotId(2)), 50);
        assert_eq!(learner.loaded(&key("c"), SlotId(2), s(4)), None);
        assert_eq!(learner.loaded(&key("a"), SlotId(1), s(4)), None, "late is not refused");
        assert_eq!(learner.loaded(&key("b"), SlotId(2), s(4)), Some(37));
        assert_eq!((learner.learned(), learner.cap()), (Some(37), 37));
    }

    #[test]
    fn a_match_without_content_anywhere_proves_nothing_and_is_left_alone() {
        let mut learner = Learner::new(50, None);
        learner.suspect(SlotId(1), 49, keys(&["empty"]), s(3));
        learner.tick(s(17));
        assert!(
            learner.is_ignored(&key("empty")) && learner.is_suspected(SlotId(1)),
            "it is tried elsewhere"
        );
        learner.tick(s(18));
        assert!(learner.is_ignored(&key("empty")) && !learner.is_suspected(SlotId(1)));
        assert_eq!((learner.learned(), learner.cap_of(SlotId(1))), (None, 50));
        learner.tick(s(700));
        assert!(!learner.is_ignored(&key("empty")), "not for ever");
    }

    #[test]
    fn a_refusal_may_be_an_accident_three_are_a_cap() {
        let mut learner = Learner::new(50, None);
        assert_eq!(learner.refused(SlotId(1), refusal(1, 41, 37), 0), None);
        assert_eq!(learner.refused(SlotId(1), refusal(2, 41, 37), 0), None);
        assert_eq!(learner.refused(SlotId(1), refusal(3, 41, 36), 0), Some(37));
        assert_eq!(learner.cap(), 37);
        let mut learner = Learner::new(50, None);
        assert_eq!(learner.refused(SlotId(1), refusal(1, 41, 37), 0), None);
        assert_eq!(learner.refused(SlotId(1), refusal(70, 41, 36), 0), None, "long ago");
        assert_eq!(learner.refused(SlotId(1), refusal(90, 41, 36), 0), None);
    }

    #[test]
    fn a_connection_that_broke_while_nothing_was_asked_was_not_refused() {
        let mut learner = Learner::new(50, None);
        for at in 1..10 {
            let broke = Refusal { quiet: s(3), ..refusal(at, 41, 37) };
            assert_eq!(learner.refused(SlotId(1), broke, 0), None);
        }
    }

    #[test]
    fn a_connection_that_holds_more_disproves_what_was_learned() {
        let mut learner = Learner::new(50, None);
        learner.refused(SlotId(1), refusal(1, 20, 17), 0);
        learner.refused(SlotId(1), refusal(2, 20, 17), 0);
        assert_eq!(learner.held(20, 0), None, "but the refusals are forgotten");
        assert_eq!(learner.refused(SlotId(1), refusal(3, 20, 17), 0), None);
        let mut learner = Learner::new(50, Some(17));
        assert_eq!((learner.held(17, 0), learner.held(20, 0)), (None, Some(20)));
        assert_eq!((learner.held(50, 0), learner.learned()), (Some(50), None));
    }

    #[test]
    fn a_server_that_answers_nothing_or_holds_as_much_elsewhere_teaches_nothing() {
        let mut learner = Learner::new(50, None);
        for at in 1..10 {
            assert_eq!(learner.refused(SlotId(1), refusal(at, 41, 0), 0), None);
            assert_eq!(learner.refused(SlotId(2), refusal(at, 41, 20), 41), None);
        }
        assert_eq!(learner.learned(), None);
    }

    #[test]
    fn few_answers_before_the_end_lead_to_half_and_late_refusals_to_more() {
        let mut learner = Learner::new(50, None);
        learner.refused(SlotId(1), refusal(1, 42, 1), 0);
        learner.refused(SlotId(4), refusal(1, 42, 1), 0);
        assert_eq!(learner.refused(SlotId(2), refusal(1, 42, 2), 0), Some(21));
        assert_eq!(learner.refused(SlotId(3), refusal(2, 42, 37), 0), Some(37));
        assert_eq!(learner.refused(SlotId(4), refusal(2, 42, 30), 0), None);
        assert_eq!(learner.cap(), 37);
    }

    #[test]
    fn more_is_tried_after_a_while_and_believed_when_it_holds() {
        let mut learner = Learner::new(50, Some(37));
        assert!(!learner.may_probe(s(599)) && learner.may_probe(s(600)));
        learner.probe_above(SlotId(1), 38, s(600));
        assert_eq!((learner.cap_of(SlotId(1)), learner.cap_of(SlotId(2))), (38, 37));
        assert_eq!(learner.probe_held(s(606)), Some(38));
        assert_eq!(learner.learned(), Some(38));
        assert!(!learner.may_probe(s(665)) && learner.may_probe(s(666)));
    }

    #[test]
    fn a_probe_that_fails_changes_nothing_and_the_next_waits_twice_as_long() {
        let mut learner = Learner::new(50, Some(37));
        learner.probe_above(SlotId(1), 38, s(600));
        assert_eq!(learner.refused(SlotId(1), refusal(601, 38, 37), 0), None);
        assert_eq!((learner.learned(), learner.probe()), (Some(37), None));
        assert!(!learner.may_probe(s(1_800)) && learner.may_probe(s(1_801)));
        learner.probe_above(SlotId(1), 38, s(1_801));
        learner.tick(s(1_821));
        assert_eq!(learner.probe(), None);
        assert!(!learner.may_probe(s(4_220)) && learner.may_probe(s(4_221)));
        let mut raised = Learner::new(38, Some(37));
        raised.probe_above(SlotId(1), 39, s(1));
        raised.probe_held(s(2));
        assert_eq!((raised.learned(), raised.cap()), (None, 38), "as configured");
    }

    #[test]
    fn what_was_thought_of_a_process_ends_with_it() {
        let mut learner = Learner::new(50, Some(40));
        learner.suspect(SlotId(1), 37, keys(&["a"]), s(3));
        learner.probe_above(SlotId(2), 41, s(3));
        learner.gone(SlotId(1));
        learner.gone(SlotId(3));
        assert!(!learner.is_suspected(SlotId(1)) && learner.probe().is_some());
        learner.gone(SlotId(2));
        assert_eq!(learner.probe(), None);
        assert_eq!(learner.loaded(&key("a"), SlotId(3), s(4)), None);
    }
}
