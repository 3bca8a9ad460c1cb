//! The recorder's loop: channels in, jobs to the store, answers out. It never waits for the disk.
//!
//! One turn: control, answers of the store, data channels while the store's queue has room, documents whose time to
//! be saved has come, counters. On `Stop` or the end of the control channel the data channels are read to their end,
//! everything is saved and committed, and the loop returns.

use super::RecordError;
use super::audit::{Audit, AuditRecord};
use super::config::RecordConfig;
use super::data::{self, Fate, Surroundings, Worker};
use super::documents::{Documents, Pace};
use super::ledger::Source;
use super::query::{Clients, Query};
use super::store::{Job, Opened, Reply, Shared, checkpoint, queue};
use super::time::wall_us;
use super::waiting;
use crate::net::Watch;
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Poll, Token, Waker};
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::data::Publish;
use touchline_common::ipc::messages::recorder::{FromRecorder, RecorderStats, ToRecorder};
use touchline_common::ipc::{Channel, ChannelError, ReadOutcome};
use touchline_common::logging::LogHandle;
use touchline_common::sys::watchdog::Watchdog;

/// The control channel, from here.
pub(super) type Control = Channel<ToRecorder, FromRecorder>;

/// The poller's token of the control channel.
pub(super) const CONTROL: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST_WORKER: usize = 2;
/// Slots of the slab that a token can name; above it stands the slot's use.
const SLOTS: usize = 1 << 16;

/// How often the loop looks at the clock when nothing comes.
const TICK: Duration = Duration::from_millis(100);
/// How long the data channels may take to end once the control channel has.
const DRAIN: Duration = Duration::from_secs(2);
/// How long the last commit may take beyond that.
const LAST_COMMIT: Duration = Duration::from_secs(2);
/// The part of the time for a stop within which the channels are read to their end.
const DRAIN_PART: f32 = 0.7;
/// The part of it at whose end the last commit is given up; the rest is for leaving.
const COMMIT_PART: f32 = 0.9;
/// Control messages that may wait for a coordinator that does not read.
const MAX_OUTBOX: usize = 200_000;
/// Documents of one `Documents` message.
const DOCUMENTS_A_MESSAGE: usize = 1_000;
/// Jobs that are handed to the store's thread before the turn is over.
const JOBS_AT_ONCE: usize = 256;
/// Messages of the control channel in one turn.
const CONTROL_PER_TURN: usize = 256;

/// Where the recorder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Reads its data channels to their end until then; the last commit has until `last`.
    Draining {
        until: Instant,
        last: Instant,
    },
    /// Waits for the last commit until then.
    Committing {
        until: Instant,
    },
    Done,
}

