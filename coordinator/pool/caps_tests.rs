//! A server that grants less than is configured, in each of its manners: everything is live soon, and no more is asked of it.

use super::*;
use touchline_common::ipc::messages::worker::LostWith;

const GRANTED: usize = 37;
const MATCHES: usize = 250;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Manners {
    Closes,
    /// Closes before what it granted was read.
    ClosesAtOnce,
    Ignores,
    Refuses,
}

/// One worker's connection.
#[derive(Default)]
struct Line {
    list: usize,
    asked: Vec<String>,
    granted: BTreeSet<String>,
    down_until: Option<Duration>,
}

struct World {
    bed: Bed,
    manners: Manners,
    /// What the server grants at the moment.
    granted: usize,
    lines: BTreeMap<SlotId, Line>,
    read: usize,
    /// The server has nothing for this match, whoever asks.
    empty: &'static str,
    /// The most that a connection held at the end of a step.
    most: usize,
}

impl World {
    fn new(manners: Manners, saved: Option<&SavedStateV2>) -> World {
        let mut config = config(64);
        config.feeds[0].cap = 50;
        config.feeds[0].learning = Learning::Auto;
        let mut bed = Bed::after(config, saved);
        let ids: Vec<String> = (0..MATCHES).map(|n| format!("m{n:03}")).collect();
        bed.load_list(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        World { bed, manners, granted: GRANTED, lines: BTreeMap::new(), read: 0, empty: "", most: 0 }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.bed.now + time;
        self.most = 0;
        while self.bed.now < until {
            self.bed.now += ms(250);
            self.obey();
            for slot in self.lines.keys().copied().collect::<Vec<_>>() {
                self.serve(slot);
            }
            self.adopt();
            let generation = self.bed.pool.recorder.life.generation;
            let message = FromRecorder::Stats(RecorderStats::default());
            self.bed.give(Input::Recorder { generation, message });
            self.bed.give(Input::Tick);
        }
    }

    fn obey(&mut self) {
        let orders: Vec<(SlotId, ToWorker)> = self
            .bed
            .log
            .iter()
            .skip(self.read)
            .filter_map(|action| match action {
                Action::ToWorker { slot, message, .. } => Some((*slot, message.clone())),
                _ => None,
            })
            .collect();
        self.read = self.bed.log.len();
        for (slot, message) in orders {
            let line = self.lines.entry(slot).or_default();
            match message {
                ToWorker::FollowList => line.list = 1,
                ToWorker::Assign { id, .. } => line.asked.push(id.to_string()),
                ToWorker::Release { id, .. } => {
                    line.asked.retain(|held| *held != id.as_str());
                    line.granted.remove(id.as_str());
                }
                _ => {}
            }
        }
    }

    fn serve(&mut self, slot: SlotId) {
        let (now, manners, most) = (self.bed.now, self.manners, self.granted);
        let line = self.lines.get_mut(&slot).unwrap();
        if line.down_until.is_some_and(|until| now < until) {
            return self.report(slot);
        }
        if line.down_until.take().is_some() {
            let up = FromWorker::Connection { state: ConnectionState::Up, detail: String::new(), lost: None };
            self.say(slot, up);
        }
        let line = self.lines.get_mut(&slot).unwrap();
        let missing: Vec<String> = line
            .asked
            .iter()
            .filter(|id| !line.granted.contains(*id) && **id != self.empty)
            .cloned()
            .collect();
        for id in missing {
            let line = self.lines.get_mut(&slot).unwrap();
            if line.list + line.granted.len() < most {
                line.granted.insert(id.clone());
                self.state(slot, &id, MatchState::Live);
                continue;
            }
            match manners {
                Manners::Closes | Manners::ClosesAtOnce => return self.close(slot),
                Manners::Ignores => {}
                Manners::Refuses => self.state(slot, &id, MatchState::Removed),
            }
        }
        let line = &self.lines[&slot];
        self.most = self.most.max(line.list + line.asked.len());
        self.report(slot);
    }

    fn close(&mut self, slot: SlotId) {
        let line = self.lines.get_mut(&slot).unwrap();
        let asked = (line.list + line.asked.len()) as u32;
        let seen = if self.manners == Manners::Closes { line.granted.len() } else { 2 };
        let loaded = (line.list + seen) as u32;
        line.granted.clear();
        line.down_until = Some(self.bed.now + ms(700));
        let ids = line.asked.clone();
        let (state, lost) = (ConnectionState::Down, Some(LostWith { asked, loaded, quiet_ms: 50 }));
        self.say(slot, FromWorker::Connection { state, detail: "end of stream".into(), lost });
        for id in ids {
            self.state(slot, &id, MatchState::Subscribing);
        }
        self.report(slot);
    }

    fn state(&mut self, slot: SlotId, id: &str, state: MatchState) {
        let Some(matches::Place::Placed { owner, candidate }) =
            self.bed.pool.matches.get(&key(id)).map(|of| of.place.clone())
        else {
            return;
        };
        let Some(seat) = candidate.iter().chain([&owner]).find(|seat| seat.slot == slot) else { return };
        let report = MatchReport { id: id.into(), epoch: seat.epoch, state, took_ms: 3, name: None };
        self.say(slot, FromWorker::Match(report));
    }

    fn report(&mut self, slot: SlotId) {
        let line = &self.lines[&slot];
        let subscriptions = (line.list + line.asked.len()) as u32;
        let up = line.down_until.is_none();
        let asked = if up { subscriptions } else { 0 };
        let loaded = if up { (line.list + line.granted.len()) as u32 } else { 0 };
        let commands_seen = self.bed.seen[&slot].1;
        let report = LoadReport {
            commands_seen,
            subscriptions,
            asked,
            acknowledged: loaded,
            loaded,
            ..LoadReport::default()
        };
        self.say(slot, FromWorker::Load(report));
    }

    fn say(&mut self, slot: SlotId, message: FromWorker) {
        let generation = self.bed.seen[&slot].0;
        self.bed.give(Input::Worker { slot, generation, message });
    }

    /// The recorder adopts every candidate that it was told of.
    fn adopt(&mut self) {
        let generation = self.bed.pool.recorder.life.generation;
        for key in self.bed.pool.moving.clone() {
            if let matches::Place::Placed { candidate: Some(seat), .. } = &self.bed.pool.matches[&key].place
                && seat.has_load()
            {
                let message = FromRecorder::Switched { key: key.clone(), epoch: seat.epoch };
                self.bed.give(Input::Recorder { generation, message });
            }
        }
    }

    fn live(&self) -> usize {
        self.bed.pool.count().live
    }

    fn learned(&self) -> Option<u32> {
        self.bed.pool.feeds[0].learner.learned()
    }
}

#[test]
fn within_half_a_minute_all_is_live_and_no_more_is_asked_than_is_granted() {
    for manners in [Manners::Closes, Manners::ClosesAtOnce, Manners::Ignores, Manners::Refuses] {
        let mut world = World::new(manners, None);
        world.pass(ms(30_000));
        assert_eq!(world.live(), MATCHES, "{manners:?}");
        let learned = world.learned().unwrap_or_else(|| panic!("{manners:?}"));
        assert!((18..=GRANTED as u32).contains(&learned), "{manners:?}: {learned}");
        assert!(manners == Manners::ClosesAtOnce || learned == GRANTED as u32, "{manners:?}: {learned}");
        world.pass(ms(300_000));
        assert!(world.most <= GRANTED, "{manners:?}: {}", world.most);
        assert_eq!(world.live(), MATCHES, "{manners:?}");
        assert!(world.bed.said("feed.cap_learned") >= 1);
    }
}

#[test]
fn what_was_learned_outlives_the_coordinator() {
    let mut world = World::new(Manners::Ignores, None);
    world.pass(ms(30_000));
    let saved = SavedStateV2::from_json(&world.bed.pool.saved_state().to_json().unwrap()).unwrap();
    let mut next = World::new(Manners::Ignores, Some(&saved));
    next.pass(ms(10_000));
    assert_eq!((next.learned(), next.live()), (Some(37), MATCHES));
    assert!(next.most <= GRANTED, "{}", next.most);
}

#[test]
fn a_server_that_grants_more_one_day_is_found_out_slowly() {
    let mut world = World::new(Manners::Ignores, None);
    world.pass(ms(30_000));
    world.granted = 39;
    world.pass(ms(3_600_000));
    assert_eq!(world.learned(), Some(39), "and not above");
    assert_eq!((world.most, world.live()), (40, MATCHES), "one more is tried, on one connection");
}

#[test]
fn a_page_without_content_is_no_cap() {
    let mut world = World::new(Manners::Ignores, None);
    world.granted = 50;
    world.empty = "m007";
    world.pass(ms(60_000));
    assert_eq!(world.learned(), None);
    assert_eq!(world.live(), MATCHES - 1);
    assert!(world.bed.said("feed.cap_suspected") <= 1, "it was tried elsewhere once");
}
