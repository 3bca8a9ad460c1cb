//! What the coordinator asks, and signals.

use super::{Ending, Worker};
use crate::payload::MatchSlot;
use crate::raw::Mark;
use crate::scan::clock::wall_us;
use crate::scan::reporter::Reporter;
use nix::sys::signal::Signal;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::data::EndReason;
use touchline_common::ipc::messages::worker::{
    FromWorker, MatchDetail, MatchReport, MatchState, ReleaseReason, ToWorker,
};
use touchline_common::model::{Epoch, Listing, MatchId, MatchKey};
use touchline_common::sys::signals::Signals;

const DETAILS_AT_ONCE: usize = 500;
/// Characters of a match's name that the coordinator gets: it shows them, and a feed may send any number.
const NAME_CHARS: usize = 200;
/// How long handing over may take after a signal to this worker alone.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(2);

impl Worker {
    /// Takes at most `most` commands; the rest waits for the next turn.
    pub(super) fn take_commands(&mut self, most: usize) {
        for _ in 0..most {
            match self.coordinator.channel.next() {
                Ok(Some((message, request, fd))) => self.obey(message, request, fd),
                Ok(None) => return,
                Err(error) => {
                    log::error!(error:% = error; "worker.channel_broken");
                    return self.end(Ending::Orphaned, SIGNAL_DEADLINE);
                }
            }
        }
        self.coordinator.unread = true;
    }

    fn obey(&mut self, message: ToWorker, request: u32, fd: Option<OwnedFd>) {
        match message {
            ToWorker::Assign { id, epoch, topics, listing } => {
                self.matches.at_epoch(epoch);
                failpoint::hit_for(Point::AssignReceived, id.as_str());
                self.meter.counted.commands_seen += 1;
                self.assign(&id, epoch, topics, listing);
            }
            ToWorker::Release { id, epoch, why } => {
                self.matches.at_epoch(epoch);
                self.meter.counted.commands_seen += 1;
                self.release(&id, epoch, why);
            }
            ToWorker::FollowList => {
                failpoint::hit(Point::ListReceived);
                self.meter.counted.commands_seen += 1;
                self.follow_list();
            }
            ToWorker::UnfollowList => {
                self.meter.counted.commands_seen += 1;
                self.unfollow_list();
            }
            ToWorker::Listed { id, listing } => self.listed(&id, listing),
            ToWorker::Renew { id, epoch } => self.renew(&id, epoch),
            ToWorker::Resync { id } => self.resync(&id),
            ToWorker::Audit { id } => self.audit_asked(&id),
            ToWorker::Data => {
                failpoint::hit(Point::DataReceived);
                self.attach(fd);
            }
            ToWorker::AddWorker => self.turn.new_workers.extend(fd),
            ToWorker::CrashMarker => log::warn!("worker.second_bookmark"),
            ToWorker::PermitConnect => self.source.permit(Instant::now()),
            ToWorker::Details => self.send_details(request),
            ToWorker::Ping => {
                self.send(&FromWorker::Pong);
            }
            ToWorker::LogFilter { filter } => {
                if let Err(error) = self.parts.log.set_filter(&filter) {
                    log::error!(error:% = error; "log.filter_refused");
                }
            }
            ToWorker::LogFile => {
                if let Some(file) = fd {
                    self.parts.log.set_file(file);
                }
            }
            ToWorker::Stop { deadline_ms } => {
                self.end(Ending::Asked, Duration::from_millis(deadline_ms.into()));
            }
            ToWorker::Welcome { .. } => log::warn!("worker.welcomed_twice"),
        }
        self.matches.at_none();
    }

    fn assign(&mut self, id: &MatchId, epoch: Epoch, topics: Vec<String>, listing: Listing) {
        if self.matches.slot(id).is_some() {
            self.listed(id, listing);
            return self.renew(id, epoch);
        }
        let (held, cap) = (self.subscriptions(), self.parts.capacity);
        if held + topics.len() > cap {
            self.meter.error();
            return log::error!(match_id = id.as_str(), held = held, topics = topics.len(), cap = cap; "match.over_cap");
        }
        let known = listing.clone();
        let slot = match self.parts.trees.add_match(&topics, listing) {
            Ok(slot) => slot,
            Err(error) => {
                self.meter.error();
                return log::error!(match_id = id.as_str(), error:% = error; "match.not_taken");
            }
        };
        for topic in &topics {
            self.source.expect(topic, &known);
        }
        self.record_mark(|| {
            let (id, topics) = (id.clone(), topics.clone());
            Mark::Assigned { id, epoch, topics, listing: known }
        });
        let now = Instant::now();
        self.begin_subscription(slot, &topics);
        let key = MatchKey { feed: self.parts.feed, id: id.clone() };
        let handle = self.link.names().add_match(&key, epoch);
        self.matches.insert(slot, key, epoch, handle, topics, now);
        self.meter.report_now = true;
    }