/// Everything that the loop owns.
pub(super) struct Recorder {
    poll: Poll,
    control: Control,
    control_readable: bool,
    control_read_at: Instant,
    outbox: VecDeque<(FromRecorder, u32)>,
    workers: Slab<(usize, Worker)>,
    uses: usize,
    documents: Documents,
    shared: Arc<Shared>,
    clients: Clients,
    audit: Audit,
    logs: Option<LogHandle>,
    jobs: Vec<Job>,
    replies: Vec<Reply>,
    run: u64,
    published: u64,
    refused: u64,
    told: RecorderStats,
    told_at: Instant,
    state: State,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Starts the store's thread and tells the coordinator that the store is open.
    ///
    /// # Errors
    /// [`RecordError::Kernel`].
    pub(super) fn start(
        poll: Poll,
        control: Control,
        config: Arc<RecordConfig>,
        opened: Opened,
        logs: Option<LogHandle>,
    ) -> Result<Recorder, RecordError> {
        let Opened { store, shared, documents, owners, highest_epoch, token } = opened;
        let held: Vec<_> = owners.iter().map(|(key, _)| key.clone()).collect();
        let waker = Waker::new(poll.registry(), WAKER)
            .map_err(|source| RecordError::Kernel { operation: "make a waker", source })?;
        let wake = move || {
            if let Err(error) = waker.wake() {
                log::error!(error:% = error; "store.wake_failed");
            }
        };
        checkpoint::start(&config.path, &shared)?;
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || store.run(&wake))
            .map_err(|source| RecordError::Kernel { operation: "start the store's thread", source })?;
        let mut recorder = Recorder {
            poll,
            control,
            control_readable: true,
            control_read_at: Instant::now(),
            outbox: VecDeque::new(),
            workers: Slab::new(),
            uses: 0,
            documents: Documents::new(Arc::clone(&config), documents, owners),
            clients: Clients::new(config, Arc::clone(&shared)),
            shared,
            audit: Audit::from_environment(),
            logs,
            jobs: Vec::new(),
            replies: Vec::new(),
            run: wall_us().unsigned_abs(),
            published: 0,
            refused: 0,
            told: RecorderStats::default(),
            told_at: Instant::now(),
            state: State::Running,
        };
        log::info!(documents = recorder.documents.count(), epoch = highest_epoch.0; "recorder.ready");
        recorder.tell(FromRecorder::Ready { highest_epoch, token }, 0);
        for keys in held.chunks(DOCUMENTS_A_MESSAGE) {
            recorder.tell(FromRecorder::Held { keys: keys.to_vec() }, 0);
        }
        failpoint::hit(Point::RecordReady);
        Ok(recorder)
    }

    /// Turns until told to leave.
    ///
    /// # Errors
    /// [`RecordError::Control`], [`RecordError::Kernel`].
    pub(super) fn turn_until_done(mut self, watchdog: Option<&Watchdog>) -> Result<(), RecordError> {
        let mut events = Events::with_capacity(256);
        while self.state != State::Done {
            if let Some(watchdog) = watchdog {
                watchdog.alive();
            }
            failpoint::hit(Point::RecordTurn);
            let patience = if self.has_work() { Duration::ZERO } else { TICK };
            match self.poll.poll(&mut events, Some(patience)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(RecordError::Kernel { operation: "poll", source: error });
                }
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                self.ready(event);
            }
            self.turn()?;
        }
        self.shared.close();
        Ok(())
    }

    fn has_work(&self) -> bool {
        let room = !self.shared.queue.is_full();
        self.control_readable || (room && self.workers.iter().any(|(_, (_, worker))| worker.is_busy()))
    }

    fn ready(&mut self, event: &Event) {
        match event.token() {
            CONTROL => self.control_readable = true,
            WAKER => {}
            Token(number) => {
                if let Some(worker) = self.worker(number) {
                    worker.wake();
                    if event.is_read_closed() {
                        worker.peer_closed();
                    }
                }
            }
        }
    }

    /// The worker that a token names, unless its place has another use by now.
    fn worker(&mut self, token: usize) -> Option<&mut Worker> {
        let number = token.checked_sub(FIRST_WORKER)?;
        let (used, worker) = self.workers.get_mut(number % SLOTS)?;
        (*used == number / SLOTS).then_some(worker)
    }

    fn turn(&mut self) -> Result<(), RecordError> {
        self.read_control()?;
        self.take_replies();
        self.read_workers();
        self.save_documents();
        self.shared.queue.push(&mut self.jobs);
        self.flush_workers();
        self.audit.flush();
        self.tell_stats();
        self.flush_control()?;
        self.pass();
        Ok(())
    }

    fn read_control(&mut self) -> Result<(), RecordError> {
        // Now and then unasked, should an edge ever be missed.
        let unasked = self.state == State::Running && self.control_read_at.elapsed() >= TICK;
        if !self.control_readable && !unasked {
            return Ok(());
        }
        self.control_read_at = Instant::now();
        // A read ends early where a descriptor came along, so one more is tried before the channel counts as drained.
        let broken = |error: ChannelError| RecordError::Control { what: error.to_string() };
        let mut fruitless = 0;
        let mut taken = 0;
        while fruitless < 2 && taken < CONTROL_PER_TURN {
            let outcome = self.control.read().map_err(broken)?;
            fruitless += 1;
            while let Some((message, request, fd)) = self.control.next().map_err(broken)? {
                fruitless = 0;
                taken += 1;
                self.message(message, request, fd);
            }
            if outcome == ReadOutcome::Closed {
                self.control_readable = false;
                if self.state == State::Running {
                    log::warn!("recorder.coordinator_gone");
                    let until = Instant::now() + DRAIN;
                    self.state = State::Draining { until, last: until + LAST_COMMIT };
                }
                return Ok(());
            }
        }
        self.control_readable = fruitless < 2;
        Ok(())
    }

    fn message(&mut self, message: ToRecorder, request: u32, fd: Option<OwnedFd>) {
        match message {
            ToRecorder::Welcome(_) => log::warn!("control.second_welcome"),
            ToRecorder::Attach { slot, generation } => match fd {
                Some(fd) => self.attach(Source { slot, generation }, fd),
                None => log::error!(worker = slot.0; "control.no_descriptor"),
            },
            ToRecorder::Switch { key, epoch, owner } => self.jobs.push(Job::Switch { key, epoch, owner }),
            ToRecorder::Silent { slot, generation, ms } => {
                self.jobs.push(Job::Silent { source: Source { slot, generation }, ms });
            }
            ToRecorder::Back { slot, generation } => {
                self.jobs.push(Job::Back { source: Source { slot, generation } });
            }
            ToRecorder::Waiting { key, listing: Some(listing) } => {
                self.documents.listed(&key, waiting::head(&listing), wall_us(), Instant::now());
            }
            ToRecorder::Waiting { key, listing: None } => {
                if let Some(snapshot) = self.documents.unlist(&key) {
                    self.jobs.push(Job::Snapshot(Box::new(snapshot)));
                }
            }
            ToRecorder::Ended { key } => self.jobs.push(Job::Ended { key }),
            ToRecorder::Query { verb, args } => match fd {
                Some(fd) => self.clients.answer(&Query { verb, args }, fd, &self.documents),
                None => log::error!(verb = verb.as_str(); "control.no_descriptor"),
            },
            ToRecorder::Ping => self.tell(FromRecorder::Pong, request),
            ToRecorder::LogFilter { filter } => {
                let changed = self.logs.as_ref().map(|logs| logs.set_filter(&filter));
                if let Some(Err(error)) = changed {
                    log::warn!(error:% = error; "log.filter_refused");
                }
            }
            ToRecorder::LogFile => {
                if let (Some(logs), Some(fd)) = (&self.logs, fd) {
                    logs.set_file(fd);
                }
            }
            ToRecorder::Documents => self.tell_documents(request),
            ToRecorder::Stop { deadline_ms } => {
                let time = Duration::from_millis(u64::from(deadline_ms));
                let now = Instant::now();
                log::info!(deadline_ms = deadline_ms; "recorder.stop");
                if self.state == State::Running {
                    let until = now + time.mul_f32(DRAIN_PART).min(DRAIN);
                    // A backlog may wait for this commit: what is not in it is not lost, but told as a gap.
                    self.state = State::Draining { until, last: now + time.mul_f32(COMMIT_PART) };
                }
            }
        }
    }

    fn attach(&mut self, source: Source, fd: OwnedFd) {
        failpoint::hit(Point::RecordAttach);
        let channel = match Channel::new(fd, data::FRAME_LIMIT, data::OUT_LIMIT) {
            Ok(channel) => channel,
            Err(error) => return log::error!(worker = source.slot.0, error:% = error; "data.attach_failed"),
        };
        let raw = channel.as_raw_fd();
        self.uses += 1;
        let entry = self.workers.vacant_entry();
        let token = FIRST_WORKER + self.uses * SLOTS + entry.key();
        match Watch::new(self.poll.registry(), raw, Token(token)) {
            Ok(watch) => _ = entry.insert((self.uses, Worker::new(channel, source, watch))),
            Err(error) => log::error!(worker = source.slot.0, error:% = error; "data.attach_failed"),
        }
    }

    fn read_workers(&mut self) {
        let places: Vec<usize> = self.workers.iter().map(|(place, _)| place).collect();
        for place in places {
            let Some((used, worker)) = self.workers.get_mut(place) else { continue };
            if !worker.is_busy() {
                continue;
            }
            let token = FIRST_WORKER + *used * SLOTS + place;
            let (audit, published) = (&mut self.audit, &mut self.published);
            let audited = audit.is_on();
            let mut applied = |publish: Option<&Publish>, version| {
                *published += 1;
                if let Some(publish) = publish {
                    audit.write(&AuditRecord { publish: publish.clone(), version });
                }
            };
            let mut around = Surroundings {
                documents: &mut self.documents,
                queue: &self.shared.queue,
                jobs: &mut self.jobs,
                applied: &mut applied,
                audited,
                refused: &mut self.refused,
            };
            let fate = worker.turn(&mut around, token);
            self.close_unless_open(place, &fate);
            // The store's thread begins with what one worker sent while the next one's is read.
            if self.jobs.len() >= JOBS_AT_ONCE {
                self.shared.queue.push(&mut self.jobs);
            }
        }
    }

    fn close_unless_open(&mut self, place: usize, fate: &Fate) {
        match fate {
            Fate::Open => return,
            Fate::Ended => {}
            Fate::Broken(what) => {
                let slot = self.workers.get(place).map_or(0, |(_, worker)| worker.source().slot.0);
                log::error!(worker = slot, error = what.as_str(); "data.broken");
            }
        }
        let (_, worker) = self.workers.remove(place);
        let raw = worker.channel().as_raw_fd();
        let _ = self.poll.registry().deregister(&mut SourceFd(&raw));
        let at = wall_us();
        self.jobs.push(Job::Gone { source: worker.source(), at, sign: worker.last_sign(at) });
    }

    fn take_replies(&mut self) {
        let mut replies = std::mem::take(&mut self.replies);
        self.shared.queue.answers(&mut replies);
        for reply in replies.drain(..) {
            self.reply(reply);
        }
        self.replies = replies;
    }

    fn reply(&mut self, reply: Reply) {
        let run = self.run;
        match reply {
            Reply::Opened { token, resume_after } => {
                if let Some(worker) = self.worker(token) {
                    worker.opened(run, resume_after);
                }
            }
            Reply::Acked { source, n } => {
                if let Some(worker) = self.worker_of(source) {
                    worker.ack(n);
                }
            }
            Reply::Refused { source, key, epoch } => {
                if let Some(worker) = self.worker_of(source) {
                    worker.refuse(key, epoch);
                }
            }
            Reply::Adopted { key, epoch } => {
                if let Some((publish, version)) = self.documents.adopt(&key, epoch, Instant::now()) {
                    self.published += 1;
                    if self.audit.is_on() {
                        self.audit.write(&AuditRecord { publish, version });
                    }
                }
                failpoint::hit(Point::RecordSwitched);
                self.tell(FromRecorder::Switched { key, epoch }, 0);
            }
            Reply::Ended { key } => {
                if let Some(snapshot) = self.documents.end(&key) {
                    self.jobs.push(Job::Snapshot(Box::new(snapshot)));
                }
            }
            Reply::Stopped => self.state = State::Done,
        }
    }

    /// Writes the answers of this turn, a write for each worker that has some.
    fn flush_workers(&mut self) {
        for (_, (_, worker)) in &mut self.workers {
            worker.flush(self.poll.registry());
        }
    }

    fn worker_of(&mut self, source: Source) -> Option<&mut Worker> {
        let mut workers = self.workers.iter_mut().map(|(_, (_, worker))| worker);
        workers.find(|worker| worker.source() == source)
    }

    fn save_documents(&mut self) {
        let now = Instant::now();
        while !self.shared.queue.is_full() {
            let Some(snapshot) = self.documents.next_to_save(now, Pace::Steady) else { return };
            self.jobs.push(Job::Snapshot(Box::new(snapshot)));
        }
    }

    /// From reading to the end, to the last commit, to the end.
    fn pass(&mut self) {
        let now = Instant::now();
        match self.state {
            State::Running | State::Done => {}
            State::Draining { until, last } => {
                if !self.workers.is_empty() && now < until {
                    return;
                }
                while let Some(snapshot) = self.documents.next_to_save(now, Pace::Last) {
                    self.jobs.push(Job::Snapshot(Box::new(snapshot)));
                }
                self.jobs.push(Job::Stop);
                self.shared.queue.push(&mut self.jobs);
                self.state = State::Committing { until: last };
            }
            State::Committing { until } => {
                if now >= until {
                    log::error!("recorder.commit_unfinished");
                    self.state = State::Done;
                }
            }
        }
    }

    fn tell_stats(&mut self) {
        let age = self.told_at.elapsed();
        if age < TICK {
            return;
        }
        let mut stats = queue::lock(&self.shared.stats).clone();
        let urgent = stats.trouble != self.told.trouble || stats.gaps_open != self.told.gaps_open;
        if age < Duration::from_secs(1) && !urgent {
            return;
        }
        stats.documents = self.documents.count() as u64;
        stats.queue = self.shared.queue.held() as u64;
        stats.published = self.published;
        stats.refused += self.refused;
        self.told = stats.clone();
        self.told_at = Instant::now();
        self.tell(FromRecorder::Stats(stats), 0);
    }

    fn tell_documents(&mut self, request: u32) {
        let all: Vec<_> = self.documents.list().collect();
        let mut rest = all.as_slice();
        loop {
            let (now, later) = rest.split_at(rest.len().min(DOCUMENTS_A_MESSAGE));
            rest = later;
            let more = !rest.is_empty();
            self.tell(FromRecorder::Documents { documents: now.to_vec(), more }, request);
            if !more {
                return;
            }
        }
    }

    fn tell(&mut self, message: FromRecorder, request: u32) {
        self.outbox.push_back((message, request));
    }

    fn flush_control(&mut self) -> Result<(), RecordError> {
        while let Some((message, request)) = self.outbox.front() {
            match self.control.send(message, *request) {
                Ok(()) => {
                    self.outbox.pop_front();
                }
                Err(ChannelError::Full { .. }) if self.outbox.len() < MAX_OUTBOX => break,
                Err(error) => return Err(RecordError::Control { what: error.to_string() }),
            }
        }
        match self.control.flush() {
            Ok(_) => Ok(()),
            // Its end is seen by reading, after what it still had to say.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
            {
                self.outbox.clear();
                self.control_readable = self.state == State::Running;
                Ok(())
            }
            Err(source) => Err(RecordError::Kernel { operation: "write to the coordinator", source }),
        }
    }
}
