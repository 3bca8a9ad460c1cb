//! The order of one topic's items: what is applied, what is held, what is left out.
//!
//! Invariants: nothing is given before the snapshot, and behind it only what follows it; what is missing shows as a hole, behind which
//! nothing is given until the next snapshot; no more is held than the bounds allow. Items without numbers are in the order in which they
//! come: those before the snapshot are part of it. Pure; caller: `session`.

use std::collections::VecDeque;
use touchline_common::config::SequenceRule;

/// The number of an item; `from` as the rule says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) at: Option<u64>,
    pub(super) from: Option<u64>,
}

/// What is held of one topic at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) deltas: usize,
    pub(super) bytes: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Order {
    /// None: items have no numbers.
    rule: Option<SequenceRule>,
    bounds: Bounds,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// A snapshot is to come.
    Awaiting(Held),
    /// None: any delta is the next.
    Following(Option<u64>),
}

#[derive(Clone, Debug, Default)]
struct Held {
    deltas: VecDeque<(Numbers, Vec<u8>)>,
    bytes: usize,
}

/// What becomes of a delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Give,
    /// It is part of what was given before.
    Known,
    /// It waits for the snapshot.
    Held,
    /// It cannot be held: what waited is left out with it.
    TooMany,
    /// Something before it is missing: a snapshot is to be asked for. It is held.
    Hole {
        after: Option<u64>,
    },
}

/// What follows a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) deltas: Vec<Vec<u8>>,
    /// The last number that was given, if something is missing behind it: another snapshot is to be asked for.
    pub(super) hole: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fits {
    Next,
    Known,
    Not,
}

impl Order {
    pub(super) fn new(rule: Option<SequenceRule>, bounds: Bounds) -> Order {
        Order { rule, bounds, state: State::Awaiting(Held::default()) }
    }

    /// One that goes on behind `last`.
    pub(super) fn resumed(rule: Option<SequenceRule>, bounds: Bounds, last: Option<u64>) -> Order {
        Order { rule, bounds, state: State::Following(last) }
    }

    pub(super) fn is_following(&self) -> bool {
        matches!(self.state, State::Following(_))
    }

    /// The last number that was given.
    pub(super) fn last(&self) -> Option<u64> {
        match self.state {
            State::Awaiting(_) => None,
            State::Following(last) => last,
        }
    }

    /// The next snapshot is waited for; nothing is held yet.
    pub(super) fn restart(&mut self) {
        self.state = State::Awaiting(Held::default());
    }

    /// A snapshot is given: what was held and follows it.
    pub(super) fn snapshot(&mut self, numbers: Numbers) -> Behind {
        let held = match std::mem::replace(&mut self.state, State::Following(numbers.at)) {
            State::Awaiting(held) => held,
            State::Following(_) => return Behind::default(),
        };
        let (Some(rule), Some(mut last)) = (self.rule, numbers.at) else { return Behind::default() };
        let mut held: Vec<_> = held.deltas.into_iter().collect();
        held.sort_by_key(|(numbers, _)| numbers.at);
        let mut behind = Behind::default();
        let mut held = held.into_iter();
        while let Some((numbers, body)) = held.next() {
            match fits(rule, last, numbers) {
                Fits::Known => {}
                Fits::Next => {
                    last = numbers.at.unwrap_or(last);
                    behind.deltas.push(body);
                }
                Fits::Not => {
                    behind.hole = Some(last);
                    self.restart();
                    self.hold(numbers, body);
                    held.for_each(|(numbers, body)| {
                        self.hold(numbers, body);
                    });
                    return behind;
                }
            }
        }
        self.state = State::Following(Some(last));
        behind
    }

    /// A delta came, with this body.
    pub(super) fn delta(&mut self, numbers: Numbers, body: &[u8]) -> Verdict {
        let last = match (&self.state, self.rule) {
            (State::Awaiting(_), None) => return Verdict::Known,
            (State::Awaiting(_), Some(_)) => return self.hold(numbers, body.to_vec()),
            (State::Following(_), None) => return Verdict::Give,
            (State::Following(last), Some(rule)) => match last {
                Some(before) => match fits(rule, *before, numbers) {
                    Fits::Next => numbers.at,
                    Fits::Known => return Verdict::Known,
                    Fits::Not => {
                        let after = *last;
                        self.restart();
                        self.hold(numbers, body.to_vec());
                        return Verdict::Hole { after };
                    }
                },
                None => numbers.at,
            },
        };
        self.state = State::Following(last);
        Verdict::Give
    }

    fn hold(&mut self, numbers: Numbers, body: Vec<u8>) -> Verdict {
        let State::Awaiting(held) = &mut self.state else { return Verdict::Known };
        // Where it belongs will never be known.
        if numbers.at.is_none() {
            return Verdict::Known;
        }
        if held.deltas.len() >= self.bounds.deltas || held.bytes + body.len() > self.bounds.bytes {
            // The hole that this makes shows behind the snapshot.
            *held = Held::default();
            return Verdict::TooMany;
        }
        held.bytes += body.len();
        held.deltas.push_back((numbers, body));
        Verdict::Held
    }
}

