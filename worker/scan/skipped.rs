//! Messages of the server that could not be used, reported in the log.
//!
//! A server may send a million of them: the first is logged at once, then a line a minute with their number, and each at
//! level debug where it is skipped. Nothing is logged of deltas for what is not held: those are on their way whenever
//! something is given up. Called by the loop.

use crate::payload::TreeError;
use std::fmt;
use std::time::{Duration, Instant};

/// At most one line in this time.
const EVERY: Duration = Duration::from_secs(60);

/// What was skipped since the last line.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    count: u64,
    first: String,
    next: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// How many messages since the last line.
    pub(super) count: u64,
    /// Why the first of them.
    pub(super) why: String,
}

impl Skipped {
    pub(super) fn note(&mut self, why: &dyn fmt::Display) {
        if self.count == 0 {
            self.first = why.to_string();
        }
        self.count += 1;
    }

    /// A message was not applied, unless that is to be expected.
    pub(super) fn note_tree(&mut self, why: &TreeError) {
        match why {
            TreeError::TopicNotHeld { .. }
            | TreeError::MissingTarget { .. }
            | TreeError::MissingParent { .. } => {}
            TreeError::TopicTaken { .. }
            | TreeError::Topics { .. }
            | TreeError::NoList { .. }
            | TreeError::NotALoad { .. }
            | TreeError::UnknownOperation { .. }
            | TreeError::IncompleteInsert { .. }
            | TreeError::Cycle { .. }
            | TreeError::Nodes { .. }
            | TreeError::Bytes { .. }
            | TreeError::Depth { .. }
            | TreeError::Command { .. }
            | TreeError::Ranking { .. }
            | TreeError::Json { .. }
            | TreeError::Delta { .. }
            | TreeError::NotAList { .. }
            | TreeError::PointsNowhere { .. } => self.note(why),
        }
    }

    pub(super) fn due(&mut self, now: Instant) -> Option<Summary> {
        if self.count == 0 || self.next.is_some_and(|next| now < next) {
            return None;
        }
        self.next = now.checked_add(EVERY);
        Some(Summary { count: std::mem::take(&mut self.count), why: std::mem::take(&mut self.first) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_reported_at_once_and_the_rest_a_minute_later_with_their_number() {
        let mut now = Instant::now();
        let mut skipped = Skipped::default();
        assert_eq!(skipped.due(now), None);
        skipped.note(&"one");
        assert_eq!(skipped.due(now), Some(Summary { count: 1, why: "one".to_owned() }));
        for number in 0..1_000_000_u32 {
            skipped.note(&number);
        }
        now += EVERY - Duration::from_millis(1);
        assert_eq!(skipped.due(now), None);
        now += Duration::from_millis(1);
        assert_eq!(skipped.due(now), Some(Summary { count: 1_000_000, why: "0".to_owned() }));
        now += EVERY;
        assert_eq!(skipped.due(now), None, "nothing more");
    }

    #[test]
    fn what_is_on_its_way_when_something_is_given_up_is_no_news() {
        let now = Instant::now();
        let mut skipped = Skipped::default();
        skipped.note_tree(&TreeError::TopicNotHeld { topic: "t".to_owned() });
        skipped.note_tree(&TreeError::MissingTarget { path: "t/x".to_owned() });
        assert_eq!(skipped.due(now), None);
        skipped.note_tree(&TreeError::NotALoad { topic: "t".to_owned() });
        assert!(skipped.due(now).is_some_and(|summary| summary.count == 1 && summary.why.contains("F|")));
    }
}
