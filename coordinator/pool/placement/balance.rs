//! Which matches go where so that workers are alike. Pure: loads in, transfers out.
//!
//! Begins only when the most and the least loaded differ by more than a quarter of the mean, and ends at half of that:
//! between the two nothing is done, so that a match more or less does not set others in motion.

use std::collections::BTreeMap;
use touchline_common::model::{MatchKey, SlotId};

#[derive(Clone, Debug)]
pub(in crate::pool) struct Share {
    pub(in crate::pool) slot: SlotId,
    /// Subscriptions held, reserved, and not yet release.
    pub(in crate::pool) load: u32,
    pub(in crate::pool) room: u32,
    pub(in crate::pool) movable: BTreeMap<MatchKey, u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Transfer {
    pub(in crate::pool) key: MatchKey,
    pub(in crate::pool) from: SlotId,
    pub(in crate::pool) to: SlotId,
    pub(in crate::pool) topics: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::pool) struct Spread {
    pub(in crate::pool) most: u32,
    pub(in crate::pool) least: u32,
    pub(in crate::pool) mean: f64,
}

/// How uneven they are; `None` where there are fewer than two.
pub(in crate::pool) fn spread(shares: &[Share]) -> Option<Spread> {
    let loads = || shares.iter().map(|share| share.load);
    let (most, least) = (loads().max()?, loads().min()?);
    let mean = f64::from(loads().sum::<u32>()) / shares.len() as f64;
    (shares.len() > 1).then_some(Spread { most, least, mean })
}

impl Spread {
    pub(in crate::pool) fn is_wide(&self) -> bool {
        f64::from(self.most - self.least) > self.mean / 4.0
    }

    fn is_narrow(&self) -> bool {
        f64::from(self.most - self.least) <= self.mean / 8.0
    }
}

/// At most `limit` transfers, each from the fullest to the emptiest.
pub(in crate::pool) fn plan(mut shares: Vec<Share>, limit: usize) -> Vec<Transfer> {
    let mut transfers = Vec::new();
    if !spread(&shares).is_some_and(|spread| spread.is_wide()) {
        return transfers;
    }
    while transfers.len() < limit && !spread(&shares).is_none_or(|spread| spread.is_narrow()) {
        let Some(transfer) = next(&shares) else { break };
        for share in &mut shares {
            if share.slot == transfer.from {
                share.load -= transfer.topics;
                share.room += transfer.topics;
                share.movable.remove(&transfer.key);
            } else if share.slot == transfer.to {
                // It is not movable here: no match goes twice.
                share.load += transfer.topics;
                share.room = share.room.saturating_sub(transfer.topics);
            }
        }
        transfers.push(transfer);
    }
    transfers
}

/// The largest match of the fullest worker that has one to give, as long as that brings the two nearer and does not just
/// exchange them.
fn next(shares: &[Share]) -> Option<Transfer> {
    let to = shares.iter().min_by_key(|share| (share.load, share.slot))?;
    let given = |from: &Share| {
        let most = (from.load.saturating_sub(to.load) / 2).min(to.room);
        let fitting = from.movable.iter().filter(|(_, topics)| **topics > 0 && **topics <= most);
        let (key, topics) = fitting.min_by_key(|(key, topics)| (u32::MAX - **topics, *key))?;
        let rank = (u32::MAX - from.load, from.slot);
        Some((rank, Transfer { key: key.clone(), from: from.slot, to: to.slot, topics: *topics }))
    };
    shares.iter().filter_map(given).min_by_key(|(rank, _)| *rank).map(|(_, transfer)| transfer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use touchline_common::model::FeedId;

    fn share(slot: u16, cap: u32, topics: &[u32]) -> Share {
        let key = |n: usize| MatchKey { feed: FeedId(0), id: format!("{slot}-{n:03}").as_str().into() };
        let load = topics.iter().sum();
        Share {
            slot: SlotId(slot),
            load,
            room: cap.saturating_sub(load),
            movable: topics.iter().enumerate().map(|(n, topics)| (key(n), *topics)).collect(),
        }
    }

    #[test]
    fn an_empty_worker_gets_its_share_and_then_nothing_moves() {
        let shares = vec![share(1, 50, &[1; 20]), share(2, 50, &[1; 20]), share(3, 50, &[])];
        let transfers = plan(shares, 100);
        assert_eq!(transfers.len(), 13, "{transfers:?}");
        assert!(transfers.iter().all(|transfer| transfer.to == SlotId(3)));
    }

    #[test]
    fn a_spread_of_a_quarter_is_left_alone() {
        assert_eq!(plan(vec![share(1, 50, &[1; 18]), share(2, 50, &[1; 14])], 100), []);
        assert!(!plan(vec![share(1, 50, &[1; 19]), share(2, 50, &[1; 14])], 100).is_empty());
        assert_eq!(plan(vec![share(1, 50, &[1]), share(2, 50, &[])], 100), [], "an exchange is no gain");
        assert_eq!(plan(vec![share(1, 50, &[1; 9])], 100), []);
        assert_eq!(plan(Vec::new(), 100), []);
    }

    #[test]
    fn a_full_worker_whose_matches_rest_does_not_keep_the_others_from_giving() {
        let mut shares = vec![share(1, 50, &[1; 40]), share(2, 50, &[1; 40]), share(3, 50, &[])];
        shares[0].movable.clear();
        let transfers = plan(shares, 100);
        assert!(
            !transfers.is_empty() && transfers.iter().all(|transfer| transfer.from == SlotId(2)),
            "{transfers:?}"
        );
    }

    #[test]
    fn there_are_never_more_steps_than_allowed() {
        assert_eq!(plan(vec![share(1, 50, &[1; 40]), share(2, 50, &[])], 7).len(), 7);
    }

    proptest! {
        #[test]
        fn steps_narrow_the_spread_move_nothing_twice_and_keep_the_cap(
            workers in prop::collection::vec(prop::collection::vec(1u32..5, 0..20), 0..6),
            limit in 0usize..40,
        ) {
            let cap = 80;
            let shares: Vec<Share> =
                workers.iter().enumerate().map(|(n, topics)| share(n as u16 + 1, cap, topics)).collect();
            let transfers = plan(shares.clone(), limit);
            prop_assert!(transfers.len() <= limit);
            let mut loads: BTreeMap<SlotId, u32> = shares.iter().map(|s| (s.slot, s.load)).collect();
            let mut seen = std::collections::BTreeSet::new();
            let width = |loads: &BTreeMap<SlotId, u32>| {
                loads.values().max().unwrap_or(&0) - loads.values().min().unwrap_or(&0)
            };
            let before = width(&loads);
            for transfer in &transfers {
                prop_assert!(seen.insert(transfer.key.clone()));
                let topics = shares.iter().find(|s| s.slot == transfer.from).and_then(|s| s.movable.get(&transfer.key));
                prop_assert_eq!(topics, Some(&transfer.topics));
                *loads.get_mut(&transfer.from).unwrap() -= transfer.topics;
                *loads.get_mut(&transfer.to).unwrap() += transfer.topics;
                prop_assert!(loads[&transfer.to] <= cap && loads[&transfer.to] <= loads[&transfer.from] );
                prop_assert!(width(&loads) <= before);
            }
        }
    }
}
