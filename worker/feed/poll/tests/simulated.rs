//! The schedule and the window together, in simulated time, with hosts that are quick, slow, or dead.

use super::plan::*;
use crate::feed::poll::{Number, Schedule, SourcePlan, Wanted};
use crate::net::http::{Answer, HttpError, Places};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Quick,
    Slow,
    Dead,
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![8 => Just(Host::Quick), 1 => Just(Host::Slow), 1 => Just(Host::Dead)]
}

struct Simulation {
    schedule: Schedule,
    places: Places,
    hosts: Vec<Host>,
    wanted: HashMap<u64, Wanted>,
    /// When what is in flight is answered.
    flying: BTreeMap<(Instant, u64), usize>,
    /// When each was last handed over, and whether it is under way.
    asked: Vec<Option<Instant>>,
    under_way: Vec<bool>,
    answered: Vec<bool>,
    longest: Vec<Duration>,
    window: usize,
}

impl Simulation {
    fn new(hosts: Vec<Host>, window: usize, per_host: usize, now: Instant) -> Simulation {
        // Those that are slow or dead share servers, so that a server's limit counts, too.
        let server = |n: usize| match hosts[n] {
            Host::Quick => format!("h{n}"),
            Host::Slow => format!("slow{}", n % 7),
            Host::Dead => format!("dead{}", n % 3),
        };
        let of = |n: usize| document(&format!("d{n}"), &format!("http://{}/d{n}", server(n)));
        let sources: Vec<SourcePlan> = (0..hosts.len()).map(of).collect();
        let mut schedule = Schedule::new(Arc::new(plan(sources)), 7);
        for n in 0..hosts.len() {
            schedule.follow(&format!("d{n}"), now).unwrap();
        }
        Simulation {
            schedule,
            places: Places::new(window, per_host),
            wanted: HashMap::new(),
            flying: BTreeMap::new(),
            asked: vec![None; hosts.len()],
            under_way: vec![false; hosts.len()],
            answered: vec![false; hosts.len()],
            longest: vec![Duration::ZERO; hosts.len()],
            hosts,
            window,
        }
    }

    fn step(&mut self, now: Instant) {
        while let Some((&(at, number), &place)) =
            self.flying.first_key_value().filter(|((at, _), _)| *at <= now)
        {
            self.flying.remove(&(at, number));
            (self.under_way[place], self.answered[place]) = (false, true);
            let wanted = self.wanted.remove(&number).unwrap();
            self.places.done(number, &wanted.url);
            match self.hosts[place] {
                Host::Dead => self.schedule.failed(Number(number), &HttpError::Timeout, now),
                Host::Quick | Host::Slow => self.schedule.answered(Number(number), answer(), now),
            }
        }
        while let Some(wanted) = self.schedule.next_request(now) {
            let place = wanted.source.0;
            assert!(!std::mem::replace(&mut self.under_way[place], true), "d{place} overlaps itself");
            if let Some(before) = self.asked[place].replace(now) {
                self.longest[place] = self.longest[place].max(now - before);
            }
            self.places.push(wanted.number.0, &wanted.url);
            self.wanted.insert(wanted.number.0, wanted);
        }
        self.places.pass(now);
        while let Some(number) = self.places.start(now) {
            let place = self.wanted[&number].source.0;
            let takes = match self.hosts[place] {
                Host::Quick => Duration::from_millis(100),
                Host::Slow => 4 * SECOND,
                Host::Dead => 30 * SECOND,
            };
            self.flying.insert((now + takes, number), place);
        }
        assert!(self.flying.len() <= 4 * self.window);
        while self.schedule.next_told().is_some() {}
    }
}

fn answer() -> Answer {
    Answer {
        status: 200,
        body: b"{}".to_vec(),
        headers: Vec::new(),
        first_byte: Duration::ZERO,
        took: Duration::ZERO,
    }
}

/// How long it takes until each healthy one of 975 was answered, with 25 others among them.
fn burst(others: [Host; 25]) -> Duration {
    let mut hosts = vec![Host::Quick; 975];
    for (n, other) in others.into_iter().enumerate() {
        hosts.insert(n * 39, other);
    }
    let start = Instant::now();
    let mut simulation = Simulation::new(hosts, 20, 4, start);
    // All that is due, as after a start without a spread.
    let due = start + 5 * SECOND;
    let mut waits: Vec<usize> = (0..simulation.hosts.len()).collect();
    waits.retain(|n| simulation.hosts[*n] == Host::Quick);
    for step in 0..2_000 {
        simulation.step(due + STEP * step);
        waits.retain(|n| !simulation.answered[*n]);
        if waits.is_empty() {
            return STEP * step;
        }
    }
    panic!("{} were never answered", waits.len());
}

#[test]
fn healthy_sources_are_done_as_soon_with_bad_ones_among_them() {
    let mut bad = [Host::Slow; 25];
    bad[20..].fill(Host::Dead);
    let (with, without) = (burst(bad), burst([Host::Quick; 25]));
    assert!(with <= without.mul_f64(1.1), "{with:?} with 20 slow and 5 dead, {without:?} without");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// With places for all that is slow or dead and some to spare, each healthy source is asked within its interval and what the
    /// window costs; no source ever overlaps itself; the window holds.
    #[test]
    fn healthy_sources_are_asked_in_time_whatever_the_others_do(hosts in prop::collection::vec(host(), 1..60)) {
        let start = Instant::now();
        let window = hosts.iter().filter(|host| **host != Host::Quick).count() + 4;
        let mut simulation = Simulation::new(hosts, window, 4, start);
        let mut now = start;
        while now < start + 60 * SECOND {
            simulation.step(now);
            now += STEP;
        }
        for (n, host) in simulation.hosts.iter().enumerate() {
            let first = simulation.asked[n];
            prop_assert!(first.is_some(), "d{n} was never asked");
            if *host == Host::Quick {
                let longest = simulation.longest[n];
                prop_assert!(longest <= 6 * SECOND && longest >= 4 * SECOND, "d{n} of {host:?}: {longest:?}");
            }
        }
    }

    /// Whatever the window: it holds, and nothing overlaps.
    #[test]
    fn a_small_window_holds(hosts in prop::collection::vec(host(), 1..40), window in 1..8_usize, per_host in 1..3_usize) {
        let start = Instant::now();
        let mut simulation = Simulation::new(hosts, window, per_host, start);
        for n in 0..3_000 {
            simulation.step(start + STEP * n);
        }
    }
}
