//! From the list to the matches: who is added, who changes, who ends, and which worker follows the list.

use crate::pool::catalog::ended::{EndedMatch, Releasing};
use crate::pool::catalog::filter;
use crate::pool::catalog::list::ListEvent;
use crate::pool::catalog::matches::{Assignment, Delisted, Match, Need};
use crate::pool::catalog::needs;
use crate::pool::catalog::table::Mark;
use crate::pool::children::slot::Pulse;
use crate::pool::feed::FirstList;
use crate::pool::log_event::LogEvent;
use crate::pool::placement::choose;
use crate::pool::{Action, MatchSource, Pool};
use std::collections::BTreeSet;
use std::time::Duration;
use touchline_common::ipc::messages::recorder::ToRecorder;
use touchline_common::ipc::messages::worker::{ListChange, MatchState, ReleaseReason, ToWorker};
use touchline_common::model::{FeedId, Generation, Listing, MatchId, MatchKey, SlotId};

/// How long the answer to a question after a match's silence may take before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Pool {
    /// The matches of feeds without a list.
    pub(in crate::pool) fn add_fixed_matches(&mut self) {
        for feed in self.feed_ids() {
            let Some(MatchSource::Fixed(fixed)) = self.config.feed(feed).map(|plan| plan.source.clone())
            else {
                continue;
            };
            for (id, listing) in fixed {
                self.add_match(&MatchKey { feed, id }, listing);
            }
            if let Some(feed) = self.feed_mut(feed) {
                feed.first = FirstList::Placing;
            }
        }
    }

    pub(in crate::pool) fn on_list_changes(
        &mut self,
        feed: FeedId,
        from: (SlotId, Generation),
        changes: Vec<ListChange>,
        out: &mut Vec<Action>,
    ) {
        let now = self.now;
        let Pool { feeds, config, .. } = self;
        let Some(state) = feeds.get_mut(usize::from(feed.0)) else { return };
        if state.holder != Some(from) {
            return;
        }
        let mut steps = Vec::new();
        state.list.apply(changes, now, &config.timing, &mut steps);
        self.on_list_events(feed, steps, out);
    }

    pub(in crate::pool) fn tick_lists(&mut self, out: &mut Vec<Action>) {
        for feed in self.feed_ids() {
            let now = self.now;
            let Pool { feeds, config, .. } = self;
            let Some(state) = feeds.get_mut(usize::from(feed.0)) else { continue };
            let mut steps = Vec::new();
            state.list.tick(now, &config.timing, &mut steps);
            self.on_list_events(feed, steps, out);
        }
    }

    /// Gives each list to a worker, if none or one that leaves has it. Before matches, since those depend on it.
    pub(in crate::pool) fn follow_lists(&mut self, out: &mut Vec<Action>) {
        for feed in self.feed_ids() {
            if !self.has_list(feed) || !self.list_needs_worker(feed) {
                continue;
            }
            let offers = self.offers(feed, None);
            let Some(slot) = choose::choose(&offers, 1, None) else { continue };
            let Some(place) = self.slot_mut(slot) else { continue };
            place.asked(1);
            let generation = place.life.generation;
            let former = self.feed_mut(feed).and_then(|state| state.holder.replace((slot, generation)));
            if let Some((former, generation)) = former {
                self.release_list(feed, former, generation, out);
            }
            self.send_to_worker(slot, ToWorker::FollowList, out);
            out.push(Action::Log(LogEvent::ListFollowed { feed, worker: slot }));
        }
    }

    /// What the former holder still reports of the list is ignored; if it lives, it releases it.
    fn release_list(&mut self, feed: FeedId, slot: SlotId, generation: Generation, out: &mut Vec<Action>) {
        if let Some(state) = self.feed_mut(feed) {
            state.list.lost();
        }
        if let Some(place) = self.slot_mut(slot).filter(|slot| slot.is(generation)) {
            place.released(1);
            self.send_to_worker(slot, ToWorker::UnfollowList, out);
        }
    }

    /// No worker has it, or one that gives everything away: since it leaves, or is silent where a second subscription is allowed.
    pub(in crate::pool) fn list_needs_worker(&self, feed: FeedId) -> bool {
        match self.feed(feed).and_then(|feed| feed.holder) {
            None => self.has_list(feed),
            Some((slot, _)) => self.slot(slot).is_some_and(|slot| {
                matches!(slot.life.state, crate::pool::children::life::State::Draining { .. })
                    || slot.session.leaving.is_some()
                    || (slot.session.pulse == Pulse::Silent && self.may_overlap(feed))
            }),
        }
    }

    fn on_list_events(&mut self, feed: FeedId, steps: Vec<ListEvent>, out: &mut Vec<Action>) {
        for step in steps {
            match step {
                ListEvent::Appeared(id, listing) | ListEvent::Changed(id, listing) => {
                    self.listed(&MatchKey { feed, id }, listing, out);
                }
                ListEvent::Gone(id) => self.delist(&MatchKey { feed, id }, out),
                ListEvent::Loaded => self.list_loaded(feed, out),
                ListEvent::Confirm { gone, of } => {
                    out.push(Action::Log(LogEvent::ListSuspect { feed, gone, of }));
                    if let Some((slot, _)) = self.feed(feed).and_then(|feed| feed.holder) {
                        // The list is held already: the command is counted, no subscription is.
                        if let Some(place) = self.slot_mut(slot) {
                            place.asked(0);
                        }
                        self.send_to_worker(slot, ToWorker::FollowList, out);
                    }
                }
            }
        }
    }

    fn list_loaded(&mut self, feed: FeedId, out: &mut Vec<Action>) {
        let followed = self.catalog.matches.keys_of(feed).count();
        let Some(state) = self.feed_mut(feed) else { return };
        if state.first == FirstList::Awaited {
            state.first = FirstList::Placing;
        }
        let matches = state.list.len();
        let hints = std::mem::take(&mut state.hints);
        self.check_orphans(hints.into_keys().map(|id| MatchKey { feed, id }));
        self.placement.due = true;
        // A server may send its list as often as it likes.
        let (now, again) = (self.now, self.config.timing.summary_every);
        let Some(state) = self.feed_mut(feed) else { return };
        let logged = state.logged_list.is_some_and(|(of, held, at)| {
            (of, held) == (matches, followed) && now.saturating_sub(at) < again
        });
        if !logged {
            state.logged_list = Some((matches, followed, now));
            out.push(Action::Log(LogEvent::ListLoaded { feed, matches, followed }));
        }
    }

    /// The matches of a feed without a list, named anew.
    pub(in crate::pool) fn named(&mut self, feed: FeedId, ids: &[MatchId], out: &mut Vec<Action>) {
        if self.has_list(feed) {
            return;
        }
        let wanted: BTreeSet<&MatchId> = ids.iter().collect();
        let of_feed = self.catalog.matches.keys_of(feed);
        let left: Vec<MatchKey> = of_feed.filter(|key| !wanted.contains(&key.id)).cloned().collect();
        for key in left {
            self.end(&key, "it is not named any more", out);
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
    fn listed(&mut self, key: &MatchKey, listing: Listing, out: &mut Vec<Action>) {
        let Some(plan) = self.config.feed(key.feed) else { return };
        let follows = filter::follows(&plan.selection.only, &plan.selection.skip, &listing);
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
            self.end(key, "it is filtered out", out);
        } else if changed {
            self.relist(key, &listing, out);
        }
    }

    fn relist(&mut self, key: &MatchKey, listing: &Listing, out: &mut Vec<Action>) {
        let need = self.need(key, listing);
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        a_match.listing.clone_from(listing);
        let seats: Vec<SlotId> = a_match.seats().map(|seat| seat.slot).collect();
        let waits = matches!(a_match.assignment, Assignment::Waiting);
        if waits {
            a_match.need = need;
        }
        if seats.is_empty() {
            a_match.recorder.reported = false;
        }
        drop(a_match);
        if waits {
            self.enqueue(key);
        }
        for slot in seats {
            self.send_to_worker(slot, ToWorker::Listed { id: key.id.clone(), listing: listing.clone() }, out);
        }
    }

    pub(in crate::pool) fn add_match(&mut self, key: &MatchKey, listing: Listing) {
        let hint = self.feed(key.feed).and_then(|feed| feed.hints.get(&key.id).copied());
        let need = self.need(key, &listing);
        self.catalog.matches.insert(key.clone(), Match::new(listing, need, hint));
        self.enqueue(key);
    }

    /// What a match needs, or why it can never be placed.
    fn need(&self, key: &MatchKey, listing: &Listing) -> Need {
        let Some(plan) = self.config.feed(key.feed) else {
            return Need::Impossible("its feed is not configured".into());
        };
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
    fn delist(&mut self, key: &MatchKey, out: &mut Vec<Action>) {
        let (now, linger) = (self.now, self.linger(key));
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        let over = match &a_match.assignment {
            Assignment::Waiting | Assignment::Quarantined => true,
            Assignment::Assigned { owner, .. } => owner.state == MatchState::Removed,
        };
        if !over {
            a_match.delisted.get_or_insert(Delisted { check_at: now + linger });
            return;
        }
        drop(a_match);
        self.end(key, "it left the list", out);
    }

    pub(in crate::pool) fn linger(&self, key: &MatchKey) -> Duration {
        self.config.feed(key.feed).map_or(Duration::ZERO, |plan| plan.end_linger)
    }

    /// Asks after the silence of matches that left the list.
    pub(in crate::pool) fn tick_delisted(&mut self, out: &mut Vec<Action>) {
        let now = self.now;
        for key in self.catalog.matches.marked(Mark::Delisted).clone() {
            let Some(mut a_match) = self.catalog.matches.edit(&key) else { continue };
            let Some(delisted) = a_match.delisted.as_mut().filter(|delisted| delisted.check_at <= now) else {
                continue;
            };
            delisted.check_at = now + ASK_AGAIN;
            let owner = a_match.owner().filter(|owner| owner.has_load()).map(|owner| owner.slot);
            drop(a_match);
            match owner {
                None => self.end(&key, "it left the list and has no load", out),
                Some(slot) => self.ask_details(slot, out),
            }
        }
    }

    fn ask_details(&mut self, slot: SlotId, out: &mut Vec<Action>) {
        let now = self.now;
        let Some(place) = self.slot_mut(slot) else { return };
        if place.session.details_asked.is_none_or(|at| now >= at + ASK_AGAIN) {
            place.session.details_asked = Some(now);
            self.send_to_worker(slot, ToWorker::Details, out);
        }
    }

    /// A match is over: its seats are released, the recorder learns it when its worker has seen that.
    pub(in crate::pool) fn end(&mut self, key: &MatchKey, why: &'static str, out: &mut Vec<Action>) {
        let Some(a_match) = self.catalog.matches.remove(key) else { return };
        if let Some(seat) = a_match.candidate() {
            self.release_seat(key, seat, a_match.need.count(), ReleaseReason::Moved, out);
        }
        let releasing = a_match.owner().and_then(|owner| {
            let command = self.release_seat(key, owner, a_match.need.count(), ReleaseReason::Ended, out)?;
            Some(Releasing { key: key.clone(), slot: owner.slot, generation: owner.generation, command })
        });
        self.saving.due = true;
        self.catalog.ended.push(EndedMatch { key: key.clone(), name: a_match.listing.name, why });
        out.push(Action::Log(LogEvent::Ended { key: key.clone(), why }));
        match releasing {
            Some(releasing) => self.catalog.ended.releasing.push(releasing),
            None if a_match.recorder.has_ledger => self.report_ended(key.clone(), out),
            None if a_match.recorder.knows_listing => {
                self.send_to_recorder(ToRecorder::Waiting { key: key.clone(), listing: None }, out);
            }
            None => {}
        }
    }

    /// Reports to the recorder of ends that their workers have seen, or whose workers are gone.
    pub(in crate::pool) fn finish_endings(&mut self, out: &mut Vec<Action>) {
        let mut at = 0;
        while let Some(of) = self.catalog.ended.releasing.get(at) {
            let open = self.slot(of.slot).is_some_and(|slot| {
                slot.is(of.generation) && slot.life.works() && !slot.has_seen(of.command)
            });
            if open {
                at += 1;
            } else {
                let released = self.catalog.ended.releasing.swap_remove(at);
                self.report_ended(released.key, out);
            }
        }
    }
}
