//! From the list to the matches: who is added, who changes, who ends, and which worker follows the list.

use super::feed::FirstList;
use super::filter;
use super::list::ListStep;
use super::log_event::LogEvent;
use super::matches::{Delisted, Ended, Ending, Match, Need, Place};
use super::placement;
use super::slot::Pulse;
use super::{Action, Pool};
use std::collections::BTreeSet;
use std::time::Duration;
use touchline_common::ipc::messages::recorder::{Owner, ToRecorder};
use touchline_common::ipc::messages::worker::{ListChange, MatchState, ReleaseReason, ToWorker};
use touchline_common::model::{FeedId, Generation, Listing, MatchId, MatchKey, SlotId};

/// How long the answer to a question after a match's silence may take before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Pool {
    pub(super) fn list_changes(
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
        self.take_steps(feed, steps, out);
    }

    pub(super) fn tick_lists(&mut self, out: &mut Vec<Action>) {
        for feed in self.feed_ids() {
            let now = self.now;
            let Pool { feeds, config, .. } = self;
            let Some(state) = feeds.get_mut(usize::from(feed.0)) else { continue };
            let mut steps = Vec::new();
            state.list.tick(now, &config.timing, &mut steps);
            self.take_steps(feed, steps, out);
        }
    }

    /// Gives each list to a worker, if nobody or a leaving one has it. Before matches, since those hang on it.
    pub(super) fn follow_lists(&mut self, out: &mut Vec<Action>) {
        for feed in self.feed_ids() {
            if !self.has_list(feed) || !self.list_needs_place(feed) {
                continue;
            }
            let offers = self.offers(feed, None);
            let Some(slot) = placement::choose(&offers, 1, None) else { continue };
            let Some(place) = self.slot_mut(slot) else { continue };
            place.asked(1);
            let generation = place.life.generation;
            let former = self.feed_mut(feed).and_then(|state| state.holder.replace((slot, generation)));
            if let Some((former, generation)) = former {
                self.release_list(feed, former, generation, out);
            }
            self.tell_worker(slot, ToWorker::FollowList, out);
            out.push(Action::Log(LogEvent::ListFollowed { feed, worker: slot }));
        }
    }

    /// What the former holder still says of the list counts no more; if it lives, it lets it go.
    fn release_list(&mut self, feed: FeedId, slot: SlotId, generation: Generation, out: &mut Vec<Action>) {
        if let Some(state) = self.feed_mut(feed) {
            state.list.lost();
        }
        if let Some(place) = self.slot_mut(slot).filter(|slot| slot.is(generation)) {
            place.let_go(1);
            self.tell_worker(slot, ToWorker::UnfollowList, out);
        }
    }

    /// Nobody has it, or one that gives everything away: since it leaves, or is silent where a second subscription is suffered.
    pub(super) fn list_needs_place(&self, feed: FeedId) -> bool {
        match self.feed(feed).and_then(|feed| feed.holder) {
            None => self.has_list(feed),
            Some((slot, _)) => self.slot(slot).is_some_and(|slot| {
                matches!(slot.life.state, super::life::State::Draining { .. })
                    || slot.leaving.is_some()
                    || (slot.pulse == Pulse::Silent && self.may_overlap(feed))
            }),
        }
    }

    fn take_steps(&mut self, feed: FeedId, steps: Vec<ListStep>, out: &mut Vec<Action>) {
        for step in steps {
            match step {
                ListStep::Appeared(id, listing) | ListStep::Changed(id, listing) => {
                    self.listed(&MatchKey { feed, id }, listing, out);
                }
                ListStep::Gone(id) => self.delist(&MatchKey { feed, id }, out),
                ListStep::Loaded => self.list_loaded(feed, out),
                ListStep::Confirm { gone, of } => {
                    out.push(Action::Log(LogEvent::ListSuspect { feed, gone, of }));
                    if let Some((slot, _)) = self.feed(feed).and_then(|feed| feed.holder) {
                        // The list is held already: the command is counted, no subscription is.
                        if let Some(place) = self.slot_mut(slot) {
                            place.asked(0);
                        }
                        self.tell_worker(slot, ToWorker::FollowList, out);
                    }
                }
            }
        }
    }

    fn list_loaded(&mut self, feed: FeedId, out: &mut Vec<Action>) {
        let followed = self.matches.keys().filter(|key| key.feed == feed).count();
        let Some(state) = self.feed_mut(feed) else { return };
        if state.first == FirstList::Awaited {
            state.first = FirstList::Placing;
        }
        let matches = state.list.len();
        let hints = std::mem::take(&mut state.hints);
        self.suspect_ended(hints.into_keys().map(|id| MatchKey { feed, id }));
        self.placement_due = true;
        // A server may send its list as often as it likes.
        let (now, again) = (self.now, self.config.timing.summary_every);
        let Some(state) = self.feed_mut(feed) else { return };
        let said = state.told_list.is_some_and(|(of, held, at)| {
            (of, held) == (matches, followed) && now.saturating_sub(at) < again
        });
        if !said {
            state.told_list = Some((matches, followed, now));
            out.push(Action::Log(LogEvent::ListLoaded { feed, matches, followed }));
        }
    }

    /// The matches of a feed without a list, named anew.
    pub(super) fn named(&mut self, feed: FeedId, ids: &[MatchId], out: &mut Vec<Action>) {
        if self.has_list(feed) {
            return;
        }
        let wanted: BTreeSet<&MatchId> = ids.iter().collect();
        let left: Vec<MatchKey> = self
            .matches
            .keys()
            .filter(|key| key.feed == feed && !wanted.contains(&key.id))
            .cloned()
            .collect();
        for key in left {
            self.end(&key, "it is not named any more", out);
        }
        for id in ids {
            let key = MatchKey { feed, id: id.clone() };
            if !self.matches.contains_key(&key) {
                self.add_match(&key, Listing::default());
            }
        }
        self.placement_due = true;
    }

    /// The list has a match, or knows something else of it. The filter decides about new ones and about those
    /// that wait; what is followed is followed to its end.
    fn listed(&mut self, key: &MatchKey, listing: Listing, out: &mut Vec<Action>) {
        let Some(plan) = self.config.feed(key.feed) else { return };
        let follows = filter::follows(&plan.only, &plan.skip, &listing);
        match self.matches.get_mut(key) {
            None if follows => self.add_match(key, listing),
            None => {}
            Some(a_match) => {
                if a_match.delisted.take().is_some() {
                    self.delisted.remove(key);
                }
                let waits = matches!(a_match.place, Place::Waiting);
                if waits && !follows && !a_match.was_placed {
                    self.end(key, "it is filtered out", out);
                    return;
                }
                if a_match.listing != listing {
                    self.relist(key, &listing, out);
                }
            }
        }
    }

    fn relist(&mut self, key: &MatchKey, listing: &Listing, out: &mut Vec<Action>) {
        let need = self.need(key, listing);
        let Some(a_match) = self.matches.get_mut(key) else { return };
        a_match.listing.clone_from(listing);
        let seats: Vec<SlotId> = match &a_match.place {
            Place::Placed { owner, candidate } => {
                std::iter::once(owner.slot).chain(candidate.as_ref().map(|seat| seat.slot)).collect()
            }
            Place::Quarantined => {
                self.untold.insert(key.clone());
                return;
            }
            Place::Waiting => {
                self.dequeue(key);
                if let Some(a_match) = self.matches.get_mut(key) {
                    a_match.need = need;
                }
                self.enqueue(key);
                return;
            }
        };
        for slot in seats {
            self.tell_worker(slot, ToWorker::Listed { id: key.id.clone(), listing: listing.clone() }, out);
        }
    }

    pub(super) fn add_match(&mut self, key: &MatchKey, listing: Listing) {
        let hint = self.feed(key.feed).and_then(|feed| feed.hints.get(&key.id).copied());
        let a_match = Match {
            need: self.need(key, &listing),
            listing,
            place: Place::Waiting,
            delisted: None,
            crashes: Vec::new(),
            told_waiting: false,
            predecessor: Owner::Dead,
            noticed: false,
            was_placed: hint.is_some(),
            hint,
            moved_at: None,
            held_by: None,
            wait_key: [0, 0],
        };
        self.matches.insert(key.clone(), a_match);
        self.enqueue(key);
    }

    /// What a match needs, or why it can never be placed.
    fn need(&self, key: &MatchKey, listing: &Listing) -> Need {
        let Some(plan) = self.config.feed(key.feed) else {
            return Need::Impossible("its feed is not configured".into());
        };
        let room = plan.cap.saturating_sub(plan.own_subscriptions) as usize;
        match placement::topics(&plan.match_topics, &key.id, listing) {
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
        let Some(a_match) = self.matches.get_mut(key) else { return };
        let over = match &a_match.place {
            Place::Waiting | Place::Quarantined => true,
            Place::Placed { owner, .. } => owner.state == MatchState::Removed,
        };
        if over {
            self.end(key, "it left the list", out);
        } else if a_match.delisted.is_none() {
            a_match.delisted = Some(Delisted { check_at: now + linger });
            self.delisted.insert(key.clone());
        }
    }

    pub(super) fn linger(&self, key: &MatchKey) -> Duration {
        self.config.feed(key.feed).map_or(Duration::ZERO, |plan| plan.end_linger)
    }

    /// Asks after the silence of matches that left the list.
    pub(super) fn tick_delisted(&mut self, out: &mut Vec<Action>) {
        let keys: Vec<MatchKey> = self.delisted.iter().cloned().collect();
        let now = self.now;
        for key in keys {
            let Some(a_match) = self.matches.get_mut(&key) else {
                self.delisted.remove(&key);
                continue;
            };
            let Some(delisted) = a_match.delisted.as_mut().filter(|delisted| delisted.check_at <= now) else {
                continue;
            };
            delisted.check_at = now + ASK_AGAIN;
            let owner = match &a_match.place {
                Place::Waiting | Place::Quarantined => None,
                Place::Placed { owner, .. } => owner.has_load().then_some(owner.slot),
            };
            match owner {
                None => self.end(&key, "it left the list and has no load", out),
                Some(slot) => self.ask_details(slot, out),
            }
        }
    }

    fn ask_details(&mut self, slot: SlotId, out: &mut Vec<Action>) {
        let now = self.now;
        let Some(place) = self.slot_mut(slot) else { return };
        if place.details_asked.is_none_or(|at| now >= at + ASK_AGAIN) {
            place.details_asked = Some(now);
            self.tell_worker(slot, ToWorker::Details, out);
        }
    }

    /// A match is over: its seats are released, the recorder learns it when its worker has seen that.
    pub(super) fn end(&mut self, key: &MatchKey, why: &'static str, out: &mut Vec<Action>) {
        let mut last = None;
        if let Some(Place::Placed { owner, candidate }) =
            self.matches.get(key).map(|a_match| a_match.place.clone())
        {
            if let Some(seat) = candidate {
                self.release_seat(key, &seat, ReleaseReason::Moved, out);
            }
            last = self
                .release_seat(key, &owner, ReleaseReason::Ended, out)
                .map(|command| (owner.slot, owner.generation, command));
        }
        self.dequeue(key);
        let Some(a_match) = self.matches.remove(key) else { return };
        self.untold.remove(key);
        self.renew.remove(key);
        self.moving.remove(key);
        self.delisted.remove(key);
        self.removed.remove(key);
        self.quarantined -= usize::from(matches!(a_match.place, Place::Quarantined));
        self.ended_count += 1;
        self.save_due = true;
        if self.ended.len() >= super::ENDED_SHOWN {
            self.ended.pop_front();
        }
        self.ended.push_back(Ended { key: key.clone(), name: a_match.listing.name, why });
        out.push(Action::Log(LogEvent::Ended { key: key.clone(), why }));
        match last {
            Some((slot, generation, command)) => {
                self.ending.push(Ending { key: key.clone(), slot, generation, command });
            }
            None if a_match.was_placed => self.tell_ended(key.clone(), out),
            None if a_match.told_waiting => {
                self.tell_recorder(ToRecorder::Waiting { key: key.clone(), listing: None }, out);
            }
            None => {}
        }
    }

    /// Tells the recorder of ends that their workers have seen, or whose workers are gone.
    pub(super) fn finish_endings(&mut self, out: &mut Vec<Action>) {
        let mut at = 0;
        while let Some(ending) = self.ending.get(at) {
            let open = self.slot(ending.slot).is_some_and(|slot| {
                slot.is(ending.generation) && slot.life.works() && !slot.has_seen(ending.command)
            });
            if open {
                at += 1;
            } else {
                let ending = self.ending.swap_remove(at);
                self.tell_ended(ending.key, out);
            }
        }
    }
}
