//! The recorder's loop: channels in, chunks of frames to the two threads that commit them, replies out. It never waits for a disk.
//!
//! One turn: control, replies of the threads, data channels, documents whose time to be saved has come, the document feed,
//! counters. On `Stop` or the end of the control channel the data channels are read to their end, everything is saved and committed,
//! and the loop returns. Sinks read what is committed on threads of their own.

use super::RecordError;
use super::bulk::{Bulk, BulkJob};
use super::config::RecordConfig;
use super::control::{ControlChannel, ControlLink, Coordinator, Received};
use super::documents::{Documents, Pace, PartId};
use super::feed::Feed;
use super::ledger::Source;
use super::link::{Fate, Surroundings};
use super::links::Links;
use super::query::Clients;
use super::queue::lock;
use super::sink::Sinks;
use super::store::{MatchJob, Opened, Snapshot, checkpoint};
use super::thread::{self, Gone, Job, OwnJob, Reply, Shared};
use super::time::wall_us;
use super::waiting;
use crate::coalesce::Coalescing;
use mio::event::Event;
use mio::{Events, Poll, Token, Waker};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::data::Stream;
use touchline_common::ipc::messages::recorder::{FromRecorder, RecorderStats, ToRecorder};
use touchline_common::logging::LogHandle;
use touchline_common::model::{Epoch, MatchKey};
use touchline_common::sys::watchdog::Watchdog;

pub(super) const CONTROL: Token = Token(0);
const WAKER: Token = Token(1);
const FEED: Token = Token(2);
const FIRST_LINK: usize = 3;

/// How often the loop looks at the clock when nothing comes.
const TICK: Duration = Duration::from_millis(100);
/// How long the data channels may take to end once the control channel has.
const DRAIN: Duration = Duration::from_secs(2);
/// How long the last commit may take beyond that.
const LAST_COMMIT: Duration = Duration::from_secs(2);
/// How long the threads may take to close their files after that.
const CLOSE: Duration = Duration::from_secs(1);
/// The part of the time for a stop within which the channels are read to their end.
const DRAIN_PART: f32 = 0.7;
/// The part of it at whose end the last commit is given up; the rest is for leaving.
const COMMIT_PART: f32 = 0.9;
/// Documents of one `Documents` message.
const DOCUMENTS_A_MESSAGE: usize = 1_000;

/// Where the recorder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Reads its data channels to their end until then; the last commit has until `last`.
    Draining {
        until: Instant,
        last: Instant,
    },
    /// Waits for the last commits until then.
    Committing {
        until: Instant,
        threads: usize,
    },
    Done,
}

/// One of the two threads that commit, and what this turn has for it.
#[derive(Debug)]
struct Thread<J> {
    shared: Arc<Shared<J>>,
    jobs: Vec<Job<J>>,
}

impl<J: OwnJob> Thread<J> {
    fn hand_over(&mut self) {
        self.shared.queue.push(&mut self.jobs);
    }
}

/// What the loop counts and last reported.
#[derive(Debug)]
struct Counters {
    published: u64,
    refused: u64,
    reported: RecorderStats,
    reported_at: Instant,
}

#[derive(Debug)]
pub(super) struct Recorder {
    poll: Poll,
    control: ControlLink,
    links: Links,
    documents: Documents,
    feed: Feed,
    matches: Thread<MatchJob>,
    bulk: Thread<BulkJob>,
    clients: Clients,
    sinks: Sinks,
    logs: Option<LogHandle>,
    counters: Counters,
    run: u64,
    threads: [JoinHandle<()>; 3],
    /// The match stream's store.
    path: PathBuf,
    /// A file of the threads that is not at its place any more.
    moved: Option<PathBuf>,
    state: State,
    coalescing: Coalescing,
    /// Whether the last turn read a data channel.
    has_read: bool,
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    received: Vec<Received>,
    replies: Vec<Reply>,
    busy: Vec<usize>,
    parts: Vec<PartId>,
}

