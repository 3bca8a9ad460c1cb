//! The digests of every state a match was in, under the number of change that was visible in it.
//!
//! Between the messages of one change a document may be rendered, so a number has a set of digests, not one.

use super::json::Digest;
use std::collections::VecDeque;

/// The newest states of a match; bounded, the oldest go first.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Number of change and digest, in the order in which they were true.
    states: VecDeque<(u64, Digest)>,
    bound: usize,
}

/// What is known of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The match was in it under that number.
    True,
    /// Under that number it never was.
    False,
    /// The number is older than what is kept, or was never reached.
    Unknown,
}

impl History {
    pub(crate) fn new(bound: usize) -> Self {
        Self { states: VecDeque::new(), bound: bound.max(16) }
    }

    /// The match is in this state now.
    pub(crate) fn push(&mut self, number: u64, digest: Digest) {
        if self.states.len() >= self.bound {
            self.states.pop_front();
        }
        self.states.push_back((number, digest));
    }

    /// Whether the match was in this state while `number` was visible.
    pub(crate) fn knows(&self, number: u64, digest: Digest) -> Known {
        let start = self.states.partition_point(|(n, _)| *n < number);
        let mut states = self.states.range(start..).take_while(|(n, _)| *n == number).peekable();
        // The oldest kept number may have lost some of its states, so its absence proves nothing.
        let partial = start == 0 && self.states.len() >= self.bound;
        if states.peek().is_none() {
            return Known::Unknown;
        }
        if states.any(|(_, known)| *known == digest) {
            return Known::True;
        }
        if partial { Known::Unknown } else { Known::False }
    }

    /// States long before a number that was verified will not be asked for again.
    pub(crate) fn verified(&mut self, number: u64, slack: u64) {
        let keep = number.saturating_sub(slack);
        while self.states.front().is_some_and(|(n, _)| *n < keep) {
            self.states.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_every_state_in_which_it_was_visible() {
        let mut history = History::new(16);
        for (number, digest) in [(1, 10), (1, 11), (2, 11), (3, 12), (3, 13), (3, 14)] {
            history.push(number, Digest(digest));
        }
        let knows = |number, digest| history.knows(number, Digest(digest));
        assert_eq!([knows(1, 10), knows(1, 11), knows(2, 11)], [Known::True; 3]);
        assert_eq!([knows(1, 12), knows(2, 10), knows(3, 11)], [Known::False; 3]);
        assert_eq!([knows(0, 10), knows(4, 14)], [Known::Unknown; 2]);
    }

    #[test]
    fn it_stays_within_its_bound_and_forgets_what_was_verified() {
        let mut history = History::new(16);
        for number in 0..100 {
            history.push(number / 2, Digest(number));
        }
        assert_eq!(history.states.len(), 16);
        assert_eq!(history.knows(42, Digest(1)), Known::Unknown, "the oldest kept may be half there");
        assert_eq!(history.knows(43, Digest(1)), Known::False);
        history.verified(49, 2);
        assert_eq!(history.knows(46, Digest(92)), Known::Unknown);
        assert_eq!(history.knows(47, Digest(94)), Known::True);
    }
}
