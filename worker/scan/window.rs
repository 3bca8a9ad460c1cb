//! The sliding window of strategy `dumps`: which matches are subscribed at the moment. Pure.
//!
//! A match is subscribed, its loads are awaited, it is let go, and the next in line takes its place; so a connection goes round
//! any number of matches with as many subscriptions as the server grants. Invariants: never more than `room` topics are
//! subscribed; each match is in line or subscribed, exactly one; none is asked for more often than `every`, and none holds its place for longer
//! than `PATIENCE`. Called by `dumps`.

use crate::payload::MatchSlot;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A match whose load does not come for so long is let go; it has its turn again.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Window {
    room: usize,
    every: Duration,
    line: VecDeque<Waiting>,
    open: Vec<Open>,
    held: usize,
    round: Round,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    slot: MatchSlot,
    topics: usize,
    not_before: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    slot: MatchSlot,
    topics: usize,
    loads: usize,
    since: Instant,
}

/// How long it takes from one load of a match to its next, by one of the matches.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    marker: Option<MatchSlot>,
    at: Option<Instant>,
    took: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slide {
    Ask(MatchSlot),
    /// Its load did not come: unsubscribe.
    GiveUp(MatchSlot),
}

impl Window {
    /// An empty window of so many topics; `every`: a match is asked for at most once in this time.
    pub fn new(room: usize, every: Duration) -> Window {
        Window { room, every, line: VecDeque::new(), open: Vec::new(), held: 0, round: Round::default() }
    }

    /// A match goes round from now on; a new one is next.
    pub fn add(&mut self, slot: MatchSlot, topics: usize) {
        self.line.push_front(Waiting { slot, topics, not_before: None });
    }

    /// A match goes round no more; whether it is subscribed.
    pub fn remove(&mut self, slot: MatchSlot) -> bool {
        self.line.retain(|waiting| waiting.slot != slot);
        if self.round.marker == Some(slot) {
            self.round = Round { took: self.round.took, ..Round::default() };
        }
        self.close(slot).is_some()
    }

    pub fn hasten(&mut self, slot: MatchSlot) {
        if let Some(at) = self.line.iter().position(|waiting| waiting.slot == slot)
            && let Some(waiting) = self.line.remove(at)
        {
            self.line.push_front(Waiting { not_before: None, ..waiting });
        }
    }

    /// One topic's load came; whether the match has all of its loads and is to be unsubscribed.
    pub fn loaded(&mut self, slot: MatchSlot, now: Instant) -> bool {
        let Some(open) = self.open.iter_mut().find(|open| open.slot == slot) else { return false };
        open.loads += 1;
        if open.loads < open.topics {
            return false;
        }
        self.requeue(slot, now);
        true
    }

    pub fn reset(&mut self) {
        for open in self.open.drain(..).rev() {
            self.line.push_front(Waiting { slot: open.slot, topics: open.topics, not_before: None });
        }
        self.held = 0;
        self.round.at = None;
    }

    /// The next thing to do, until there is none.
    pub fn slide(&mut self, now: Instant) -> Option<Slide> {
        if let Some(late) = self.open.iter().find(|open| now >= open.since + PATIENCE) {
            let slot = late.slot;
            self.requeue(slot, now);
            return Some(Slide::GiveUp(slot));
        }
        let next = *self.line.front()?;
        // A match with more topics than there is room for goes alone.
        let fits = self.held == 0 || self.held + next.topics <= self.room;
        if !fits || next.not_before.is_some_and(|at| now < at) {
            return None;
        }
        self.line.pop_front();
        self.held += next.topics;
        self.open.push(Open { slot: next.slot, topics: next.topics, loads: 0, since: now });
        Some(Slide::Ask(next.slot))
    }

    /// When [`Window::slide`] has something to do next, if nothing comes before.
    pub fn deadline(&self) -> Option<Instant> {
        let late = self.open.iter().map(|open| open.since + PATIENCE).min();
        let next = self.line.front().filter(|next| self.held + next.topics <= self.room);
        [late, next.and_then(|next| next.not_before)].into_iter().flatten().min()
    }

    /// How long the last round took.
    pub fn round(&self) -> Option<Duration> {
        self.round.took
    }

    fn requeue(&mut self, slot: MatchSlot, now: Instant) {
        let Some(open) = self.close(slot) else { return };
        let not_before = Some(open.since + self.every);
        self.line.push_back(Waiting { slot, topics: open.topics, not_before });
        if *self.round.marker.get_or_insert(slot) == slot {
            let before = self.round.at.replace(now);
            self.round.took = before.map(|at| now.saturating_duration_since(at)).or(self.round.took);
        }
    }