impl Recorder {
    /// Starts the threads and reports that the store is open.
    ///
    /// # Errors
    /// [`RecordError::Kernel`], [`RecordError::OpenStore`].
    pub(super) fn start(
        poll: Poll,
        control: ControlChannel,
        opened: Opened,
        (bulk, bulk_shared): (Bulk, Arc<Shared<BulkJob>>),
        logs: Option<LogHandle>,
    ) -> Result<Recorder, RecordError> {
        let Opened { store, config, shared, documents, owners, over, highest_epoch, token } = opened;
        let feeds = Arc::clone(&config);
        // The bulk stream has no owners of its own.
        let adopt =
            |(key, epoch): &(MatchKey, Epoch)| Job::Own(BulkJob::Adopt { key: key.clone(), epoch: *epoch });
        let adopted = owners.iter().map(adopt).collect();
        let waker = Waker::new(poll.registry(), WAKER)
            .map_err(|source| RecordError::Kernel { operation: "make a waker", source })?;
        let waker = Arc::new(waker);
        let path = config.path.clone();
        let sinks = Sinks::start(&config, token, &shared, &bulk_shared)?;
        let threads = [
            checkpoint::start(&config.path, &shared)?,
            thread::start("store", &waker, move |wake| store.run(wake))?,
            thread::start("bulk", &waker, move |wake| bulk.run(wake))?,
        ];
        let feed = Feed::from_environment(poll.registry(), FEED);
        let now = Instant::now();
        let mut recorder = Recorder {
            control: ControlLink::new(control),
            links: Links::new(FIRST_LINK),
            documents: Documents::new(Arc::clone(&config), documents, owners),
            feed,
            clients: Clients::new(Arc::clone(&config), Arc::clone(&shared), Arc::clone(&bulk_shared)),
            sinks,
            matches: Thread { shared, jobs: Vec::new() },
            bulk: Thread { shared: bulk_shared, jobs: adopted },
            logs,
            counters: Counters {
                published: 0,
                refused: 0,
                reported: RecorderStats::default(),
                reported_at: now,
            },
            run: wall_us().unsigned_abs(),
            threads,
            path,
            moved: None,
            state: State::Running,
            coalescing: Coalescing::new(config.coalesce, now),
            has_read: false,
            scratch: Scratch::default(),
            poll,
        };
        for (key, epoch) in over {
            if let Some(last) = recorder.documents.end(&key, epoch, wall_us()) {
                recorder.save(last);
            }
        }
        // Those that wait without ever having had a worker among them.
        let (held, left): (Vec<MatchKey>, Vec<MatchKey>) =
            recorder.documents.keys().cloned().partition(|key| feeds.is_configured(key));
        recorder.end_left(&feeds, left, highest_epoch);
        log::debug!(documents = recorder.documents.count(), epoch = highest_epoch.0; "recorder.ready");
        recorder.control.send(FromRecorder::Ready { highest_epoch, token }, 0);
        for keys in held.chunks(DOCUMENTS_A_MESSAGE) {
            recorder.control.send(FromRecorder::Held { keys: keys.to_vec() }, 0);
        }
        failpoint::hit(Point::RecordReady);
        Ok(recorder)
    }

    /// Ends the matches of feeds that are not configured any more: nobody else knows them.
    fn end_left(&mut self, config: &RecordConfig, left: Vec<MatchKey>, epoch: Epoch) {
        for (place, name) in config.feeds.iter().enumerate().skip(config.configured) {
            let matches = left.iter().filter(|key| usize::from(key.feed.0) == place).count();
            log::warn!(feed = &**name, matches = matches; "feed.removed");
        }
        self.matches.jobs.extend(left.into_iter().map(|key| Job::Ended { key, epoch }));
    }

