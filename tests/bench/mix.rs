//! What deltas change: mostly prices, and as often as in a real match its clock, its statistics or its score.
//!
//! The share was counted in the one recording that has both streams of the same match (3.2 hours in play): 2,098 changes
//! of its state beside 20,205 changes of its prices, so one in ten. How that tenth is divided is an assumption; no run
//! of an event page's deltas was recorded in public. A change of the event node renders what a price does not.

use crate::payload::{Changes, Generated, Random};

/// Of a thousand deltas.
const CLOCK: usize = 65;
/// Of a thousand deltas; they name a team's node.
const STATISTIC: usize = 30;
/// Of a thousand deltas.
const SCORE: usize = 5;

/// What a delta changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The odds of a selection.
    Price,
    /// The event's clock.
    Clock,
    /// A team's corners.
    Statistic,
    /// The home side's goals, to this many.
    Score(u64),
}

/// A delta.
#[derive(Clone, Debug)]
pub struct Delta {
    /// What it changes.
    pub kind: Kind,
    /// The node it names.
    pub topic: String,
    /// Its body.
    pub body: String,
}

impl Delta {
    /// The next one of a match. With `change` it carries that number, by which it is recognised in what is published.
    pub fn draw(one: Generated, changes: &mut Changes, random: &mut Random, change: Option<u64>) -> Delta {
        let mark = change.map_or_else(String::new, |number| format!("ZC={number};"));
        let drawn = random.below(1_000);
        if drawn >= CLOCK + STATISTIC + SCORE {
            let selection = random.hot(one.selections());
            let tenths = 10 + random.below(90) as u64;
            if let Some(change) = change {
                changes.odds.insert(selection, (tenths, change));
            }
            let body = format!("U|OD={tenths}/10;{mark}|");
            return Delta { kind: Kind::Price, topic: one.selection_path(selection), body };
        }
        if drawn < STATISTIC {
            let side = random.below(2);
            let corners = changes.corners.get_mut(side).map_or(0, |corners| {
                *corners += 1;
                *corners
            });
            // No number: only the event node and selections show one in the document.
            return Delta {
                kind: Kind::Statistic,
                topic: one.team_path(side),
                body: format!("U|S1={corners};|"),
            };
        }
        changes.event = change.unwrap_or_default();
        if drawn < STATISTIC + SCORE {
            changes.goals += 1;
            let goals = changes.goals;
            return Delta {
                kind: Kind::Score(goals),
                topic: one.topic(),
                body: format!("U|SS={goals}-0;{mark}|"),
            };
        }
        changes.seconds += 1;
        let (minutes, seconds) = (changes.seconds / 60, changes.seconds % 60);
        let body = format!("U|TM={minutes};TS={seconds};TU=20260102120000;{mark}|");
        Delta { kind: Kind::Clock, topic: one.topic(), body }
    }

    /// Whether it carries its number.
    pub fn is_numbered(&self) -> bool {
        match self.kind {
            Kind::Price | Kind::Clock | Kind::Score(_) => true,
            Kind::Statistic => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Shape;

    #[test]
    fn one_delta_in_ten_is_no_price() {
        let one = Generated { number: 3, shape: Shape::of_bytes(30_000) };
        let (mut changes, mut random) = (Changes::default(), Random::new(5));
        let drawn: Vec<Delta> =
            (0..20_000).map(|n| Delta::draw(one, &mut changes, &mut random, Some(n))).collect();
        let prices = drawn.iter().filter(|delta| delta.kind == Kind::Price).count();
        assert!((17_700..18_300).contains(&prices), "{prices}");
        let scores: Vec<&Delta> = drawn.iter().filter(|delta| matches!(delta.kind, Kind::Score(_))).collect();
        assert_eq!(scores.len() as u64, changes.goals);
        assert!((60..140).contains(&scores.len()), "{}", scores.len());
        assert!(drawn.iter().all(|delta| delta.is_numbered() == delta.body.contains("ZC=")));
    }
}