    fn close(&mut self, slot: MatchSlot) -> Option<Open> {
        let at = self.open.iter().position(|open| open.slot == slot)?;
        let open = self.open.swap_remove(at);
        self.held -= open.topics;
        Some(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(window: &mut Window, now: Instant) -> Vec<u32> {
        let mut asked = Vec::new();
        while let Some(slide) = window.slide(now) {
            match slide {
                Slide::Ask(slot) => asked.push(slot.0),
                Slide::GiveUp(_) => {}
            }
        }
        asked
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn it_slides_on_with_each_load_and_says_how_long_a_round_takes() {
        let start = Instant::now();
        let mut window = Window::new(2, Duration::ZERO);
        for n in (0..5).rev() {
            window.add(MatchSlot(n), 1);
        }
        assert_eq!(asked(&mut window, start), [0, 1]);
        assert!(window.loaded(MatchSlot(1), start + ms(10)));
        assert_eq!(asked(&mut window, start + ms(10)), [2]);
        let mut now = start + ms(10);
        for n in [0, 2, 3, 4, 1, 0] {
            now += ms(100);
            assert!(window.loaded(MatchSlot(n), now), "{n}");
            asked(&mut window, now);
        }
        assert_eq!(window.round(), Some(ms(500)), "from one load of a match to its next");
    }

    #[test]
    fn a_load_that_does_not_come_holds_the_place_for_a_while_only() {
        let start = Instant::now();
        let mut window = Window::new(1, Duration::ZERO);
        window.add(MatchSlot(1), 1);
        window.add(MatchSlot(0), 1);
        assert_eq!(window.slide(start), Some(Slide::Ask(MatchSlot(0))));
        assert_eq!(window.slide(start + ms(4_999)), None);
        assert_eq!(window.deadline(), Some(start + PATIENCE));
        assert_eq!(window.slide(start + PATIENCE), Some(Slide::GiveUp(MatchSlot(0))));
        assert_eq!(window.slide(start + PATIENCE), Some(Slide::Ask(MatchSlot(1))));
    }

    #[test]
    fn no_match_is_asked_for_more_often_than_wanted() {
        let start = Instant::now();
        let mut window = Window::new(4, ms(1_000));
        window.add(MatchSlot(0), 1);
        assert_eq!(asked(&mut window, start), [0]);
        assert!(window.loaded(MatchSlot(0), start + ms(5)));
        assert_eq!(window.slide(start + ms(999)), None);
        assert_eq!(window.deadline(), Some(start + ms(1_000)));
        window.hasten(MatchSlot(0));
        assert_eq!(asked(&mut window, start + ms(6)), [0], "unless it is wanted now");
    }

    #[test]
    fn a_match_of_several_topics_needs_the_loads_of_all_and_a_large_one_goes_alone() {
        let now = Instant::now();
        let mut window = Window::new(2, Duration::ZERO);
        window.add(MatchSlot(1), 3);
        window.add(MatchSlot(0), 2);
        assert_eq!(asked(&mut window, now), [0]);
        assert!(!window.loaded(MatchSlot(0), now));
        assert!(window.loaded(MatchSlot(0), now));
        assert_eq!(asked(&mut window, now), [1]);
        assert!(window.remove(MatchSlot(1)) && !window.remove(MatchSlot(0)));
        assert_eq!(asked(&mut window, now), [] as [u32; 0]);
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_its_room_and_forgets_none(
            steps in prop::collection::vec((0u8..6, 0u32..12), 1..300),
            room in 1usize..6,
        ) {
            let start = Instant::now();
            let mut window = Window::new(room, ms(50));
            let mut members = std::collections::BTreeSet::new();
            for (n, (what, of)) in steps.into_iter().enumerate() {
                let (now, slot) = (start + ms(n as u64 * 30), MatchSlot(of));
                match what {
                    0 if members.insert(of) => window.add(slot, 1),
                    0 => {}
                    1 => { members.remove(&of); window.remove(slot); },
                    2 | 3 => { window.loaded(slot, now); },
                    4 => window.hasten(slot),
                    _ if of == 0 => window.reset(),
                    _ => {}
                }
                asked(&mut window, now);
                prop_assert!(window.held <= room);
                prop_assert_eq!(window.held, window.open.len());
                let mut all: Vec<u32> = window.line.iter().map(|waiting| waiting.slot.0).collect();
                all.extend(window.open.iter().map(|open| open.slot.0));
                all.sort_unstable();
                prop_assert_eq!(all, members.iter().copied().collect::<Vec<_>>());
            }
        }
    }
}
