//! A run: the server, what reads from it, and what that used and found in a while.

use super::cpu::used;
use super::ledger::{Ledger, Samples};
use super::pulse::{Plan, Pulse};
use super::site::{Pids, Setup, Site};
use super::skeleton::Skeleton;
use crate::error::BenchError;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_harness::process;

const LIVE: Duration = Duration::from_secs(30);
/// After the server has stopped, until what is on its way has arrived.
const ARRIVE: Duration = Duration::from_millis(300);
/// Quiet is who uses less than this much of a core,
const QUIET: f64 = 0.10;
/// over this long.
const QUIET_FOR: Duration = Duration::from_millis(250);

/// How long a measurement takes.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Before it begins.
    pub warm: Duration,
    /// It itself.
    pub measure: Duration,
}

/// What was used, in cores, and how fast the server wrote.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Those that read connections.
    pub workers: f64,
    /// The recorder, or the sink.
    pub recorder: f64,
    /// The coordinator, if there is one.
    pub coordinator: f64,
    /// Diffs written per second.
    pub rate: f64,
    /// Seconds from the last diff until everything was dealt with, where that was waited for.
    pub behind: f64,
}

impl Usage {
    /// All processes.
    pub fn all(&self) -> f64 {
        self.workers + self.recorder + self.coordinator
    }

    /// Workers and recorder, microseconds a diff.
    pub fn each_us(&self) -> f64 {
        (self.workers + self.recorder) * 1e6 / self.rate
    }

    /// A line.
    pub fn text(&self) -> String {
        format!(
            "of a core: workers {:.1} %, recorder {:.1} %, coordinator {:.2} %",
            100.0 * self.workers,
            100.0 * self.recorder,
            100.0 * self.coordinator
        )
    }
}

/// The processes whose time is measured.
#[derive(Clone, Debug, Default)]
pub struct Measurable {
    /// Those that read connections.
    pub workers: Vec<u32>,
    /// The recorder, or the sink.
    pub recorder: Vec<u32>,
    /// The coordinator, if there is one.
    pub coordinator: Vec<u32>,
}

impl Measurable {
    fn look(&self) -> Result<[Duration; 3], BenchError> {
        let of = |pids: &[u32]| used(pids.iter().copied());
        Ok([of(&self.workers)?, of(&self.recorder)?, of(&self.coordinator)?])
    }

    /// What they use while the server writes so many diffs a second.
    ///
    /// # Errors
    /// When one of them is gone.
    pub fn measure(
        &self,
        pulse: &Pulse,
        ledger: &Ledger,
        rate: u64,
        span: Span,
    ) -> Result<Usage, BenchError> {
        pulse.beat(rate);
        std::thread::sleep(span.warm);
        let (began, sent, before) = (Instant::now(), pulse.sent(), self.look()?);
        ledger.record(true);
        std::thread::sleep(span.measure);
        ledger.record(false);
        let (passed, after) = (began.elapsed().as_secs_f64(), self.look()?);
        let rate = (pulse.sent() - sent) as f64 / passed;
        pulse.beat(0);
        std::thread::sleep(ARRIVE);
        Ok(usage(&before, &after, passed, rate))
    }

    /// The same from the first diff until all are dealt with, however long that takes: for rates that may be too high.
    ///
    /// # Errors
    /// When one of them is gone.
    pub fn measure_to_the_end(
        &self,
        pulse: &Pulse,
        rate: u64,
        measure: Duration,
        patience: Duration,
    ) -> Result<Usage, BenchError> {
        let (sent, before) = (pulse.sent(), self.look()?);
        pulse.beat(rate);
        std::thread::sleep(measure);
        pulse.beat(0);
        let ended = Instant::now();
        let deadline = ended + patience;
        let mut last = self.look()?;
        let behind = loop {
            let looked = ended.elapsed();
            std::thread::sleep(QUIET_FOR);
            let now = self.look()?;
            let busy = usage(&last, &now, QUIET_FOR.as_secs_f64(), 0.0).all();
            last = now;
            if busy < QUIET || Instant::now() > deadline {
                break looked.as_secs_f64();
            }
        };
        let passed = measure.as_secs_f64();
        let rate = (pulse.sent() - sent) as f64 / passed;
        Ok(Usage { behind, ..usage(&before, &last, passed, rate) })
    }
}