fn fits(rule: SequenceRule, last: u64, numbers: Numbers) -> Fits {
    let Some(at) = numbers.at else { return Fits::Not };
    if at <= last {
        return Fits::Known;
    }
    let follows = match rule {
        SequenceRule::Rising => true,
        // An item that stands for several may begin with some that are known.
        SequenceRule::Next => numbers.from.unwrap_or(at) <= last.saturating_add(1),
        SequenceRule::Previous => numbers.from == Some(last),
    };
    if follows { Fits::Next } else { Fits::Not }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { deltas: 3, bytes: 100 };

    fn at(n: u64) -> Numbers {
        Numbers { at: Some(n), from: None }
    }

    fn following(rule: SequenceRule, n: u64) -> Order {
        let mut order = Order::new(Some(rule), BOUNDS);
        assert_eq!(order.snapshot(at(n)), Behind::default());
        order
    }

    #[test]
    fn what_came_before_the_snapshot_is_held_and_given_if_it_follows() {
        let mut order = Order::new(Some(SequenceRule::Next), BOUNDS);
        for n in [6, 4, 5] {
            assert_eq!(order.delta(at(n), &[n as u8]), Verdict::Held);
        }
        assert_eq!(order.snapshot(at(4)), Behind { deltas: vec![vec![5], vec![6]], hole: None });
        assert_eq!(order.delta(at(7), b""), Verdict::Give);
    }

    #[test]
    fn a_hole_holds_what_follows_until_the_next_snapshot() {
        let mut order = following(SequenceRule::Next, 1);
        assert_eq!(order.delta(at(1), b""), Verdict::Known);
        assert_eq!(order.delta(at(3), b"3"), Verdict::Hole { after: Some(1) });
        assert_eq!(order.delta(at(5), b"5"), Verdict::Held);
        assert_eq!(order.snapshot(at(3)), Behind { deltas: vec![], hole: Some(3) });
        assert_eq!(order.snapshot(at(4)), Behind { deltas: vec![b"5".to_vec()], hole: None });
        assert_eq!(order.last(), Some(5));
    }

    #[test]
    fn rules_and_items_that_stand_for_several() {
        let mut order = following(SequenceRule::Previous, 10);
        assert_eq!(order.delta(Numbers { at: Some(17), from: Some(10) }, b""), Verdict::Give);
        assert_eq!(
            order.delta(Numbers { at: Some(30), from: Some(20) }, b""),
            Verdict::Hole { after: Some(17) }
        );
        let mut order = following(SequenceRule::Next, 10);
        assert_eq!(order.delta(Numbers { at: Some(14), from: Some(9) }, b""), Verdict::Give);
        assert_eq!(
            order.delta(Numbers { at: Some(20), from: Some(16) }, b""),
            Verdict::Hole { after: Some(14) }
        );
        let mut order = following(SequenceRule::Rising, 10);
        assert_eq!(order.delta(at(99), b""), Verdict::Give);
        assert_eq!(order.delta(at(50), b""), Verdict::Known);
    }

    #[test]
    fn a_delta_without_its_number_is_a_hole_and_a_snapshot_without_takes_any_next() {
        let mut order = following(SequenceRule::Next, 1);
        assert_eq!(order.delta(Numbers::default(), b"x"), Verdict::Hole { after: Some(1) });
        assert_eq!(order.snapshot(Numbers::default()), Behind::default());
        assert_eq!(order.delta(at(40), b""), Verdict::Give);
        assert_eq!(order.delta(at(42), b""), Verdict::Hole { after: Some(40) });
    }

    #[test]
    fn no_more_is_held_than_the_bounds_allow() {
        let mut order = Order::new(Some(SequenceRule::Next), BOUNDS);
        let verdicts: Vec<Verdict> = (1..=5).map(|n| order.delta(at(n), b"x")).collect();
        assert_eq!(verdicts, [Verdict::Held, Verdict::Held, Verdict::Held, Verdict::TooMany, Verdict::Held]);
        assert_eq!(order.snapshot(at(2)).hole, Some(2), "what was left out shows");
        assert_eq!(order.delta(at(9), &[0; 101]), Verdict::TooMany);
    }

    #[test]
    fn without_numbers_what_comes_before_the_snapshot_is_part_of_it() {
        let mut order = Order::new(None, BOUNDS);
        assert_eq!(order.delta(Numbers::default(), b"x"), Verdict::Known);
        assert_eq!(order.snapshot(Numbers::default()), Behind::default());
        assert_eq!(order.delta(Numbers::default(), b"x"), Verdict::Give);
    }
}
