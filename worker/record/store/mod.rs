//! The store's thread: it runs the ledgers and owns the one writing connection.
//!
//! Invariants: events, changed ledgers and channels' positions are committed in one transaction, and everything that
//! follows from them (acknowledgements, switches) is sent after it. A batch that the disk refuses is kept and tried
//! again, with no new work taken meanwhile, so nothing is lost or doubled; the workers' windows then hold them.

pub(super) mod checkpoint;
mod frames;
mod jobs;
pub mod open;
mod retention;
pub mod schema;
#[cfg(test)]
mod tests;
mod write;

pub use jobs::MatchJob;
pub use open::{Opened, Restored, open};

use super::config::RecordConfig;
use super::files::Files;
use super::ledger::{Input, Ledger, Outcome, Source};
use super::queue::{Cost, lock};
use super::sqlite::{self, Positions};
use super::thread::{BACKOFF, Gone, LAST_ATTEMPTS, Reply};
use super::time::wall_us;
use frames::Incoming;
use hashbrown::{HashMap, HashSet};
use rusqlite::Connection;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::data::{Extent, Stamp};
use touchline_common::model::{Epoch, MatchKey};
use touchline_common::sys::lock::FileLock;
use write::Batch;

/// Bytes that may wait for the thread.
const LIMIT: usize = 64 * 1024 * 1024;
const MAX_FRAMES: usize = 1_000;
/// Bytes that wait behind a transaction,
const BACKLOG: usize = 256 * 1024;
/// beyond which it has so many: those behind are sooner committed by fewer and larger ones.
const BACKLOG_FRAMES: usize = 4_000;
/// The part of `event_commit` that is left for the commit itself.
const COMMIT_SHARE: u32 = 4;
/// How long restored owners may take to open their channels again.
const REATTACH: Duration = Duration::from_secs(5);
/// Of each second, the time after which retention leaves the rest to the next.
const RETENTION_SHARE: Duration = Duration::from_millis(50);
/// How often the thread looks at the clock when nothing comes.
const IDLE: Duration = Duration::from_millis(200);
const SHORTEST: Duration = Duration::from_millis(1);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub key: MatchKey,
    pub epoch: Epoch,
    pub version: u64,
    /// `live`, `stale`, `waiting`, `ended`.
    pub state: &'static str,
    /// `match` or `list`.
    pub source: &'static str,
    pub stamp: Stamp,
    /// Whether `sections` are all that there is: what the store holds of another match under that id goes.
    pub extent: Extent,
    /// Section names of `schema` and their bodies; `None`: gone.
    pub sections: Vec<(Arc<str>, Option<Arc<String>>)>,
}

pub type Job = super::thread::Job<MatchJob>;
pub type Shared = super::thread::Shared<MatchJob>;

/// Questions to workers whether they have reported all that they received. Those of many matches are one, and a worker has
/// one at a time.
#[derive(Debug, Default)]
struct Marks {
    next: u64,
    wanted: HashSet<Source>,
    /// Who was asked and did not answer yet.
    asked: HashSet<Source>,
}

impl Marks {
    fn questions(&mut self) -> Vec<Reply> {
        let (token, asked) = (self.next, &mut self.asked);
        let now = self.wanted.extract_if(|source| asked.insert(*source));
        let questions: Vec<Reply> = now.map(|source| Reply::Mark { source, token }).collect();
        self.next += u64::from(!questions.is_empty());
        questions
    }

    /// A channel is new or at its end: what was asked on it is answered no more.
    fn forget(&mut self, source: Source) {
        self.wanted.remove(&source);
        self.asked.remove(&source);
    }
}