fn usage(before: &[Duration; 3], after: &[Duration; 3], passed: f64, rate: f64) -> Usage {
    let [workers, recorder, coordinator] = [0, 1, 2].map(|at: usize| {
        let both = after.get(at).zip(before.get(at));
        both.map_or(0.0, |(after, before)| after.saturating_sub(*before).as_secs_f64() / passed)
    });
    Usage { workers, recorder, coordinator, rate, behind: 0.0 }
}

/// The daemon and its server.
pub struct Run {
    // The daemon goes before its server.
    /// The daemon.
    pub site: Site,
    /// The server.
    pub pulse: Pulse,
    /// The stamps.
    pub ledger: Arc<Ledger>,
    /// The daemon's processes.
    pub pids: Pids,
}

impl Run {
    /// Starts both and waits until all matches are live.
    ///
    /// # Errors
    /// When they do not come up.
    pub fn start(plan: Plan, setup: Setup) -> Result<Run, BenchError> {
        Run::start_program(process::program(), plan, setup, LIVE)
    }

    /// The same with that program, and so long a wait.
    ///
    /// # Errors
    /// When they do not come up.
    pub fn start_program(
        program: &Path,
        plan: Plan,
        setup: Setup,
        patience: Duration,
    ) -> Result<Run, BenchError> {
        let ledger = Arc::new(Ledger::new(plan.matches));
        let pulse = Pulse::start(plan, &ledger)?;
        let site = Site::start(program, pulse.address, setup, &ledger)?;
        site.wait_live(plan.matches, patience)?;
        let pids = site.pids()?;
        Ok(Run { site, pulse, ledger, pids })
    }

    /// The processes that workers run in, each once.
    pub fn workers(&self) -> impl Iterator<Item = u32> {
        let pids: BTreeSet<u32> = self.pids.workers.iter().map(|worker| worker.pid).collect();
        pids.into_iter()
    }

    /// The daemon's processes.
    pub fn measurable(&self) -> Measurable {
        Measurable {
            workers: self.workers().collect(),
            recorder: self.pids.others.clone(),
            coordinator: vec![self.pids.coordinator],
        }
    }

    /// Lets diffs flow for a while; what was found and used meanwhile.
    ///
    /// # Errors
    /// When a process is gone.
    pub fn measure(&self, rate: u64, span: Span) -> Result<(Samples, Usage), BenchError> {
        let usage = self.measurable().measure(&self.pulse, &self.ledger, rate, span)?;
        Ok((self.ledger.take(), usage))
    }
}

/// The skeleton and its server.
pub struct Bare {
    /// The skeleton.
    pub skeleton: Skeleton,
    /// The server.
    pub pulse: Pulse,
    ledger: Arc<Ledger>,
    reader: Reader,
}

/// Who notes when a diff arrived at the skeleton.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Its sink.
    Sink,
    /// A reader of what the sink passes on: one hop more, as the daemon has it.
    BehindSink,
}

impl Bare {
    /// Starts both and waits until all matches are subscribed.
    ///
    /// # Errors
    /// When they do not come up.
    pub fn start(plan: Plan, connections: usize, reader: Reader) -> Result<Bare, BenchError> {
        let ledger = Arc::new(Ledger::new(plan.matches));
        ledger.has_reader();
        let pulse = Pulse::start(plan, &ledger)?;
        let behind = match reader {
            Reader::Sink => None,
            Reader::BehindSink => Some(&ledger),
        };
        let skeleton = Skeleton::start(pulse.address, plan.matches, connections, behind)?;
        pulse.wait_followed(plan.matches, LIVE)?;
        Ok(Bare { skeleton, pulse, ledger, reader })
    }

    /// Its processes.
    pub fn measurable(&self) -> Measurable {
        Measurable {
            workers: self.skeleton.workers().collect(),
            recorder: vec![self.skeleton.sink()],
            coordinator: Vec::new(),
        }
    }

    /// As [`Run::measure`]; it ends with it.
    ///
    /// # Errors
    /// When a process is gone.
    pub fn measure(self, rate: u64, span: Span) -> Result<(Samples, Usage), BenchError> {
        let usage = self.measurable().measure(&self.pulse, &self.ledger, rate, span)?;
        match self.reader {
            Reader::Sink => self.skeleton.finish(&self.ledger)?,
            Reader::BehindSink => drop(self.skeleton),
        }
        Ok((self.ledger.take(), usage))
    }
}
