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

impl Host {
    fn takes(self) -> Duration {
        match self {
            Host::Quick => Duration::from_millis(50),
            Host::Slow => 4 * SECOND,
            Host::Dead => 30 * SECOND,
        }
    }
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![8 => Just(Host::Quick), 1 => Just(Host::Slow), 1 => Just(Host::Dead)]
}

struct Simulation {
    schedule: Schedule,
    places: Places,
    hosts: Vec<Host>,
    wanted: HashMap<u64, Wanted>,
    /// When what is in flight is answered, and which it is.
    flying: BTreeMap<(Instant, u64), usize>,
    /// Answers of each, and when the first came.
    answers: Vec<u32>,
    first: Vec<Option<Instant>>,
    /// When each was last handed over, and whether it is under way.
    asked: Vec<Option<Instant>>,
    under_way: Vec<bool>,
    longest: Vec<Duration>,
    window: usize,
}

impl Simulation {
    /// Each has a server of its own.
    fn new(hosts: Vec<Host>, window: usize, per_host: usize, now: Instant) -> Simulation {
        let of = |n: usize| document(&format!("d{n}"), &format!("http://h{n}/d{n}"));
        let sources: Vec<SourcePlan> = (0..hosts.len()).map(of).collect();
        Simulation::of(sources, hosts, window, per_host, now)
    }

    fn of(
        sources: Vec<SourcePlan>,
        hosts: Vec<Host>,
        window: usize,
        per_host: usize,
        now: Instant,
    ) -> Simulation {
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
            longest: vec![Duration::ZERO; hosts.len()],
            answers: vec![0; hosts.len()],
            first: vec![None; hosts.len()],
            hosts,
            window,
        }
    }

    fn step(&mut self, now: Instant) {
        while let Some((&(at, number), &place)) =
            self.flying.first_key_value().filter(|((at, _), _)| *at <= now)
        {
            self.flying.remove(&(at, number));
            self.under_way[place] = false;
            let wanted = self.wanted.remove(&number).unwrap();
            self.places.done(number, &wanted.url);
            let host = self.hosts[place];
            match host {
                Host::Dead => self.schedule.failed(Number(number), &HttpError::Timeout, now),
                Host::Quick | Host::Slow => {
                    self.places.answered(host.takes());
                    self.answers[place] += 1;
                    self.first[place].get_or_insert(now);
                    self.schedule.answered(Number(number), answer(), now);
                }
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
        while let Some(number) = self.places.start(now) {
            let place = self.wanted[&number].source.0;
            self.flying.insert((now + self.hosts[place].takes(), number), place);
        }
        assert!(self.flying.len() <= Places::most(self.window));
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

/// How the bad ones among the sources are spread over servers.
#[derive(Clone, Copy, Debug)]
enum Spread {
    /// The slow share one, and so do the dead.
    Shared,
    /// Each has its own.
    Own,
}

/// So many healthy sources on ten servers, evenly mixed with slow and dead ones; all are due at once, and then each `every`.
fn mixed(healthy: usize, [slow, dead]: [usize; 2], spread: Spread, every: Duration) -> Simulation {
    let bad = std::iter::repeat_n(Host::Slow, slow).chain(std::iter::repeat_n(Host::Dead, dead));
    let mut hosts = vec![Host::Quick; healthy];
    let apart = healthy / (slow + dead).max(1) + 1;
    for (n, host) in bad.enumerate() {
        hosts.insert((n * apart).min(hosts.len()), host);
    }
    let source = |(n, host): (usize, &Host)| {
        let server = match (host, spread) {
            (Host::Quick, _) => format!("q{}", n % 10),
            (Host::Slow, Spread::Shared) => "slow".to_owned(),
            (Host::Dead, Spread::Shared) => "dead".to_owned(),
            (Host::Slow | Host::Dead, Spread::Own) => format!("bad{n}"),
        };
        let document = document(&format!("d{n}"), &format!("http://{server}/d{n}"));
        SourcePlan { every, every_scheduled: every, spread: Duration::ZERO, ..document }
    };
    let sources = hosts.iter().enumerate().map(source).collect();
    Simulation::of(sources, hosts, 20, 4, Instant::now())
}

/// Seconds until each healthy source was answered once.
fn burst(mut simulation: Simulation) -> f64 {
    let start = Instant::now();
    let mut now = start;
    let is_open = |simulation: &Simulation| {
        let mut all = simulation.hosts.iter().zip(&simulation.first);
        all.any(|(host, first)| *host == Host::Quick && first.is_none())
    };
    while is_open(&simulation) {
        simulation.step(now);
        now += STEP;
        assert!(now < start + 60 * SECOND, "the healthy ones are answered within a minute");
    }
    (now - start).as_secs_f64()
}

/// Seconds from one answer of a healthy source to its next, on average over a minute.
fn period(mut simulation: Simulation) -> f64 {
    const MEASURED: Duration = Duration::from_secs(60);
    let start = Instant::now();
    let answers = |simulation: &Simulation| {
        let all = simulation.hosts.iter().zip(&simulation.answers);
        all.filter(|(host, _)| **host == Host::Quick).map(|(_, answers)| *answers).sum::<u32>()
    };
    let mut now = start;
    let mut before = 0;
    while now < start + 10 * SECOND + MEASURED {
        simulation.step(now);
        now += STEP;
        if now <= start + 10 * SECOND {
            before = answers(&simulation);
        }
    }
    let healthy = simulation.hosts.iter().filter(|host| **host == Host::Quick).count() as f64;
    MEASURED.as_secs_f64() * healthy / f64::from(answers(&simulation) - before)
}

#[test]
fn a_healthy_source_is_answered_as_soon_with_slow_and_dead_ones_among_them_as_without() {
    for spread in [Spread::Shared, Spread::Own] {
        let [without, with] = [[0, 0], [20, 5]].map(|bad| burst(mixed(975, bad, spread, 3_600 * SECOND)));
        assert!((2.4..2.6).contains(&without), "975 answers of 50 ms with a window of 20: {without}");
        assert!(with / without <= 1.10, "all at once, {spread:?}: {with} / {without}");
        // Once with places to spare, once with a window that is always full.
        for every in [4 * SECOND, SECOND] {
            let [without, with] = [[0, 0], [20, 5]].map(|bad| period(mixed(975, bad, spread, every)));
            assert!(with / without <= 1.10, "each {every:?}, {spread:?}: {with} / {without}");
        }
    }
}
