//! A server that grants less than is configured, in each of its ways: everything is live soon, and no more is asked of it.

use super::*;
use std::collections::HashMap;
use touchline_common::ipc::messages::worker::{Finding, LostWith};

const GRANTED: usize = 37;
const MATCHES: usize = 250;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Behaviour {
    Closes,
    /// Closes before what it granted was read.
    ClosesAtOnce,
    Ignores,
    Refuses,
    /// Grants everything, but leaves out deltas above.
    Thins,
    /// Leaves out nothing; its loads never are what its deltas made.
    Unlike,
}

/// One worker's connection.
#[derive(Default)]
struct Line {
    list: usize,
    asked: Vec<String>,
    granted: BTreeSet<String>,
    down_until: Option<Duration>,
    /// Since when each match has been held without a fresh load.
    loaded_at: HashMap<String, Duration>,
    /// Those that get some of their deltas only: for as long as they are not subscribed again where there is room.
    thinned: BTreeSet<String>,
}

struct World {
    bed: Bed,
    behaviour: Behaviour,
    /// What the server grants at the moment.
    granted: usize,
    lines: BTreeMap<SlotId, Line>,
    read: usize,
    /// The server has nothing for this match, whoever asks.
    empty: &'static str,
    /// These never change.
    quiet: BTreeSet<String>,
    /// Of these, snapshots differ from deltas whoever holds them.
    untrue: BTreeSet<String>,
    /// Audits, in all.
    audits: usize,
    /// The most that a connection held at the end of a step.
    most: usize,
}

impl Line {
    /// A match is subscribed, or subscribed again.
    fn serve(&mut self, id: &str, most: usize, now: Duration) {
        self.loaded_at.insert(id.to_owned(), now);
        self.thinned.remove(id);
        if self.list + self.granted.iter().filter(|held| *held != id && !self.thinned.contains(*held)).count()
            >= most
        {
            self.thinned.insert(id.to_owned());
        }
    }
}

impl World {
    fn new(behaviour: Behaviour, saved: Option<&SavedStateV3>) -> World {
        let mut config = config(64);
        config.feeds[0].cap = 50;
        config.feeds[0].learns_cap = true;
        World::of(config, MATCHES, behaviour, saved)
    }

