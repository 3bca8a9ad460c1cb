//! Matches that are over: those whose worker is still to see it, those that the recorder is still to learn of, and the newest for `matches`.
//!
//! The recorder learns of an end when the match's worker has seen the release; it waits for what that still holds, at most 5 s.

use super::matches::Holder;
use std::collections::VecDeque;
use touchline_common::model::{Epoch, MatchKey};

/// Ended matches that `matches` still shows.
const SHOWN: usize = 1_000;
/// Ends that are kept for a recorder that is away; beyond that the oldest is forgotten (its document stays stale).
const UNREPORTED: usize = 10_000;

#[derive(Debug, Default)]
pub(in crate::pool) struct Ended {
    pub(in crate::pool) count: u64,
    newest: VecDeque<EndedMatch>,
    /// Those whose release their workers have not seen yet.
    pub(in crate::pool) releasing: Vec<Releasing>,
    unreported: VecDeque<(MatchKey, Epoch)>,
}

/// A match that is over and whose workers are still to see it.
#[derive(Clone, Debug)]
pub(in crate::pool) struct Releasing {
    pub(in crate::pool) key: MatchKey,
    /// The highest that was given out when it ended: under a higher one the match is assigned anew.
    pub(in crate::pool) epoch: Epoch,
    pub(in crate::pool) holders: Vec<Holder>,
}

/// A match that is over, for `matches --state ended`.
#[derive(Clone, Debug)]
pub(in crate::pool) struct EndedMatch {
    pub(in crate::pool) key: MatchKey,
    pub(in crate::pool) name: Option<String>,
    pub(in crate::pool) why: &'static str,
}

impl Ended {
    pub(in crate::pool) fn push(&mut self, ended: EndedMatch) {
        self.count += 1;
        if self.newest.len() >= SHOWN {
            self.newest.pop_front();
        }
        self.newest.push_back(ended);
    }

    /// The newest last.
    pub(in crate::pool) fn newest(&self) -> impl Iterator<Item = &EndedMatch> {
        self.newest.iter()
    }

    /// The recorder is away: it learns of this end when it is back.
    pub(in crate::pool) fn report_later(&mut self, key: MatchKey, epoch: Epoch) {
        if self.unreported.len() >= UNREPORTED {
            self.unreported.pop_front();
        }
        self.unreported.push_back((key, epoch));
    }

    pub(in crate::pool) fn take_unreported(&mut self) -> VecDeque<(MatchKey, Epoch)> {
        std::mem::take(&mut self.unreported)
    }
}
