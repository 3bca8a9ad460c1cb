//! The fake world's push server, as far as it refuses: what it grants one connection, and what it does above that.

use super::*;

impl World {
    /// Subscriptions of a worker that the server has answered.
    pub(super) fn granted(&self, slot: SlotId) -> u32 {
        let worker = &self.workers[&slot];
        let loads = worker.loaded.iter().filter_map(|id| worker.matches.get(id)).map(|(_, topics)| topics);
        u32::from(worker.feed.0) + u32::from(worker.list) + loads.sum::<u32>()
    }

    /// Whether the server gives one load more.
    pub(super) fn grants(&self, slot: SlotId) -> bool {
        let most = if self.now < LATER { GRANTED } else { GRANTED_LATER };
        matches!(self.manners, Manners::Generous | Manners::Thins)
            || self.workers[&slot].feed.0 != 0
            || self.granted(slot) < most
    }

    /// What a fresh load of a match shows of the deltas before it. One that did not change shows nothing.
    pub(super) fn audit(&mut self, slot: SlotId, id: MatchId) {
        let Some(worker) = self.workers.get(&slot) else { return };
        let (generation, epoch) = (worker.generation, worker.matches.get(&id).map(|(epoch, _)| *epoch));
        let Some(epoch) = epoch else { return };
        let loaded = worker.loaded.contains(&id);
        let thinned = self.is_thinned(slot, &id);
        let finding = match (loaded, thinned, self.chance(30)) {
            (false, ..) => Finding::Void,
            (true, _, true) => Finding::Whole { deltas: 0 },
            (true, true, false) => Finding::Missed { nodes: 3 },
            (true, false, false) => Finding::Whole { deltas: 40 },
        };
        self.says(slot, generation, FromWorker::Audited { id, epoch, finding });
    }

    /// Whether a match is above what the server serves in full.
    fn is_thinned(&self, slot: SlotId, id: &MatchId) -> bool {
        let worker = &self.workers[&slot];
        let most = if self.now < LATER { GRANTED } else { GRANTED_LATER };
        let first = u32::from(worker.feed.0) + u32::from(worker.list);
        let before = worker.asked.iter().take_while(|asked| *asked != id);
        let before: u32 = before.filter_map(|id| worker.matches.get(id)).map(|(_, topics)| topics).sum();
        self.manners == Manners::Thins && worker.feed.0 == 0 && first + before >= most
    }

    pub(super) fn load(&mut self, slot: SlotId, id: MatchId) {
        self.workers.get_mut(&slot).unwrap().loaded.insert(id.clone());
        self.match_is(slot, id, MatchState::Live);
    }

    /// More is asked than the server grants: it does not answer, or ends the connection, which comes back a little later.
    pub(super) fn refuse(&mut self, slot: SlotId) {
        if self.manners != Manners::Closes {
            return;
        }
        let asked = self.worker_asks(slot);
        let loaded = self.granted(slot);
        let worker = self.workers.get_mut(&slot).unwrap();
        let generation = worker.generation;
        let lost = Some(LostWith { asked, loaded, quiet_ms: 50 });
        worker.loaded.clear();
        let held: Vec<MatchId> = worker.matches.keys().cloned().collect();
        let detail = "end of stream".to_owned();
        self.says(slot, generation, FromWorker::Connection { state: ConnectionState::Down, detail, lost });
        for id in held {
            self.match_is(slot, id, MatchState::Subscribing);
        }
        self.at(Duration::from_millis(700), Event::Reconnect(slot, generation));
    }

    pub(super) fn worker_asks(&self, slot: SlotId) -> u32 {
        let worker = &self.workers[&slot];
        let held: u32 = worker.matches.values().map(|(_, topics)| topics).sum();
        u32::from(worker.feed.0) + u32::from(worker.list) + held
    }

    /// The connection is back, and everything is asked for again.
    pub(super) fn reconnect(&mut self, slot: SlotId, generation: Generation) {
        let Some(worker) = self.workers.get(&slot).filter(|worker| worker.generation == generation) else {
            return;
        };
        let (feed, held): (FeedId, Vec<MatchId>) = (worker.feed, worker.matches.keys().cloned().collect());
        let up = FromWorker::Connection { state: ConnectionState::Up, detail: String::new(), lost: None };
        self.says(slot, generation, up);
        for id in held {
            if !self.truth.contains(&MatchKey { feed, id: id.clone() }) {
                continue;
            }
            if !self.grants(slot) {
                return self.refuse(slot);
            }
            self.load(slot, id);
        }
        self.report(slot);
    }
}