    /// Turns until asked to leave.
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
            self.pause();
            let busy = self.control.is_busy() || self.links.is_busy();
            match self.poll.poll(&mut events, Some(if busy { Duration::ZERO } else { TICK })) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(RecordError::Kernel { operation: "poll", source: error });
                }
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                self.ready(event);
            }
            self.turn()?;
            if let Some(path) = self.moved.take() {
                let error = RecordError::Moved { path };
                self.control.send(FromRecorder::Leaving { why: error.to_string() }, 0);
                self.control.flush()?;
                return Err(error);
            }
        }
        self.matches.shared.newest.close();
        self.bulk.shared.newest.close();
        self.leave();
        Ok(())
    }

    /// Lets what comes gather for a while, if nothing is left to read.
    fn pause(&mut self) {
        let is_busy = self.control.is_busy() || self.links.is_busy();
        if std::mem::take(&mut self.has_read) && !is_busy && self.state == State::Running {
            std::thread::sleep(self.coalescing.after(Instant::now()));
        }
    }

    /// A clean stop leaves no log: the last connection to a database that closes takes it away, unless that one only reads.
    fn leave(&mut self) {
        let until = Instant::now() + CLOSE;
        let is_over = || {
            let threads = self.threads.iter().all(JoinHandle::is_finished);
            threads && self.clients.is_idle() && self.sinks.are_over()
        };
        while !is_over() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Err(error) = checkpoint::empty_log(&self.path) {
            log::warn!(error:% = error; "store.log_left");
        }
    }

    fn ready(&mut self, event: &Event) {
        match event.token() {
            CONTROL => self.control.wake(),
            WAKER | FEED => {}
            Token(token) => {
                if let Some(link) = self.links.get_mut(token) {
                    link.wake();
                    if event.is_read_closed() {
                        link.peer_closed();
                    }
                }
            }
        }
    }

    fn turn(&mut self) -> Result<(), RecordError> {
        self.read_control()?;
        self.take_replies();
        self.read_links();
        self.save_documents();
        self.hand_over();
        self.links.flush(self.poll.registry());
        self.feed.flush(&self.documents, self.poll.registry());
        self.report_stats();
        self.control.flush()?;
        self.pass();
        Ok(())
    }

    /// What this turn collected goes to the threads.
    fn hand_over(&mut self) {
        self.matches.hand_over();
        self.bulk.hand_over();
    }

    fn read_control(&mut self) -> Result<(), RecordError> {
        let mut received = std::mem::take(&mut self.scratch.received);
        let coordinator = self.control.read(&mut received)?;
        for (message, request, fd) in received.drain(..) {
            self.message(message, request, fd);
        }
        self.scratch.received = received;
        if coordinator == Coordinator::Gone && self.state == State::Running {
            log::warn!("recorder.coordinator_gone");
            let until = Instant::now() + DRAIN;
            self.state = State::Draining { until, last: until + LAST_COMMIT };
        }
        Ok(())
    }

    fn message(&mut self, message: ToRecorder, request: u32, fd: Option<OwnedFd>) {
        match message {
            ToRecorder::Welcome(_) => log::warn!("control.second_welcome"),
            ToRecorder::Attach { slot, generation } => match fd {
                Some(fd) => self.attach(Source { slot, generation }, fd),
                None => log::error!(worker = slot.0; "control.no_descriptor"),
            },
            ToRecorder::Switch { key, epoch, owner } => {
                self.ask_matches(MatchJob::Switch { key, epoch, owner });
            }
            ToRecorder::Silent { slot, generation, ms } => {
                self.ask_matches(MatchJob::Silent { source: Source { slot, generation }, ms });
            }
            ToRecorder::Back { slot, generation } => {
                self.ask_matches(MatchJob::Back { source: Source { slot, generation } });
            }
            ToRecorder::Waiting { key, listing } => {
                let (head, tail) = waiting::parts(&listing);
                let listed = self.documents.listed(&key, (&head, tail), wall_us(), Instant::now());
                if let Some(id) = listed {
                    self.feed.replaced(id);
                }
            }
            ToRecorder::Ended { key, epoch } => self.matches.jobs.push(Job::Ended { key, epoch }),
            ToRecorder::Query { verb, args } => match fd {
                Some(fd) if verb == "sink" => self.sinks.answer(&args, fd),
                Some(fd) => self.clients.answer(&verb, &args, fd, &self.documents),
                None => log::error!(verb = verb.as_str(); "control.no_descriptor"),
            },
            ToRecorder::Ping => self.control.send(FromRecorder::Pong, request),
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
            ToRecorder::ReopenSinks => self.sinks.reopen(),
            ToRecorder::Reader => match fd {
                Some(fd) => self.feed.attach(fd, &self.documents, self.poll.registry(), FEED),
                None => log::error!("control.no_descriptor"),
            },
            ToRecorder::Documents => self.report_documents(request),
            ToRecorder::Stop { deadline_ms } => {
                let time = Duration::from_millis(u64::from(deadline_ms));
                let now = Instant::now();
                log::debug!(deadline_ms = deadline_ms; "recorder.stop");
                if self.state == State::Running {
                    let until = now + time.mul_f32(DRAIN_PART).min(DRAIN);
                    // A backlog may wait for this commit: what is not in it is not lost, but reported as a gap.
                    self.state = State::Draining { until, last: now + time.mul_f32(COMMIT_PART) };
                }
            }
        }
    }

    fn ask_matches(&mut self, job: MatchJob) {
        self.matches.jobs.push(Job::Own(job));
    }

    fn save(&mut self, snapshot: Snapshot) {
        self.ask_matches(MatchJob::Snapshot(Box::new(snapshot)));
    }

    fn attach(&mut self, source: Source, fd: OwnedFd) {
        failpoint::hit(Point::RecordAttach);
        // The threads know a worker's channel by its worker: the end of the one before must not come behind this one. What is
        // unread in that is not acknowledged and comes again.
        if let Some(before) = self.links.token_of(source) {
            self.close(before);
        }
        if let Err(error) = self.links.attach(source, fd, self.poll.registry(), wall_us()) {
            log::warn!(worker = source.slot.0, error:% = error; "data.attach_failed");
        }
    }

    fn read_links(&mut self) {
        let mut busy = std::mem::take(&mut self.scratch.busy);
        busy.clear();
        self.links.busy(&mut busy);
        self.has_read = !busy.is_empty();
        let (now, wall) = (Instant::now(), wall_us());
        for token in busy.drain(..) {
            let Some(link) = self.links.get_mut(token) else { continue };
            let fate = link.turn(&mut Surroundings {
                documents: &mut self.documents,
                feed: &mut self.feed,
                parts: &mut self.scratch.parts,
                published: &mut self.counters.published,
                refused: &mut self.counters.refused,
                now,
                wall,
            });
            let source = link.source();
            if let Some(chunk) = link.take_chunk(Stream::Match) {
                self.matches.jobs.push(Job::Frames { source, token, chunk, came: wall });
            }
            if let Some(chunk) = link.take_chunk(Stream::Bulk) {
                self.bulk.jobs.push(Job::Frames { source, token, chunk, came: wall });
            }
            match fate {
                Fate::Open => {}
                Fate::Opening => {
                    self.matches.jobs.push(Job::Open { token, source });
                    self.bulk.jobs.push(Job::Open { token, source });
                }
                Fate::Ended => self.close(token),
                Fate::Broken(what) => self.break_off(token, &what),
            }
        }
        self.scratch.busy = busy;
    }

    /// A channel that breaks the rules ends; its worker is started anew.
    fn break_off(&mut self, token: usize, what: &str) {
        if let Some(link) = self.links.get_mut(token) {
            log::error!(worker = link.source().slot.0, error = what; "data.broken");
            self.close(token);
        }
    }

    fn close(&mut self, token: usize) {
        let Some(link) = self.links.remove(token) else { return };
        let _ = link.deregister(self.poll.registry());
        let (attached, last_frame_at) = link.times();
        let at = wall_us();
        let unheard = link.unheard_since(at);
        let gone = Gone { source: link.source(), at, attached, last_frame_at, unheard };
        self.matches.jobs.push(Job::Gone(gone));
        self.bulk.jobs.push(Job::Gone(gone));
    }

    fn take_replies(&mut self) {
        let mut replies = std::mem::take(&mut self.scratch.replies);
        self.matches.shared.queue.replies(&mut replies);
        replies.drain(..).for_each(|reply| self.reply(Stream::Match, reply));
        self.bulk.shared.queue.replies(&mut replies);
        replies.drain(..).for_each(|reply| self.reply(Stream::Bulk, reply));
        self.scratch.replies = replies;
    }

    fn reply(&mut self, stream: Stream, reply: Reply) {
        match reply {
            Reply::Opened { token, resume_after } => {
                if let Some(link) = self.links.get_mut(token) {
                    link.opened(stream, resume_after, self.run);
                }
            }
            Reply::Acked { source, n } => {
                if let Some(link) = self.links.of_source(source) {
                    link.ack(stream, n);
                }
            }
            Reply::Mark { source, token } => {
                if let Some(link) = self.links.of_source(source) {
                    link.mark(token);
                }
            }
            Reply::Broken { token, what } => self.break_off(token, &what),
            Reply::Adopted { key, epoch } => {
                if let Some(id) = self.documents.adopt(&key, epoch, Instant::now()) {
                    self.counters.published += 1;
                    self.feed.replaced(id);
                }
                self.bulk.jobs.push(Job::Own(BulkJob::Adopt { key: key.clone(), epoch }));
                failpoint::hit(Point::RecordSwitched);
                self.control.send(FromRecorder::Switched { key, epoch }, 0);
            }
            Reply::Ended { key, epoch } => {
                if let Some(id) = self.documents.known(&key).filter(|_| self.feed.is_read()) {
                    self.feed.ends(id, &self.documents);
                }
                if let Some(snapshot) = self.documents.end(&key, epoch, wall_us()) {
                    self.feed.ended(&snapshot);
                    self.save(snapshot);
                }
                self.bulk.jobs.push(Job::Ended { key, epoch });
            }
            Reply::Moved { path } => self.moved = Some(path),
            Reply::Stopped => self.stopped(),
        }
    }

    fn save_documents(&mut self) {
        let now = Instant::now();
        while !self.matches.shared.queue.is_full() {
            let Some(snapshot) = self.documents.next_to_save(now, Pace::Steady) else { return };
            self.save(snapshot);
        }
    }

    /// From reading to the end, to the last commits, to the end.
    fn pass(&mut self) {
        let now = Instant::now();
        match self.state {
            State::Running | State::Done => {}
            State::Draining { until, last } => {
                if !self.links.is_empty() && now < until {
                    return;
                }
                while let Some(snapshot) = self.documents.next_to_save(now, Pace::Last) {
                    self.save(snapshot);
                }
                self.matches.jobs.push(Job::Stop);
                self.bulk.jobs.push(Job::Stop);
                self.hand_over();
                self.state = State::Committing { until: last, threads: 2 };
            }
            State::Committing { until, .. } => {
                if now >= until {
                    log::error!("recorder.commit_unfinished");
                    self.state = State::Done;
                }
            }
        }
    }

    /// A thread has made its last commit.
    fn stopped(&mut self) {
        self.state = match self.state {
            State::Committing { until, threads } if threads > 1 => {
                State::Committing { until, threads: threads - 1 }
            }
            State::Committing { .. } | State::Running | State::Draining { .. } | State::Done => State::Done,
        };
    }

    fn report_stats(&mut self) {
        let age = self.counters.reported_at.elapsed();
        if age < TICK {
            return;
        }
        let mut stats = lock(&self.matches.shared.stats).clone();
        let bulk = lock(&self.bulk.shared.stats).clone();
        stats.bulk = bulk.bulk;
        stats.odds_conflated = bulk.odds_conflated;
        stats.refused += bulk.refused + self.counters.refused;
        if stats.trouble.is_empty() {
            stats.trouble = bulk.trouble;
        }
        stats.sinks = self.sinks.stats();
        stats.unread_lost = self.matches.shared.readers.lost() + self.bulk.shared.readers.lost();
        let reported = &self.counters.reported;
        let troubles = |stats: &RecorderStats| {
            let sinks = stats.sinks.iter().map(|sink| (sink.state.clone(), sink.trouble.is_empty()));
            (stats.trouble.clone(), sinks.collect::<Vec<_>>())
        };
        let urgent = stats.gaps_open != reported.gaps_open || troubles(&stats) != troubles(reported);
        if age < Duration::from_secs(1) && !urgent {
            return;
        }
        stats.documents = self.documents.count() as u64;
        stats.queue = (self.matches.shared.queue.held() + self.bulk.shared.queue.held()) as u64;
        stats.published = self.counters.published;
        self.counters.reported = stats.clone();
        self.counters.reported_at = Instant::now();
        self.control.send(FromRecorder::Stats(stats), 0);
    }

    fn report_documents(&mut self, request: u32) {
        let all: Vec<_> = self.documents.list().collect();
        let mut rest = all.as_slice();
        loop {
            let (now, later) = rest.split_at(rest.len().min(DOCUMENTS_A_MESSAGE));
            rest = later;
            let more = !rest.is_empty();
            self.control.send(FromRecorder::Documents { documents: now.to_vec(), more }, request);
            if !more {
                return;
            }
        }
    }
}
