//! A worker's slot: its life, what it reported, and the account of its subscriptions.
//!
//! Invariant: [`Slot::load`] counts a subscription from the moment it is asked for until the worker has seen that it
//! is release, so that placing by it can never pass the cap, whatever is in flight.

use crate::pool::children::life::{Life, Peers};
use crate::pool::children::recovery::Outage;
use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;
use touchline_common::ipc::messages::worker::{ConnectionState, LoadReport};
use touchline_common::model::{Epoch, FeedId, Generation, MatchKey, SlotId};

#[derive(Debug)]
pub(in crate::pool) struct Slot {
    pub(in crate::pool) id: SlotId,
    pub(in crate::pool) life: Life,
    /// The feed of its process, or of the last one.
    pub(in crate::pool) feed: Option<FeedId>,
    pub(in crate::pool) report: LoadReport,
    pub(in crate::pool) session: Session,
    pub(in crate::pool) upstream: Upstream,
    pub(in crate::pool) matches: BTreeSet<MatchKey>,
    pub(in crate::pool) busy_since: Option<Duration>,
    pub(in crate::pool) idle_since: Option<Duration>,
    /// Matches that were here when it was given up on.
    pub(in crate::pool) suspects: Vec<Suspect>,
    account: Account,
}

#[derive(Debug, Default)]
pub(in crate::pool) struct Session {
    pub(in crate::pool) pulse: Pulse,
    pub(in crate::pool) data: Data,
    pub(in crate::pool) details_asked: Option<Duration>,
}

#[derive(Debug, Default)]
pub(in crate::pool) struct Upstream {
    pub(in crate::pool) state: ConnectionState,
    /// Why it is not up, as the worker last reported; empty while it is.
    pub(in crate::pool) trouble: String,
    /// When something last came of what was asked on it, or it changed itself.
    pub(in crate::pool) changed_at: Duration,
    /// Since it was lost, until all is followed again.
    pub(in crate::pool) outage: Option<Outage>,
    /// When the log last said that it is back.
    pub(in crate::pool) back_told: Option<Duration>,
}

impl Upstream {
    /// A match is followed here no more, or again.
    pub(in crate::pool) fn forget(&mut self, key: &MatchKey, now: Duration) {
        if let Some(outage) = &mut self.outage {
            outage.missing.found(key, now);
        }
    }
}

/// The subscriptions of a worker, those among them that it has not seen yet.
#[derive(Debug, Default)]
struct Account {
    /// Topics of the seats, and 1 for the list.
    held: u32,
    /// `Assign`, `Release` and `FollowList` sent.
    commands: u64,
    unseen: VecDeque<Unseen>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Suspect {
    pub(in crate::pool) key: MatchKey,
    pub(in crate::pool) epochs: RangeInclusive<Epoch>,
}

impl Suspect {
    pub(in crate::pool) fn is_at(&self, epoch: Epoch) -> bool {
        self.epochs.contains(&epoch)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pool) enum Pulse {
    #[default]
    Regular,
    /// None for `ProcessTiming::silent_after`.
    Silent,
}

/// Its data channel to the recorder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pool) enum Data {
    #[default]
    None,
    Given(Duration),
    Open,
}

/// A command that it has not seen, and what it changes.
#[derive(Clone, Copy, Debug)]
struct Unseen {
    command: u64,
    asked: u32,
    released: u32,
}

impl Slot {
    pub(in crate::pool) fn new(id: SlotId) -> Self {
        Slot {
            id,
            life: Life::new(Peers::Many, Generation(0)),
            feed: None,
            report: LoadReport::default(),
            session: Session::default(),
            upstream: Upstream::default(),
            matches: BTreeSet::new(),
            busy_since: None,
            idle_since: None,
            suspects: Vec::new(),
            account: Account::default(),
        }
    }

    /// A new process begins with nothing.
    pub(in crate::pool) fn begin(&mut self, feed: FeedId) {
        self.feed = Some(feed);
        self.report = LoadReport::default();
        self.session = Session::default();
        self.upstream = Upstream::default();
        self.busy_since = None;
        self.idle_since = None;
        self.clear();
    }

    /// Nothing is followed here any more.
    pub(in crate::pool) fn clear(&mut self) {
        self.matches.clear();
        self.account = Account::default();
    }

    pub(in crate::pool) fn takes_work(&self) -> bool {
        self.life.is_ready() && self.session.pulse == Pulse::Regular && !self.life.is_announced()
    }

    /// Subscriptions are asked for: from now on they count. Gives the command's number.
    pub(in crate::pool) fn asked(&mut self, topics: u32) -> u64 {
        self.account.held += topics;
        self.command(topics, 0)
    }

    /// Subscriptions are release: they count until the worker has seen it. Gives the command's number.
    pub(in crate::pool) fn released(&mut self, topics: u32) -> u64 {
        self.account.held = self.account.held.saturating_sub(topics);
        self.command(0, topics)
    }

    pub(in crate::pool) fn reported(&mut self, report: LoadReport, now: Duration) {
        let asked = |of: &LoadReport| (of.asked, of.acknowledged, of.loaded, of.subscriptions);
        if asked(&report) != asked(&self.report) {
            self.upstream.changed_at = now;
        }
        while self.account.unseen.front().is_some_and(|of| of.command <= report.commands_seen) {
            self.account.unseen.pop_front();
        }
        self.report = report;
    }

    pub(in crate::pool) fn has_seen(&self, command: u64) -> bool {
        self.report.commands_seen >= command
    }

    pub(in crate::pool) fn is_settled(&self) -> bool {
        self.account.unseen.is_empty()
    }

    /// Subscriptions that were asked for and not yet seen.
    pub(in crate::pool) fn reserved(&self) -> u32 {
        self.account.unseen.iter().map(|of| of.asked).sum()
    }

    /// Everything that counts against the cap; `own` is what each connection needs for itself.
    pub(in crate::pool) fn load(&self, own: u32) -> u32 {
        let releasing: u32 = self.account.unseen.iter().map(|of| of.released).sum();
        (own + self.account.held + releasing).max(self.report.subscriptions.saturating_add(self.reserved()))
    }

    /// What it holds when it has seen every command: who looks for what is too much must not count what leaves already.
    pub(in crate::pool) fn will_hold(&self, own: u32) -> u32 {
        own + self.account.held
    }

    fn command(&mut self, asked: u32, released: u32) -> u64 {
        self.account.commands += 1;
        let command = self.account.commands;
        self.account.unseen.push_back(Unseen { command, asked, released });
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(commands_seen: u64, subscriptions: u32) -> LoadReport {
        LoadReport { commands_seen, subscriptions, ..LoadReport::default() }
    }

    #[test]
    fn a_subscription_counts_from_asking_until_its_end_was_seen() {
        let mut slot = Slot::new(SlotId(1));
        slot.asked(3);
        slot.asked(2);
        assert_eq!((slot.load(1), slot.reserved()), (6, 5));
        slot.reported(report(1, 4), Duration::ZERO);
        assert_eq!((slot.load(1), slot.reserved()), (6, 2));
        slot.released(3);
        assert_eq!(slot.load(1), 6, "the worker still holds it");
        slot.reported(report(2, 6), Duration::ZERO);
        assert_eq!(slot.load(1), 6);
        slot.reported(report(3, 3), Duration::ZERO);
        assert_eq!((slot.load(1), slot.reserved()), (3, 0));
        slot.reported(report(3, 9), Duration::ZERO);
        assert_eq!(slot.load(1), 9, "a worker that holds more than it should is believed");
    }
}