    fn of(config: Settings, matches: usize, behaviour: Behaviour, saved: Option<&SavedStateV3>) -> World {
        let mut bed = Bed::after(config, saved);
        let ids: Vec<String> = (0..matches).map(|n| format!("m{n:03}")).collect();
        bed.load_list(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        World {
            bed,
            behaviour,
            granted: GRANTED,
            lines: BTreeMap::new(),
            read: 0,
            empty: "",
            quiet: BTreeSet::new(),
            untrue: BTreeSet::new(),
            audits: 0,
            most: 0,
        }
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
            let generation = self.bed.pool.children.recorder.life.generation;
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
                    line.thinned.remove(id.as_str());
                }
                ToWorker::Audit { id } => self.audit(slot, id.as_str()),
                _ => {}
            }
        }
    }

    fn serve(&mut self, slot: SlotId) {
        let (now, behaviour, most) = (self.bed.now, self.behaviour, self.granted);
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
            let loads = line.list + line.granted.len() < most;
            if loads || matches!(behaviour, Behaviour::Thins | Behaviour::Unlike) {
                line.granted.insert(id.clone());
                line.serve(&id, most, now);
                self.state(slot, &id, MatchState::Live);
                continue;
            }
            match behaviour {
                Behaviour::Closes | Behaviour::ClosesAtOnce => return self.close(slot),
                Behaviour::Ignores | Behaviour::Thins | Behaviour::Unlike => {}
                Behaviour::Refuses => self.state(slot, &id, MatchState::Removed),
            }
        }
        let line = &self.lines[&slot];
        self.most = self.most.max(line.list + line.asked.len());
        self.report(slot);
    }

    /// Eight changes a second; of what is above the cap one in ten comes.
    fn audit(&mut self, slot: SlotId, id: &str) {
        self.audits += 1;
        let now = self.bed.now;
        let (behaviour, most, quiet) = (self.behaviour, self.granted, self.quiet.contains(id));
        let line = self.lines.get_mut(&slot).unwrap();
        let Some(at) = line.loaded_at.get(id).copied() else { return };
        let thinned = line.thinned.contains(id);
        line.serve(id, most, now);
        let deltas = if quiet { 0 } else { (now - at).as_secs() as u32 * 8 };
        let finding = match behaviour {
            _ if deltas == 0 => Finding::Whole { deltas },
            _ if self.untrue.contains(id) => Finding::Missed { nodes: 1 },
            Behaviour::Thins if thinned => Finding::Missed { nodes: deltas.min(9) },
            Behaviour::Unlike => Finding::Missed { nodes: 1 },
            _ => Finding::Whole { deltas },
        };
        let Some(epoch) = self.epoch(slot, id) else { return };
        self.say(slot, FromWorker::Audited { id: id.into(), epoch, finding });
    }

    fn epoch(&self, slot: SlotId, id: &str) -> Option<Epoch> {
        let Assignment::Assigned { owner, candidate } =
            &self.bed.pool.catalog.matches.get(&key(id))?.assignment
        else {
            return None;
        };
        candidate.iter().chain([owner]).find(|seat| seat.slot == slot).map(|seat| seat.epoch)
    }

    fn close(&mut self, slot: SlotId) {
        let line = self.lines.get_mut(&slot).unwrap();
        let asked = (line.list + line.asked.len()) as u32;
        let seen = if self.behaviour == Behaviour::Closes { line.granted.len() } else { 2 };
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
        let Some(epoch) = self.epoch(slot, id) else { return };
        let report = MatchReport { id: id.into(), epoch, state, took_ms: 3, name: None };
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

    /// The recorder adopts every candidate that it knows of.
    fn adopt(&mut self) {
        let generation = self.bed.pool.children.recorder.life.generation;
        for key in self.bed.pool.catalog.matches.marked(Mark::Moving).clone() {
            if let Assignment::Assigned { candidate: Some(seat), .. } =
                &self.bed.pool.catalog.matches.get(&key).unwrap().assignment
                && seat.has_load()
            {
                let message = FromRecorder::Switched { key: key.clone(), epoch: seat.epoch };
                self.bed.give(Input::Recorder { generation, message });
            }
        }
    }

    /// On each connection the newest match is served in full, and an older one is not: as if one that was had ended and made room.
    fn serve_the_newest(&mut self) {
        for line in self.lines.values_mut() {
            let newest = line.thinned.pop_last().unwrap();
            assert_eq!(line.asked.last(), Some(&newest));
            line.thinned.insert(line.asked[20].clone());
        }
    }

    /// Matches that get some of their deltas only.
    fn thinned(&self) -> usize {
        self.lines.values().map(|line| line.thinned.len()).sum()
    }

    fn live(&self) -> usize {
        self.bed.pool.count().live
    }

    fn learned(&self) -> Option<u32> {
        self.bed.pool.feeds[FEED].cap.learner.learned()
    }
}

#[test]
fn within_half_a_minute_all_is_live_and_no_more_is_asked_than_is_granted() {
    for behaviour in
        [Behaviour::Closes, Behaviour::ClosesAtOnce, Behaviour::Ignores, Behaviour::Refuses, Behaviour::Thins]
    {
        let mut world = World::new(behaviour, None);
        world.pass(ms(30_000));
        assert_eq!(world.live(), MATCHES, "{behaviour:?}");
        let learned = world.learned().unwrap_or_else(|| panic!("{behaviour:?}"));
        assert!((18..=GRANTED as u32).contains(&learned), "{behaviour:?}: {learned}");
        assert!(
            behaviour == Behaviour::ClosesAtOnce || learned == GRANTED as u32,
            "{behaviour:?}: {learned}"
        );
        world.pass(ms(300_000));
        assert!(world.most <= GRANTED, "{behaviour:?}: {}", world.most);
        assert_eq!(world.live(), MATCHES, "{behaviour:?}");
        assert!(world.bed.logged("feed.cap_learned") >= 1);
    }
}