pub struct Store {
    config: Arc<RecordConfig>,
    connection: Connection,
    shared: Arc<Shared>,
    _lock: FileLock,
    ledgers: HashMap<MatchKey, Ledger>,
    positions: Positions,
    incoming: HashMap<Source, Incoming>,
    /// Ledgers in which time alone may change something.
    timed: HashSet<MatchKey>,
    /// Until when restored owners may come back; `None` when that is over.
    reattach_until: Option<Instant>,
    alive_at: i64,
    /// When work was last taken up: all that came before is in the next commit. Wall clock, microseconds.
    taken_at: i64,
    seq: i64,
    batch: Batch,
    outcome: Outcome,
    marks: Marks,
    retention: retention::Retention,
    files: Files,
    /// The disk refused the last commit.
    is_refused: bool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.config.path)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// The thread's whole life. `wake` is called when answers wait for the loop.
    pub fn run(mut self, wake: &dyn Fn()) {
        let mut jobs = Vec::new();
        let mut seen_second = Instant::now();
        // Since when what is not urgent waits for its commit.
        let mut pending: Option<Instant> = None;
        loop {
            let looked_at = self.gather(&mut jobs, pending);
            let stop = self.take_up(looked_at, &mut jobs, wake);
            self.pass_time();
            let now = Instant::now();
            pending = if self.batch.is_empty() { None } else { pending.or(Some(now)) };
            if stop || self.batch.is_urgent() || pending.is_some_and(|since| now >= since + self.patience()) {
                self.commit(stop);
                pending = None;
            }
            if self.deliver(stop) {
                wake();
            }
            if stop {
                return;
            }
            if seen_second.elapsed() >= Duration::from_secs(1) {
                seen_second = Instant::now();
                self.each_second(wake);
            }
        }
    }

    /// Takes what waits; sleeps until something comes, a ledger's time is up, or what is pending must be committed. Returns when
    /// it last looked: what came before that is among `jobs`.
    fn gather(&mut self, jobs: &mut Vec<Job>, pending: Option<Instant>) -> i64 {
        let deadlines = self.timed.iter().filter_map(|key| self.ledgers.get(key)?.deadline());
        let due = pending.map(|since| since + self.patience());
        let now = Instant::now();
        let until = deadlines.chain(due).fold(now + IDLE, Instant::min).max(now + SHORTEST);
        self.shared.queue.take(jobs, until);
        let looked_at = wall_us();
        self.shared.queue.take(jobs, now);
        looked_at
    }

    /// How long what is not urgent waits for its commit; the rest of `event_commit` is the commit's.
    fn patience(&self) -> Duration {
        let commit = self.config.store.event_commit.get();
        commit - commit / COMMIT_SHARE
    }

    /// Does what was gathered, up to `looked_at`.
    fn take_up(&mut self, looked_at: i64, jobs: &mut Vec<Job>, wake: &dyn Fn()) -> bool {
        let stop = self.work(jobs, wake);
        // Not sooner: a commit in between leaves out what came later, and where both recorder and worker die then, the gap
        // begins here.
        self.taken_at = looked_at;
        stop
    }

    /// Does the jobs in order, committing each time a transaction is full; whether the last of all was among them.
    fn work(&mut self, jobs: &mut Vec<Job>, wake: &dyn Fn()) -> bool {
        let mut stop = false;
        let mut done = 0;
        let most = if self.shared.queue.held() > BACKLOG { BACKLOG_FRAMES } else { MAX_FRAMES };
        for job in jobs.drain(..) {
            stop |= matches!(job, Job::Stop);
            done += job.cost();
            self.take(job);
            if self.batch.frames >= most {
                self.commit(stop);
                if self.shared.queue.done(std::mem::take(&mut done))
                    | self.shared.queue.has_reply(Reply::is_urgent)
                {
                    wake();
                }
            }
        }
        if self.shared.queue.done(done) {
            wake();
        }
        stop
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Open { token, source } => {
                let resume_after = sqlite::position(&self.positions, source);
                self.batch.replies.push(Reply::Opened { token, resume_after });
                self.marks.forget(source);
                self.incoming.insert(source, Incoming::default());
                self.each_of(source, |_| Input::Attached { source });
            }
            Job::Frames { source, token, chunk, came } => self.frames(source, token, &chunk, came),
            Job::Gone(Gone { source, at, attached, last_frame_at, unheard }) => {
                self.marks.forget(source);
                let incoming = self.incoming.remove(&source).unwrap_or_default();
                let sign = incoming.last_sign(at, attached, last_frame_at);
                self.each_of(source, |_| Input::Gone { source, at, sign, unheard });
            }
            Job::Ended { key, epoch } => {
                self.advance(&key, &Input::Ended { epoch, at: wall_us() });
                // Of one whose worker is to report its end first, the ledger says when.
                if !self.ledgers.get(&key).is_some_and(Ledger::is_concluding) {
                    self.batch.replies.push(Reply::Ended { key, epoch });
                }
            }
            Job::Own(job) => self.take_own(job),
            Job::Stop => {}
        }
    }

    fn take_own(&mut self, job: MatchJob) {
        match job {
            MatchJob::Silent { source, ms } => {
                self.each_of(source, |at| Input::Silent { source, since: at - i64::from(ms) * 1_000 });
            }
            MatchJob::Back { source } => self.each_of(source, |at| Input::Back { source, at }),
            MatchJob::Switch { key, epoch, owner } => self.advance(&key, &Input::Switch { epoch, owner }),
            MatchJob::Snapshot(snapshot) => self.batch.snapshots.push(*snapshot),
        }
    }

    /// Gives an input to every ledger that `source` writes to.
    fn each_of(&mut self, source: Source, input: impl Fn(i64) -> Input<'static>) {
        let at = wall_us();
        let concerned = self.ledgers.iter().filter(|(_, ledger)| ledger.concerns(source));
        let keys: Vec<MatchKey> = concerned.map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.advance(key, &input(at)));
    }

    /// `source` has reported all that it had received when it was asked with `token`, which must be in the frames before.
    fn marked(&mut self, source: Source, token: u64) {
        self.marks.asked.remove(&source);
        // A ledger that waits for an answer waits for a deadline, too.
        let keys: Vec<MatchKey> = self.timed.iter().cloned().collect();
        keys.iter().for_each(|key| self.advance(key, &Input::Marked { source, token }));
    }

    /// The frame's number is committed with what follows from it.
    fn taken(&mut self, source: Source, n: u64) {
        self.batch.frames += 1;
        self.positions.insert(source.slot, (source.generation, n));
        self.batch.positions.insert(source.slot, (source.generation, n));
    }

    /// Runs one ledger and keeps what follows for the commit.
    fn advance(&mut self, key: &MatchKey, input: &Input<'_>) {
        let Some(feed) = self.config.feed(key) else {
            return log::error!(feed = key.feed.0; "feed.unknown");
        };
        if !self.ledgers.contains_key(key) {
            let known = open::ledger_of(&self.connection, &self.config, feed, key.id.as_str());
            self.ledgers.insert(key.clone(), known);
        }
        let Some(ledger) = self.ledgers.get_mut(key) else { return };
        self.outcome.next_mark = self.marks.next;
        ledger.advance(input, Instant::now(), &mut self.outcome);
        if ledger.deadline().is_some() {
            self.timed.insert(key.clone());
        }
        if let Some(epoch) = self.outcome.ended.take() {
            self.batch.replies.push(Reply::Ended { key: key.clone(), epoch });
        }
        if let Some(epoch) = self.outcome.switched.take() {
            self.batch.highest_epoch = self.batch.highest_epoch.max(epoch.0);
            self.batch.replies.push(Reply::Adopted { key: key.clone(), epoch });
        }
        self.batch.refused += u64::from(std::mem::take(&mut self.outcome.refused));
        self.batch.lost += std::mem::take(&mut self.outcome.lost);
        self.marks.wanted.extend(self.outcome.marks.drain(..));
        self.batch.keep(key, ledger, &mut self.outcome);
    }

    /// Settling values, candidates, owners that did not come back.
    fn pass_time(&mut self) {
        let now = Instant::now();
        let due = |key: &&MatchKey| {
            self.ledgers.get(*key).and_then(Ledger::deadline).is_some_and(|deadline| deadline <= now)
        };
        let keys: Vec<MatchKey> = self.timed.iter().filter(due).cloned().collect();
        for key in keys {
            self.advance(&key, &Input::Tick { at: wall_us() });
        }
        let ledgers = &self.ledgers;
        self.timed.retain(|key| ledgers.get(key).is_some_and(|ledger| ledger.deadline().is_some()));
        if self.reattach_until.is_some_and(|until| now >= until) {
            self.reattach_until = None;
            let missing = self.ledgers.iter().filter(|(_, ledger)| ledger.is_detached());
            let keys: Vec<MatchKey> = missing.map(|(key, _)| key.clone()).collect();
            let at = self.alive_at;
            keys.iter().for_each(|key| self.advance(key, &Input::Missing { at }));
        }
    }

    /// Commits the batch, however long the disk refuses it; at a stop it gives up after a few attempts.
    fn commit(&mut self, stop: bool) {
        let mut backoff = BACKOFF.0;
        let mut attempts: u32 = 0;
        while !self.batch.is_empty() {
            let error = match self.try_commit() {
                Ok(()) => return,
                Err(error) => error.to_string(),
            };
            attempts += 1;
            let (why, retry_ms) = (error.as_str(), backoff.as_millis() as u64);
            if attempts.is_power_of_two() {
                log::error!(error = why, attempt = attempts, retry_ms = retry_ms; "store.trouble");
            } else {
                log::debug!(error = why, attempt = attempts, retry_ms = retry_ms; "store.trouble");
            }
            lock(&self.shared.stats).trouble = error;
            self.is_refused = true;
            if stop && attempts >= LAST_ATTEMPTS {
                log::error!(events = self.batch.events.len(); "store.given_up");
                // They follow from a commit that was not made.
                self.batch.replies.clear();
                return;
            }
            std::thread::sleep(backoff);
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    fn try_commit(&mut self) -> rusqlite::Result<()> {
        let gate = lock(&self.shared.gate);
        self.batch.complete_until = self.taken_at;
        let seq = write::write(&mut self.connection, &self.config, &self.batch, &self.ledgers, self.seq)?;
        drop(gate);
        self.committed(seq);
        Ok(())
    }

    fn committed(&mut self, seq: i64) {
        let added = seq - self.seq;
        self.seq = seq;
        for key in self.batch.changed() {
            if let Some(ledger) = self.ledgers.get_mut(key) {
                ledger.committed();
            }
        }
        {
            let mut stats = lock(&self.shared.stats);
            stats.events = stats.events.saturating_add_signed(added);
            stats.dropped += self.batch.lost;
            stats.refused += self.batch.refused;
            stats.gaps += self.batch.gaps_opened();
            stats.gaps_open =
                (stats.gaps_open + self.batch.gaps_opened()).saturating_sub(self.batch.gaps_closed());
            if std::mem::take(&mut self.is_refused) {
                log::info!("store.recovered");
                stats.trouble.clear();
            }
        }
        self.batch.log_gaps(&self.config);
        for (slot, (generation, n)) in &self.batch.positions {
            let source = Source { slot: *slot, generation: *generation };
            self.batch.replies.push(Reply::Acked { source, n: *n });
        }
        self.shared.queue.reply(&mut self.batch.replies);
        self.batch.clear();
        if added > 0 {
            self.shared.newest.set(seq);
        }
    }

    /// Hands over what follows from no commit; whether the loop has anything to read now.
    fn deliver(&mut self, stop: bool) -> bool {
        self.shared.queue.reply(&mut self.marks.questions());
        if stop {
            self.batch.replies.push(Reply::Stopped);
            self.shared.queue.reply(&mut self.batch.replies);
        }
        self.shared.queue.has_reply(Reply::is_urgent)
    }

    fn each_second(&mut self, wake: &dyn Fn()) {
        let look = self.files.look();
        self.files.look_at_disk();
        if let Some(path) = look.moved {
            self.shared.queue.reply(&mut vec![Reply::Moved { path }]);
            wake();
        }
        {
            let mut stats = lock(&self.shared.stats);
            stats.store_bytes = look.bytes;
            stats.trouble = look.trouble.unwrap_or_default();
        }
        let at = wall_us();
        let shared = Arc::clone(&self.shared);
        let _gate = lock(&shared.gate);
        let taken_at = self.taken_at;
        if self.batch.is_empty() && self.ledgers.values().any(|ledger| !ledger.is_ended()) {
            // Where gaps begin for those whose recorder dies; a refusal shows with the next batch.
            let _ = schema::set_meta_number(&self.connection, "alive_at", taken_at);
        }
        let begun = Instant::now();
        while self.shared.queue.held() < BACKLOG
            && begun.elapsed() < RETENTION_SHARE
            && self.retention.is_at_work()
        {
            self.retention.step(&self.connection, &self.config, &self.shared, at);
            for (feed, id) in self.retention.forgotten.drain(..) {
                if let Some(key) = open::key_of(&self.config, &feed, id) {
                    self.ledgers.remove(&key);
                }
            }
        }
    }
}
