//! The fake workers: what each does with an order, and what it reports of itself.

use super::*;

impl World {
    pub(super) fn report(&mut self, slot: SlotId) {
        let worker = &self.workers[&slot];
        let own = u32::from(worker.feed.0);
        let held: u32 = worker.matches.values().map(|(_, topics)| topics).sum();
        let subscriptions = own + held + u32::from(worker.list);
        assert!(subscriptions <= CAP, "worker {slot} holds {subscriptions}");
        let loaded = self.granted(slot);
        let (commands_seen, asked) = (worker.seen, subscriptions);
        let report = LoadReport {
            commands_seen,
            subscriptions,
            asked,
            acknowledged: loaded,
            loaded,
            ..LoadReport::default()
        };
        self.says(slot, worker.generation, FromWorker::Load(report));
    }

    pub(super) fn worker_takes(&mut self, slot: SlotId, generation: Generation, message: ToWorker) {
        let Some(worker) = self.workers.get_mut(&slot).filter(|w| w.generation == generation) else { return };
        if worker.condition != Condition::Well {
            worker.inbox.push(message);
            return;
        }
        let feed = worker.feed;
        match message {
            ToWorker::FollowList => {
                worker.seen += 1;
                worker.list = true;
                // A torn load that is to confirm another is believed.
                let confirms = self.pool.feeds[feed].list.is_confirming();
                let torn = !confirms && self.chance(10);
                self.send_load(slot, torn);
            }
            ToWorker::UnfollowList => {
                worker.seen += 1;
                worker.list = false;
                self.report(slot);
            }
            ToWorker::Assign { id, epoch, topics, .. } => {
                worker.seen += 1;
                if worker.matches.insert(id.clone(), (epoch, topics.len() as u32)).is_none() {
                    worker.asked.push(id.clone());
                }
                let key = MatchKey { feed, id: id.clone() };
                if self.cursed.as_ref().is_some_and(|(cursed, until)| *cursed == key && self.now < *until) {
                    self.exit(Child::Worker(slot), generation, Exit::Signal { number: 11, core: true });
                    return;
                }
                let known = self.truth.contains(&key);
                if known && !self.grants(slot) {
                    self.refuse(slot);
                } else if known {
                    self.load(slot, id);
                } else {
                    self.match_is(slot, id, MatchState::Removed);
                }
                if !self.chance(50) {
                    self.report(slot);
                }
            }
            ToWorker::Renew { id, epoch } => {
                if let Some(held) = worker.matches.get_mut(&id) {
                    held.0 = epoch;
                }
            }
            ToWorker::Release { id, epoch, .. } => {
                worker.seen += 1;
                if worker.matches.get(&id).is_some_and(|held| held.0 == epoch) {
                    worker.matches.remove(&id);
                    worker.loaded.remove(&id);
                    worker.asked.retain(|asked| *asked != id);
                }
                self.report(slot);
            }
            ToWorker::Resync { id } => {
                let granted = worker.loaded.contains(&id) || self.grants(slot);
                if self.truth.contains(&MatchKey { feed, id: id.clone() }) && granted {
                    self.load(slot, id);
                }
            }
            ToWorker::Audit { id } => self.audit(slot, id),
            ToWorker::Details => self.details(slot),
            ToWorker::Stop { .. } => {
                let exit = if self.chance(10) { Exit::Code(1) } else { Exit::Code(0) };
                self.exit(Child::Worker(slot), generation, exit);
            }
            ToWorker::Welcome { .. }
            | ToWorker::Data
            | ToWorker::Listed { .. }
            | ToWorker::AddWorker
            | ToWorker::CrashMarker
            | ToWorker::PermitConnect
            | ToWorker::Ping
            | ToWorker::LogFilter { .. }
            | ToWorker::LogFile => {}
        }
    }

    pub(super) fn details(&mut self, slot: SlotId) {
        let worker = &self.workers[&slot];
        let matches = worker
            .matches
            .iter()
            .map(|(id, (epoch, _))| {
                let there = self.truth.contains(&MatchKey { feed: worker.feed, id: id.clone() });
                let age_ms = if there { 0 } else { 3_600_000 };
                MatchDetail {
                    id: id.clone(),
                    epoch: *epoch,
                    state: MatchState::Live,
                    age_ms,
                    name: String::new(),
                }
            })
            .collect();
        self.says(slot, worker.generation, FromWorker::Details { matches, more: false });
    }

    pub(super) fn match_is(&mut self, slot: SlotId, id: MatchId, state: MatchState) {
        let Some(worker) = self.workers.get(&slot) else { return };
        let Some((epoch, _)) = worker.matches.get(&id) else { return };
        let report = MatchReport { id, epoch: *epoch, state, took_ms: 5, name: None };
        self.says(slot, worker.generation, FromWorker::Match(report));
    }

    /// A whole load of the list; a torn one has a few matches only, and the truth must survive that.
    pub(super) fn send_load(&mut self, slot: SlotId, torn: bool) {
        let worker = &self.workers[&slot];
        let (feed, generation) = (worker.feed, worker.generation);
        let mut changes = vec![ListChange::LoadBegin];
        let all: Vec<MatchId> =
            self.truth.iter().filter(|key| key.feed == feed).map(|key| key.id.clone()).collect();
        let count = if torn && all.len() > 8 { 2 } else { all.len() };
        changes.extend(all.into_iter().take(count).map(present));
        changes.push(ListChange::LoadEnd);
        self.says(slot, generation, FromWorker::List(changes));
    }
}