#[test]
fn no_more_leaves_a_connection_than_is_above_what_it_is_granted() {
    let mut world = World::new(Behaviour::Thins, None);
    world.pass(ms(60_000));
    assert_eq!(world.learned(), Some(37));
    // Six connections held 41 or 42.
    assert_eq!(world.bed.logged("match.moved"), 251 - 6 * 37);
    assert_eq!(world.thinned(), 0);
}

#[test]
fn what_was_thinned_and_stays_where_it_is_is_served_in_full_in_the_end() {
    let mut world = World::new(Behaviour::Thins, None);
    world.pass(ms(1_000));
    world.serve_the_newest();
    world.pass(ms(90_000));
    assert_eq!((world.learned(), world.live(), world.thinned()), (Some(37), MATCHES, 0));
    assert!(world.audits <= MATCHES + 60, "{} audits: each match once, and a few", world.audits);
}

#[test]
fn a_server_that_thins_nothing_teaches_nothing_and_is_asked_little() {
    let mut world = World::new(Behaviour::Thins, None);
    world.granted = 50;
    world.pass(ms(30_000));
    let moved = world.bed.logged("match.moving");
    world.pass(ms(600_000));
    assert_eq!((world.learned(), world.live()), (None, MATCHES));
    assert_eq!((world.bed.logged("match.moving"), moved), (0, 0));
    assert!((1..=3).contains(&world.audits), "{} audits", world.audits);
    assert_eq!(world.bed.logged("feed.cap_suspected"), 0);
}

#[test]
fn loads_that_always_differ_from_deltas_are_no_sign() {
    let mut world = World::new(Behaviour::Unlike, None);
    world.pass(ms(600_000));
    assert_eq!((world.learned(), world.live()), (None, MATCHES));
    assert_eq!(world.bed.logged("match.moving"), 0, "there is nothing to compare with");
    assert!(world.audits <= 60, "{} audits: of one connection, once", world.audits);
}

#[test]
fn matches_that_do_not_change_prove_nothing_and_are_looked_at_again() {
    let mut world = World::new(Behaviour::Thins, None);
    world.quiet = (0..MATCHES).map(|n| format!("m{n:03}")).collect();
    world.pass(ms(1_800_000));
    assert_eq!(world.learned(), None);
    assert!((200..=300).contains(&world.audits), "{} audits in half an hour", world.audits);
    world.quiet.clear();
    world.pass(ms(60_000));
    assert_eq!((world.learned(), world.live()), (Some(37), MATCHES), "once they change");
}

#[test]
fn a_third_of_the_matches_may_be_quiet() {
    let mut world = World::new(Behaviour::Thins, None);
    world.quiet = (0..MATCHES).step_by(3).map(|n| format!("m{n:03}")).collect();
    world.pass(ms(60_000));
    let learned = world.learned().unwrap();
    assert!((36..=39).contains(&learned), "{learned}");
    world.pass(ms(600_000));
    assert!(world.learned().unwrap().abs_diff(37) <= 1, "{:?}", world.learned());
    assert_eq!(world.live(), MATCHES);
}

#[test]
fn one_match_more_is_believed_only_when_it_gets_its_deltas() {
    let mut world = World::new(Behaviour::Thins, None);
    world.pass(ms(30_000));
    assert_eq!(world.learned(), Some(37));
    world.pass(ms(1_000_000));
    assert_eq!((world.learned(), world.most), (Some(37), 38), "tried and not believed");
    assert_eq!((world.bed.logged("feed.cap_raised"), world.bed.logged("feed.cap_tried")), (0, 1));
    world.granted = 39;
    world.pass(ms(3_600_000));
    assert_eq!((world.learned(), world.most, world.live()), (Some(39), 40, MATCHES));
}