    fn release(&mut self, id: &MatchId, epoch: Epoch, why: ReleaseReason) {
        let Some(slot) = self.matches.slot(id) else { return };
        let Some(handle) = self.matches.get(slot).filter(|held| held.epoch == epoch).map(|held| held.handle)
        else {
            return;
        };
        self.record_mark(|| Mark::Released { id: id.clone(), epoch, why });
        let reason = match why {
            ReleaseReason::Ended => EndReason::Ended,
            ReleaseReason::Moved => EndReason::Moved,
        };
        // The last state of a match that is over must not be lost to the rendering that is still due.
        if why == ReleaseReason::Ended {
            self.publish_last(slot);
        }
        self.reporter().end(handle, reason, wall_us());
        self.audits.removed(slot);
        if let Some(followed) = self.matches.remove(slot) {
            self.end_subscription(slot, &followed.topics);
            self.parts.trees.remove_match(slot);
        }
        failpoint::hit_for(Point::ReleaseAcked, id.as_str());
        self.meter.report_now = true;
    }

    pub(super) fn subscriptions(&self) -> usize {
        let matches: usize = self.matches.iter().map(|(_, followed)| followed.topics.len()).sum();
        matches + usize::from(self.list.is_followed) + usize::from(!self.parts.time_topic.is_empty())
    }

    fn listed(&mut self, id: &MatchId, listing: Listing) {
        let Some(slot) = self.matches.slot(id) else { return };
        for topic in self.matches.topics(slot) {
            self.source.listed(&topic, &listing);
        }
        self.record_mark(|| Mark::Listed { id: id.clone(), listing: listing.clone() });
        let now = Instant::now();
        let received = self.clock.received(now);
        let Worker { parts, matches, link, .. } = self;
        parts.trees.set_listing(slot, listing, received, &mut Reporter { matches, link, now });
    }

    /// A match that is followed already is assigned anew: a new handle stands for it, and all its values go out under that before the old
    /// one ends, as they would from another worker.
    fn renew(&mut self, id: &MatchId, epoch: Epoch) {
        let Some(slot) = self.matches.slot(id) else { return };
        self.record_mark(|| Mark::Renewed { id: id.clone(), epoch });
        let Some(followed) = self.matches.get_mut(slot) else { return };
        let handle = self.link.names().add_match(&followed.key, epoch);
        let old = std::mem::replace(&mut followed.handle, handle);
        followed.epoch = epoch;
        let state = followed.state;
        self.parts.trees.forget_handles(slot);
        self.matches.make_whole(slot);
        self.report_values(slot);
        self.reporter().end(old, EndReason::Moved, wall_us());
        self.report_match(slot, state);
    }

