//! What goes wrong in the fake world, and what its server and its operators do meanwhile.

use super::*;

impl World {
    pub(super) fn churn(&mut self) {
        let next = Duration::from_millis(200 + self.pick(2_000) as u64);
        self.at(next, Event::Churn);
        if self.truth.len() < LISTED || self.chance(30) && self.truth.len() < LISTED * 2 {
            let feed = FeedId(self.pick(usize::from(FEEDS)) as u16);
            let key = self.name_match(feed);
            self.spread(feed, &[present(key.id)]);
        } else if let Some(key) = self.any_match() {
            if self.chance(20) {
                // A move: it is back at once.
                self.spread(key.feed, &[ListChange::Gone { id: key.id.clone() }]);
                self.spread(key.feed, &[present(key.id)]);
                return;
            }
            self.truth.remove(&key);
            self.spread(key.feed, &[ListChange::Gone { id: key.id.clone() }]);
            if self.chance(70) {
                for slot in self.workers.keys().copied().collect::<Vec<_>>() {
                    if self.workers[&slot].feed == key.feed
                        && self.workers[&slot].condition == Condition::Well
                    {
                        self.match_is(slot, key.id.clone(), MatchState::Removed);
                    }
                }
            }
        }
    }

    pub(super) fn spread(&mut self, feed: FeedId, changes: &[ListChange]) {
        for slot in self.workers.keys().copied().collect::<Vec<_>>() {
            let worker = &self.workers[&slot];
            if worker.list && worker.feed == feed && worker.condition == Condition::Well {
                self.says(slot, worker.generation, FromWorker::List(changes.to_vec()));
            }
        }
    }

    pub(super) fn fault(&mut self) {
        if self.faults == Faults::Off {
            return;
        }
        let next = Duration::from_millis(500 + self.pick(20_000) as u64);
        self.at(next, Event::Fault);
        let slots: Vec<SlotId> = self.workers.keys().copied().collect();
        let picked = self.pick(slots.len().max(1));
        let Some(slot) = slots.get(picked).copied() else { return };
        let generation = self.workers[&slot].generation;
        let child = Child::Worker(slot);
        match self.pick(18) {
            0 => self.exit(child, generation, Exit::Signal { number: 11, core: true }),
            1 | 2 => self.exit(child, generation, Exit::Signal { number: 9, core: false }),
            3 => self.exit(child, generation, Exit::Code(1)),
            4 | 5 => {
                self.workers.get_mut(&slot).unwrap().condition = Condition::Stopped;
                let after = Duration::from_millis(self.pick(20_000) as u64);
                self.at(after, Event::Resume(slot, generation));
            }
            6 => {
                let until = self.now + Duration::from_millis(self.pick(9_000) as u64);
                self.workers.get_mut(&slot).unwrap().slow_until = until;
            }
            7 => {
                let why = "bad frame".into();
                self.at(Duration::ZERO, Event::Give(Input::ChannelClosed { child, generation, why }));
            }
            8 => {
                if let Some(generation) = self.recorder.as_ref().map(|recorder| recorder.generation) {
                    self.exit(Child::RECORDER, generation, Exit::Signal { number: 9, core: false });
                }
            }
            9 => {
                let late = 500 + self.pick(30_000) as u64;
                self.now += Duration::from_millis(late);
            }
            10 => {
                let well = self.workers[&slot].condition == Condition::Well;
                if self.workers[&slot].list && well {
                    self.says(slot, generation, FromWorker::List(vec![ListChange::Lost]));
                    self.send_load(slot, false);
                }
            }
            11 => {
                self.says(slot, generation, FromWorker::Leaving { why: "TERM".into() });
                self.exit(child, generation, Exit::Code(0));
            }
            12 => self.command(Command::Drain { slot }),
            15 | 16 => {
                let to = SlotId(self.pick(usize::from(self.pool.config.max_workers)) as u16 + 1);
                if let Some(key) = self.any_match() {
                    self.command(Command::Move { key, slot: to });
                }
            }
            17 if self.chance(50) => self.command(Command::Rebalance),
            17 => {
                let max = 8 + self.pick(12) as u16;
                let min = self.pick(6) as u16;
                self.command(Command::Scale { min: Some(min), max: Some(max) });
            }
            13 if self.chance(25) => self.storm_until = self.now + Duration::from_secs(40),
            13 => {
                let key = self.any_match();
                self.cursed = key.map(|key| (key, self.now + Duration::from_secs(100)));
                self.exit(child, generation, Exit::Signal { number: 9, core: false });
            }
            _ => match self.any_match() {
                Some(key) if self.chance(50) => self.command(Command::Resync { key }),
                Some(key) => self.command(Command::Release { key }),
                None => self.command(Command::WaitReady),
            },
        }
    }

    pub(super) fn command(&mut self, command: Command) {
        self.requests += 1;
        let (request, timeout) = (RequestId(self.requests), Duration::from_secs(30));
        let timeout = if matches!(command, Command::Stop { .. }) { timeout * 3 } else { timeout };
        self.checks.asked(request, self.now + timeout);
        self.give(Input::Command { request, command, timeout });
    }
}
