//! From the list to the matches: who is added, who changes, who ends, and which worker follows the list.

use crate::pool::catalog::ended::{EndedMatch, Releasing};
use crate::pool::catalog::filter;
use crate::pool::catalog::list::{LISTED_MAX, ListEvent};
use crate::pool::catalog::matches::{Assignment, Match, Need};
use crate::pool::catalog::needs;
use crate::pool::catalog::table::Mark;
use crate::pool::children::slot::Pulse;
use crate::pool::feed::FirstList;
use crate::pool::log_event::LogEvent;
use crate::pool::placement::choose;
use crate::pool::{Linger, MatchSource, Pool, Selection};
use std::collections::BTreeSet;
use std::time::Duration;
use touchline_common::ipc::messages::worker::{ListChange, MatchState, ReleaseReason, ToWorker};
use touchline_common::model::{FeedId, Listing, MatchId, MatchKey, SlotId};

/// How long the answer to a question after a match's silence may take before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Pool {
    /// The matches of feeds without a list.
    pub(in crate::pool) fn add_fixed_matches(&mut self) {
        for feed in self.feeds.ids() {
            let MatchSource::Fixed(ids) = &mut self.feeds[feed].plan.source else { continue };
            let ids = std::mem::take(ids);
            self.named(feed, &ids);
            self.feeds[feed].first = FirstList::Placing;
        }
    }

    pub(in crate::pool) fn on_list_changes(&mut self, feed: FeedId, from: SlotId, changes: Vec<ListChange>) {
        // What a former holder still reports of the list is ignored.
        if self.feeds[feed].holder == Some(from) {
            let mut steps = Vec::new();
            self.feeds[feed].list.apply(changes, self.now, &self.timing, &mut steps);
            self.on_list_events(feed, steps);
        }
    }

    pub(in crate::pool) fn tick_lists(&mut self) {
        for feed in self.feeds.ids() {
            let mut steps = Vec::new();
            self.feeds[feed].list.tick(self.now, &self.timing, &mut steps);
            self.on_list_events(feed, steps);
        }
    }

    /// Gives each list to a worker, if none or one that leaves has it. Before matches, since those depend on it.
    pub(in crate::pool) fn follow_lists(&mut self) {
        for feed in self.feeds.ids() {
            if !self.list_needs_worker(feed) {
                continue;
            }
            let offers = self.offers(feed, None);
            let Some(slot) = choose::choose(&offers, 1, None) else { continue };
            let Some(place) = self.slot_mut(slot) else { continue };
            place.asked(1);
            if let Some(former) = self.feeds[feed].holder.replace(slot) {
                self.release_list(feed, former);
            }
            self.send_to_worker(slot, ToWorker::FollowList);
            self.out.log(LogEvent::ListFollowed { feed, worker: slot });
        }
    }

    fn release_list(&mut self, feed: FeedId, former: SlotId) {
        self.feeds[feed].list.lost();
        if let Some(place) = self.slot_mut(former) {
            place.released(1);
            self.send_to_worker(former, ToWorker::UnfollowList);
        }
    }

    /// No worker has it, or one that gives everything away: since it leaves, or is silent where a second subscription is allowed.
    pub(in crate::pool) fn list_needs_worker(&self, feed: FeedId) -> bool {
        match self.feeds[feed].holder {
            None => self.feeds[feed].has_list(),
            Some(slot) => self.slot(slot).is_some_and(|slot| {
                slot.life.is_draining()
                    || slot.life.is_announced()
                    || (slot.session.pulse == Pulse::Silent && self.feeds[feed].may_overlap())
            }),
        }
    }

    fn on_list_events(&mut self, feed: FeedId, steps: Vec<ListEvent>) {
        for step in steps {
            match step {
                ListEvent::Appeared(id, listing) | ListEvent::Changed(id, listing) => {
                    self.listed(&MatchKey { feed, id }, listing);
                }
                ListEvent::Gone(id) => self.delist(&MatchKey { feed, id }),
                ListEvent::Loaded => self.list_loaded(feed),
                ListEvent::OverLimit { left_out } => {
                    self.out.log(LogEvent::ListOverLimit { feed, left_out, limit: LISTED_MAX });
                }
                ListEvent::Confirm { gone, of } => {
                    self.out.log(LogEvent::ListSuspect { feed, gone, of });
                    self.load_list_again(feed);
                }
            }
        }
    }

    pub(super) fn load_list_again(&mut self, feed: FeedId) {
        let Some(slot) = self.feeds[feed].holder else { return };
        // The list is held already: the command is counted, no subscription is.
        if let Some(place) = self.slot_mut(slot) {
            place.asked(0);
        }
        self.send_to_worker(slot, ToWorker::FollowList);
    }

    fn list_loaded(&mut self, feed: FeedId) {
        let followed = self.catalog.matches.keys_of(feed).count();
        let state = &mut self.feeds[feed];
        if state.first == FirstList::Awaited {
            state.first = FirstList::Placing;
        }
        let matches = state.list.len();
        let hints = std::mem::take(&mut state.hints);
        self.check_orphans(hints.into_keys().map(|id| MatchKey { feed, id }));
        self.placement.due = true;
        // A server may send its list as often as it likes.
        let (now, again, state) = (self.now, self.timing.summary_every, &mut self.feeds[feed]);
        let logged = state.logged_list.is_some_and(|(of, held, at)| {
            (of, held) == (matches, followed) && now.saturating_sub(at) < again
        });
        if !logged {
            state.logged_list = Some((matches, followed, now));
            self.out.log(LogEvent::ListLoaded { feed, matches, followed });
        }
    }

    /// The matches of a feed without a list, named anew.
    pub(in crate::pool) fn named(&mut self, feed: FeedId, ids: &[MatchId]) {
        if self.feeds[feed].has_list() {
            return;
        }
        let wanted: BTreeSet<&MatchId> = ids.iter().collect();
        let of_feed = self.catalog.matches.keys_of(feed);
        let left: Vec<MatchKey> = of_feed.filter(|key| !wanted.contains(&key.id)).cloned().collect();
        for key in left {
            self.end(&key, "it is not named any more");
        }
        for id in ids {
            let key = MatchKey { feed, id: id.clone() };
            if !self.catalog.matches.contains(&key) {
                self.add_match(&key, Listing::default());
            }
        }
        self.placement.due = true;
    }

    /// The list has a match, or knows something else of it. The filter decides about new ones and about those
    /// that wait; what is followed is followed to its end.
    fn listed(&mut self, key: &MatchKey, listing: Listing) {
        let Selection { only, skip } = &self.feeds[key.feed].plan.selection;
        let follows = filter::follows(only, skip, &listing);
        let Some(mut a_match) = self.catalog.matches.edit(key) else {
            if follows {
                self.add_match(key, listing);
            }
            return;
        };
        a_match.delisted = None;
        let waits = matches!(a_match.assignment, Assignment::Waiting);
        let unwanted = waits && !follows && !a_match.recorder.has_ledger;
        let changed = a_match.listing != listing;
        drop(a_match);
        if unwanted {
            self.end(key, "it is filtered out");
        } else if changed {
            self.relist(key, &listing);
        }
    }

    fn relist(&mut self, key: &MatchKey, listing: &Listing) {
        let need = self.need(key, listing);
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        a_match.listing.clone_from(listing);
        let seats: Vec<SlotId> = a_match.seats().map(|seat| seat.slot).collect();
        let waits = matches!(a_match.assignment, Assignment::Waiting);
        if waits {
            a_match.need = need;
        }
        a_match.recorder.reported = false;
        drop(a_match);
        if waits {
            self.enqueue(key);
        }
        for slot in seats {
            self.send_to_worker(slot, ToWorker::Listed { id: key.id.clone(), listing: listing.clone() });
        }
    }

    pub(in crate::pool) fn add_match(&mut self, key: &MatchKey, listing: Listing) {
        let hint = self.feeds[key.feed].hints.get(&key.id).copied();
        let need = self.need(key, &listing);
        self.catalog.matches.insert(key.clone(), Match::new(listing, need, hint));
        self.enqueue(key);
    }

    /// What a match needs, or why it can never be placed.
    fn need(&self, key: &MatchKey, listing: &Listing) -> Need {
        let plan = &self.feeds[key.feed].plan;
        let room = plan.cap.saturating_sub(plan.own_subscriptions) as usize;
        match needs::topics(&plan.match_topics, &key.id, listing) {
            Err(name) => {
                Need::Impossible(format!("match_topics names {{{name}}}, which the list does not give"))
            }
            Ok(topics) if topics.is_empty() => Need::Impossible("match_topics is empty".into()),
            Ok(topics) if topics.len() > room => Need::Impossible(format!(
                "it needs {} subscriptions, a connection has {room}: raise max_subscriptions",
                topics.len()
            )),
            Ok(topics) => Need::Topics(topics),
        }
    }

    /// The list deleted a match. It ends when its own topics are removed or silent.
    fn delist(&mut self, key: &MatchKey) {
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        let over = a_match.owner().is_none_or(|owner| owner.state == MatchState::Removed);
        if !over {
            a_match.delisted.get_or_insert(self.now + self.feeds[key.feed].plan.end_linger);
            return;
        }
        drop(a_match);
        self.end(key, "it left the list");
    }

    /// Asks after the silence of matches that left the list.
    pub(in crate::pool) fn tick_delisted(&mut self) {
        for key in self.catalog.matches.marked(Mark::Delisted).clone() {
            let Some(mut a_match) = self.catalog.matches.edit(&key) else { continue };
            let Some(check_at) = a_match.delisted.as_mut().filter(|at| **at <= self.now) else { continue };
            *check_at = self.now + ASK_AGAIN;
            let owner = a_match.owner().filter(|owner| owner.has_load()).map(|owner| owner.slot);
            drop(a_match);
            match (owner, self.feeds[key.feed].plan.linger) {
                (None, _) => self.end(&key, "it left the list and has no load"),
                (Some(_), Linger::Time) => self.end(&key, "it left the list"),
                (Some(slot), Linger::Silence) => self.ask_details(slot),
            }
        }
    }

    fn ask_details(&mut self, slot: SlotId) {
        let now = self.now;
        let Some(place) = self.slot_mut(slot) else { return };
        if place.session.details_asked.is_none_or(|at| now >= at + ASK_AGAIN) {
            place.session.details_asked = Some(now);
            self.send_to_worker(slot, ToWorker::Details);
        }
    }

    /// A match is over: its seats are released, the recorder learns it when its worker has seen that.
    pub(in crate::pool) fn end(&mut self, key: &MatchKey, why: &'static str) {
        let Some(a_match) = self.catalog.matches.remove(key) else { return };
        self.followed_no_more(key);
        let epoch = self.placement.epochs.highest();
        let mut holders = Vec::new();
        if let Some(seat) = a_match.candidate() {
            holders.extend(self.release_seat(key, seat, ReleaseReason::Moved));
        }
        if let Some(seat) = a_match.owner() {
            holders.extend(self.release_seat(key, seat, ReleaseReason::Ended));
        }
        self.saving.due = true;
        self.catalog.ended.push(EndedMatch { key: key.clone(), name: a_match.listing.name, why });
        self.out.log(LogEvent::Ended { key: key.clone(), why });
        if !holders.is_empty() {
            self.catalog.ended.releasing.push(Releasing { key: key.clone(), epoch, holders });
        } else {
            self.report_ended(key.clone(), epoch);
        }
    }

    /// Reports to the recorder of ends that their workers have seen, or whose workers are gone.
    pub(in crate::pool) fn finish_endings(&mut self) {
        let ending = std::mem::take(&mut self.catalog.ended.releasing);
        let is_held = |of: &Releasing| of.holders.iter().any(|holder| self.holds_still(*holder));
        let (open, over): (Vec<_>, Vec<_>) = ending.into_iter().partition(is_held);
        self.catalog.ended.releasing = open;
        over.into_iter().for_each(|Releasing { key, epoch, .. }| self.report_ended(key, epoch));
    }
}