    pub(super) fn reporter(&mut self) -> Reporter<'_> {
        Reporter { matches: &mut self.matches, link: &mut self.link, now: Instant::now() }
    }

    /// Asks for everything that this worker follows: on a new connection. A session that goes on has most of it already.
    pub(super) fn subscribe_all(&mut self) {
        let Worker { parts, source, meter, matches, list, window, .. } = self;
        if !parts.time_topic.is_empty() {
            meter.asked(&parts.time_topic, source.keep(&parts.time_topic));
        }
        if list.is_followed {
            // Always anew: a match whose listing was lost on the way would never be followed.
            meter.asked(&parts.list_topic, source.follow(&parts.list_topic));
        }
        if let Some(window) = window {
            return window.reset();
        }
        let mut followed: Vec<_> = matches.iter().map(|(_, followed)| followed).collect();
        followed.sort_unstable_by_key(|followed| followed.nth);
        for topic in followed.iter().flat_map(|followed| &followed.topics) {
            meter.asked(topic, source.keep(topic));
        }
    }

    pub(super) fn subscribe(&mut self, topic: &str) {
        // Without a connection the next one asks for everything.
        if self.source.is_connected() {
            self.meter.asked(topic, self.source.follow(topic));
        }
    }

    fn attach(&mut self, fd: Option<OwnedFd>) {
        let Some(fd) = fd else { return log::error!("worker.data_missing") };
        let attached = self.link.attach(fd).map_err(|error| error.to_string()).and_then(|raw| {
            self.link.port.open(self.poll.registry(), raw).map_err(|error| error.to_string())
        });
        if let Err(error) = attached {
            self.drop_link(&error);
        }
    }

    fn send_details(&mut self, request: u32) {
        let now = Instant::now();
        let mut matches: Vec<MatchDetail> = self
            .matches
            .iter()
            .map(|(slot, followed)| MatchDetail {
                id: followed.key.id.clone(),
                epoch: followed.epoch,
                state: followed.state,
                age_ms: now.saturating_duration_since(followed.touched_at).as_millis() as u64,
                name: self.parts.trees.name(slot).map(short).unwrap_or_default(),
            })
            .collect();
        loop {
            let rest = matches.split_off(matches.len().min(DETAILS_AT_ONCE));
            let more = !rest.is_empty();
            self.coordinator.send(&FromWorker::Details { matches, more }, request);
            if !more {
                return;
            }
            matches = rest;
        }
    }

    pub(super) fn set_state(&mut self, slot: MatchSlot, state: MatchState) {
        self.matches.at(slot);
        let Some(followed) = self.matches.get_mut(slot) else { return };
        if followed.state != state {
            if (followed.state, state) == (MatchState::Subscribing, MatchState::Live) {
                failpoint::hit_for(Point::MovePrepared, followed.key.id.as_str());
            }
            followed.state = state;
            self.report_match(slot, state);
        }
    }

    fn report_match(&mut self, slot: MatchSlot, state: MatchState) {
        let Some(followed) = self.matches.get(slot) else { return };
        let report = MatchReport {
            id: followed.key.id.clone(),
            epoch: followed.epoch,
            state,
            took_ms: u32::try_from(followed.asked_at.elapsed().as_millis()).unwrap_or(u32::MAX),
            name: self.parts.trees.name(slot).map(short),
        };
        self.send(&FromWorker::Match(report));
        self.meter.report_now = true;
    }

    /// Sends the coordinator something unasked; whether it was queued.
    pub(super) fn send(&mut self, message: &FromWorker) -> bool {
        self.coordinator.send(message, 0)
    }

    pub(super) fn take_signals(&mut self) {
        while let Some((signal, from)) = self.parts.signals.as_mut().and_then(Signals::take) {
            if signal == Signal::SIGTERM {
                self.terminated(from);
            }
        }
    }

    pub(in crate::scan) fn terminated(&mut self, from: u32) {
        log::info!(from = from; "worker.terminated");
        self.send(&FromWorker::Leaving { why: format!("SIGTERM from process {from}") });
        self.end(Ending::Asked, SIGNAL_DEADLINE);
    }

    /// Reads no more; what is held is handed over until `patience` is over.
    pub(super) fn end(&mut self, ending: Ending, patience: Duration) {
        let until = Instant::now() + patience;
        match &mut self.turn.ending {
            // The more urgent of two wins.
            Some((_, at)) => *at = (*at).min(until),
            None => {
                let at = wall_us();
                for slot in self.matches.slots() {
                    self.publish_last(slot);
                    if let Some(handle) = self.matches.get(slot).map(|followed| followed.handle) {
                        self.reporter().end(handle, EndReason::Leaving, at);
                    }
                }
                self.turn.ending = Some((ending, until));
            }
        }
    }

    /// Whether everything that the recorder can still take has been taken.
    pub(super) fn is_handed_over(&mut self) -> bool {
        self.link.state() == crate::scan::data_link::LinkState::Closed
            || (self.link.unsent() == 0 && self.link.unacknowledged() == 0)
    }
}

/// A name for people, of bounded length.
fn short(mut name: String) -> String {
    if let Some((end, _)) = name.char_indices().nth(NAME_CHARS) {
        name.truncate(end);
    }
    name
}