#[test]
fn a_match_that_misses_deltas_below_the_cap_teaches_nothing() {
    let mut world = World::new(Behaviour::Thins, None);
    world.granted = 50;
    world.pass(ms(60_000));
    let before = world.audits;
    let slot = world.bed.pool.owner_slot(&key("m100")).unwrap();
    let (epoch, nodes) = (world.epoch(slot, "m100").unwrap(), 4);
    let found = FromWorker::Audited { id: "m100".into(), epoch, finding: Finding::Missed { nodes } };
    world.say(slot, found);
    world.pass(ms(300_000));
    assert_eq!((world.learned(), world.bed.logged("feed.cap_suspected")), (None, 0));
    assert_eq!(world.bed.logged("match.moving"), 0);
    assert_eq!(world.audits, before, "it is counted");
    let view = world.bed.pool.status(0).feeds[0].clone();
    assert_eq!((view.audits, view.audits_missed), (world.audits as u64 + 1, 1));
}

#[test]
fn what_was_learned_outlives_the_coordinator() {
    let mut world = World::new(Behaviour::Ignores, None);
    world.pass(ms(30_000));
    let saved = SavedStateV3::from_json(&world.bed.pool.saved_state().to_json().unwrap()).unwrap();
    let mut next = World::new(Behaviour::Ignores, Some(&saved));
    next.pass(ms(10_000));
    assert_eq!((next.learned(), next.live()), (Some(37), MATCHES));
    assert!(next.most <= GRANTED, "{}", next.most);
}

#[test]
fn a_server_that_grants_more_one_day_is_found_out_slowly() {
    let mut world = World::new(Behaviour::Ignores, None);
    world.pass(ms(30_000));
    world.granted = 39;
    world.pass(ms(3_600_000));
    assert_eq!(world.learned(), Some(39), "and not above");
    assert_eq!((world.most, world.live()), (40, MATCHES), "one more is tried, on one connection");
}

#[test]
fn a_page_without_content_is_no_cap() {
    let mut world = World::new(Behaviour::Ignores, None);
    world.granted = 50;
    world.empty = "m007";
    world.pass(ms(60_000));
    assert_eq!(world.learned(), None);
    assert_eq!(world.live(), MATCHES - 1);
    assert!(world.bed.logged("feed.cap_suspected") <= 1, "it was tried elsewhere once");
}

#[test]
fn where_there_is_no_other_connection_what_is_followed_stays_and_what_is_new_waits() {
    let mut config = config(1);
    config.feeds[0].cap = 50;
    config.feeds[0].learns_cap = true;
    let mut world = World::of(config, 45, Behaviour::Thins, None);
    world.pass(ms(300_000));
    assert_eq!((world.learned(), world.live()), (Some(37), 45));
    let ids: Vec<String> = (0..48).map(|n| format!("m{n:03}")).collect();
    world.bed.load_list(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    world.pass(ms(5_000));
    assert_eq!((world.live(), world.bed.pool.count().waiting), (45, 3));
}

#[test]
fn a_surplus_that_misses_deltas_where_fewer_are_held_takes_the_cap_back_and_ends_the_audits() {
    let mut world = World::new(Behaviour::Thins, None);
    world.granted = 50;
    world.pass(ms(1_000));
    world.untrue = world.lines.values().next().unwrap().asked.iter().rev().take(2).cloned().collect();
    world.pass(ms(30_000));
    let audits = world.audits;
    assert_eq!((world.learned(), world.bed.logged("feed.cap_learned")), (None, 2), "learned and taken back");
    assert_eq!(world.bed.logged("match.moved"), 251 - 6 * 40, "no more than that");
    world.pass(ms(600_000));
    assert_eq!((world.learned(), world.live()), (None, MATCHES));
    assert!(world.audits - audits <= MATCHES, "{} audits more", world.audits - audits);
    assert_eq!(world.bed.logged("feed.cap_learned"), 2);
}
