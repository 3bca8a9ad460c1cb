//! The coordinator's loop: events in, the pool's decisions out.
//!
//! One thread, and the only one that spawns. Per turn: signals, children, operators, the tick; then the pool's actions
//! in order, then one write per channel. It never waits for anybody: channels are non-blocking and bounded, answers
//! have deadlines. A child's frames are taken in pieces, so that a chatty one does not keep the operators waiting.

use super::children::{Children, Gone, Reaped, Said, Source};
use super::matches_file::{Found, MatchesFile};
use super::processes::Lodging;
use super::saver::{Saver, Ticket};
use super::saving::Held;
use super::spawn;
use super::tokens::Tokens;
use crate::control::{Clients, Gather};
use crate::pool::{Action, Child, Command, Exit, Input, Pool, RequestId, Urgency, Usage, Work};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Waker};
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::Welcome;
use touchline_common::ipc::messages::recorder::{FromRecorder, ToRecorder};
use touchline_common::ipc::messages::worker::{FromWorker, ToWorker};
use touchline_common::ipc::{ChannelError, ReadOutcome};
use touchline_common::logging::LogHandle;
use touchline_common::model::{FeedId, Generation, MatchId, SlotId};
use touchline_common::sys::signals::Signals;

/// Messages of one child per turn.
const MESSAGES_PER_TURN: usize = 256;
/// How long the end of a process may come after that of its channel; most often it is less than a millisecond.
const ENDS_WITHIN: Duration = Duration::from_millis(20);

/// What the daemon is made of.
pub struct Daemon {
    pub(crate) poll: Poll,
    pub(crate) tokens: Tokens<Source>,
    pub(crate) children: Children,
    pub(crate) pool: Pool,
    pub(crate) clients: Clients,
    pub(crate) log: LogHandle,
    pub(crate) log_file: Option<PathBuf>,
    /// The filter that was set since the start.
    pub(crate) log_filter: Option<String>,
    pub(crate) feed_names: Vec<String>,
    /// How the workers of each feed are lodged.
    lodgings: Vec<Lodging>,
    /// Operators' requests that the pool has not answered.
    pub(crate) asked: HashMap<RequestId, u32>,
    /// Answers that are being gathered from children.
    pub(crate) gathers: HashMap<u32, Gather>,
    pub(crate) last_request: u64,
    /// Why the state could not be saved the last time; empty when it was.
    pub(crate) state_trouble: String,
    pub(super) failed_at: Instant,
    pub(super) saver: Saver,
    /// A state that is not known to be saved, or not.
    pub(super) save_asked: Option<Ticket>,
    /// What waits for it, in order; at most a start for each slot and one block of epochs.
    pub(super) held: VecDeque<(Ticket, Held)>,
    matches_files: Vec<MatchesFile>,
    signals: Signals,
    child_config: String,
    pub(super) inputs: VecDeque<Input>,
    /// Children with unread bytes that no event will announce again.
    unread: BTreeSet<Child>,
    /// Children whose channel ended, until their process ends or is waited for no longer.
    cut_off: BTreeMap<Child, CutOff>,
    started: Instant,
    tick: Duration,
    stops: u32,
    finished: bool,
}

/// A child whose channel ended. Most often its process ends, too: how it did, and what it was at, is to be known before its work is
/// given to others, which may end them as well.
#[derive(Debug)]
struct CutOff {
    generation: Generation,
    why: String,
    until: Instant,
}

/// What a daemon needs to begin.
pub struct Parts {
    /// The pool, with its saved state.
    pub pool: Pool,
    /// The operators' socket, listening.
    pub clients: Clients,
    /// Signals, blocked already.
    pub signals: Signals,
    pub log: LogHandle,
    /// The log's file, if it is one.
    pub log_file: Option<PathBuf>,
    /// Names of the feeds, by their number.
    pub feed_names: Vec<String>,
    /// How the workers of each are lodged, by its number.
    pub lodgings: Vec<Lodging>,
    /// Files that name matches, read once.
    pub matches_files: Vec<MatchesFile>,
    pub state_path: PathBuf,
    pub child_config: String,
    pub tick: Duration,
}

impl Daemon {
    /// A daemon that has started nothing yet.
    ///
    /// # Errors
    /// When the kernel gives no poll, or takes a descriptor not into it.
    pub fn new(parts: Parts) -> io::Result<Daemon> {
        let poll = Poll::new()?;
        let mut tokens = Tokens::default();
        let registry = poll.registry();
        let signals = tokens.insert(Source::Signals);
        registry.register(&mut SourceFd(&parts.signals.as_raw_fd()), signals, Interest::READABLE)?;
        let listener = tokens.insert(Source::Listener);
        registry.register(&mut SourceFd(&parts.clients.listener_fd()), listener, Interest::READABLE)?;
        let waker = Waker::new(registry, tokens.insert(Source::Saver))?;
        let saver = Saver::start(parts.state_path, waker)?;
        Ok(Daemon {
            poll,
            tokens,
            children: Children::default(),
            pool: parts.pool,
            clients: parts.clients,
            log: parts.log,
            log_file: parts.log_file,
            log_filter: None,
            feed_names: parts.feed_names,
            lodgings: parts.lodgings,
            asked: HashMap::new(),
            gathers: HashMap::new(),
            last_request: 0,
            state_trouble: String::new(),
            failed_at: Instant::now(),
            saver,
            save_asked: None,
            held: VecDeque::new(),
            matches_files: parts.matches_files,
            signals: parts.signals,
            child_config: parts.child_config,
            inputs: VecDeque::new(),
            unread: BTreeSet::new(),
            cut_off: BTreeMap::new(),
            started: Instant::now(),
            tick: parts.tick,
            stops: 0,
            finished: false,
        })
    }

    /// Runs until every child is gone after a requested stop.
    ///
    /// # Errors
    /// When the poll itself fails.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        self.inputs.push_back(Input::Tick);
        let mut next_tick = Instant::now() + self.tick;
        loop {
            self.settle();
            if self.finished {
                self.finish_saving();
                self.clients.flush_all(&mut self.tokens, self.poll.registry());
                return Ok(());
            }
            let wait = if self.unread.is_empty() {
                let due = self.cut_off.values().map(|cut_off| cut_off.until).fold(next_tick, Instant::min);
                due.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                if let Some(source) = self.tokens.get(event.token()).copied() {
                    if let Source::Channel(child) = source
                        && event.is_read_closed()
                    {
                        self.children.peer_closed(child);
                    }
                    self.dispatch(source);
                }
            }
            for child in std::mem::take(&mut self.unread) {
                self.read_child(child);
            }
            self.give_up_on_cut_off();
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + self.tick;
                self.look_at_files();
                self.inputs.push_back(Input::Tick);
                self.save_again();
                self.expire_gathers();
                self.clients.expire(&mut self.tokens, self.poll.registry());
            }
        }
    }

    fn look_at_files(&mut self) {
        for file in &mut self.matches_files {
            let found = file.look();
            if let Some(ids) = tell_matches(file, &self.feed_names, found) {
                self.inputs.push_back(Input::Named { feed: file.feed, ids });
            }
        }
    }

    fn dispatch(&mut self, source: Source) {
        match source {
            Source::Signals => self.take_signals(),
            Source::Saver => self.take_saved(),
            Source::Listener => self.clients.accept(&mut self.tokens, self.poll.registry()),
            Source::Channel(child) => {
                self.unread.insert(child);
            }
            Source::Process(pid) => self.reap(pid),
            Source::Client(client) => self.serve(client),
        }
    }

    /// Hands every input to the pool and carries out what it decides, until nothing is left; then writes.
    fn settle(&mut self) {
        loop {
            let mut actions = Vec::new();
            while let Some(input) = self.inputs.pop_front() {
                self.pool.step(self.started.elapsed(), input, &mut actions);
                let saves =
                    |action: &Action| matches!(action, Action::SaveState | Action::ReserveEpochs { .. });
                let ticket = if actions.iter().any(saves) { self.save_state() } else { None };
                for action in actions.drain(..) {
                    self.carry_out(action, ticket);
                }
            }
            for (child, error) in self.children.flush(self.poll.registry()) {
                self.drop_channel(child, format!("writing: {error}"));
            }
            if self.inputs.is_empty() {
                break;
            }
        }
        self.clients.flush_all(&mut self.tokens, self.poll.registry());
    }

    /// `ticket` names the state of this step, where it is to be saved.
    fn carry_out(&mut self, action: Action, ticket: Option<Ticket>) {
        match action {
            Action::Spawn { child, generation, feed } => {
                self.hold(ticket, Held::Spawn { child, generation, feed });
            }
            Action::Welcome { child, generation, proto, feed } => {
                self.welcome(child, generation, proto, feed);
            }
            Action::ToWorker { slot, generation, message } => {
                if self.is_current(Child::Worker(slot), generation) {
                    if matches!(message, ToWorker::Stop { .. }) {
                        self.children.leaving(Child::Worker(slot));
                    }
                    self.tell_worker(slot, &message, 0);
                    if matches!(message, ToWorker::Assign { .. }) {
                        failpoint::hit(Point::AssignSent);
                    }
                }
            }
            Action::ToRecorder { generation, message } => {
                if self.is_current(Child::Recorder, generation) {
                    self.tell_recorder(&message, 0);
                }
            }
            Action::ConnectData { slot, generation } => self.connect_data(slot, generation),
            Action::Kill { child, generation, signal } => {
                if !self.give_up_start(child, generation)
                    && self.is_current(child, generation)
                    && let Err(error) = self.children.signal(child, signal)
                {
                    log::error!(child:? = child, error:% = error; "child.signal_failed");
                }
            }
            Action::ReserveEpochs { up_to } => self.hold(ticket, Held::Epochs { up_to }),
            // Taken once per step, before the step's other actions: see `settle`.
            Action::SaveState => {}
            Action::Answer { request, answer } => self.answer(request, &answer),
            Action::Log(event) => self.log_event(&event),
            Action::Finished => self.finished = true,
        }
    }

    fn is_current(&self, child: Child, generation: Generation) -> bool {
        self.children.generation(child) == Some(generation)
    }

    pub(super) fn spawn(&mut self, child: Child, generation: Generation, feed: Option<FeedId>) {
        let lodging = feed.and_then(|feed| self.lodgings.get(usize::from(feed.0)).copied());
        let lodging = lodging.unwrap_or(Lodging::Alone);
        let spawned = self.children.spawn(child, generation, lodging, self.poll.registry(), &mut self.tokens);
        self.inputs.push_back(match spawned {
            Ok(pid) => Input::Spawned { child, generation, pid },
            Err(error) => Input::SpawnFailed { child, generation, error: error.to_string() },
        });
    }

    fn welcome(&mut self, child: Child, generation: Generation, proto: u16, feed: Option<FeedId>) {
        if !self.is_current(child, generation) {
            return;
        }
        self.pass_log_file(child);
        let welcome = Welcome { proto, config: self.child_config.clone() };
        match (child, feed) {
            (Child::Worker(slot), feed) => {
                let feed = feed.unwrap_or_default();
                self.tell_worker(slot, &ToWorker::Welcome { welcome, feed, slot, generation }, 0);
            }
            (Child::Recorder, _) => self.tell_recorder(&ToRecorder::Welcome(welcome), 0),
        }
        self.children.welcomed(child);
        failpoint::hit(Point::WelcomeSent);
        self.pass_log_filter(child);
    }

    /// One end of a new pair to the recorder, the other to the worker; our copies are closed once they are sent.
    fn connect_data(&mut self, slot: SlotId, generation: Generation) {
        let child = Child::Worker(slot);
        if !self.is_current(child, generation) {
            return;
        }
        let (to_recorder, to_worker) = match spawn::channel_pair() {
            Ok(pair) => pair,
            Err(error) => {
                // The pool gives the channel out anew when it is not confirmed in time.
                log::error!(worker = slot.0, error:% = error; "worker.data_failed");
                return;
            }
        };
        let attach = ToRecorder::Attach { slot, generation };
        if let Err(error) = self.children.tell_recorder(&attach, 0, Some(to_recorder)) {
            self.drop_channel(Child::Recorder, error.to_string());
        }
        if let Err(error) = self.children.tell_worker(child, &ToWorker::Data, 0, Some(to_worker)) {
            self.drop_channel(child, error.to_string());
        }
        failpoint::hit(Point::AttachSent);
    }

    pub(crate) fn tell_worker(&mut self, slot: SlotId, message: &ToWorker, request: u32) {
        let child = Child::Worker(slot);
        if let Err(error) = self.children.tell_worker(child, message, request, None) {
            self.drop_channel(child, error.to_string());
        }
    }

    pub(crate) fn tell_recorder(&mut self, message: &ToRecorder, request: u32) {
        if let Err(error) = self.children.tell_recorder(message, request, None) {
            self.drop_channel(Child::Recorder, error.to_string());
        }
    }

    /// Closes a channel that cannot go on; the pool decides what becomes of the child.
    fn drop_channel(&mut self, child: Child, why: String) {
        let Some(generation) = self.children.generation(child) else { return };
        if !self.children.close(child, self.poll.registry(), &mut self.tokens) {
            return;
        }
        match self.children.take_left(child) {
            Some(exit) => self.gone(Gone { child, generation, at: Work::None }, exit, None),
            None => {
                self.cut_off.insert(child, CutOff { generation, why, until: Instant::now() + ENDS_WITHIN });
            }
        }
    }

    /// Processes that do not end although their channel did.
    fn give_up_on_cut_off(&mut self) {
        let now = Instant::now();
        let is_due = |(_, cut_off): &(&Child, &CutOff)| cut_off.until <= now;
        let due: Vec<Child> = self.cut_off.iter().filter(is_due).map(|(child, _)| *child).collect();
        for child in due {
            if let Some(CutOff { generation, why, .. }) = self.cut_off.remove(&child) {
                self.inputs.push_back(Input::ChannelClosed { child, generation, why });
            }
        }
    }

    fn gone(&mut self, gone: Gone, exit: Exit, usage: Option<Usage>) {
        let Gone { child, generation, at } = gone;
        self.cut_off.remove(&child);
        self.unread.remove(&child);
        self.forget_in_gathers(child);
        self.inputs.push_back(Input::Exited { child, generation, exit, usage, at });
    }

    fn read_child(&mut self, child: Child) {
        match self.children.read(child) {
            Ok(ReadOutcome::Drained) => {
                self.take_messages(child, MESSAGES_PER_TURN);
            }
            Ok(ReadOutcome::More) => {
                self.take_messages(child, MESSAGES_PER_TURN);
                self.unread.insert(child);
            }
            Ok(ReadOutcome::Closed) => {
                self.take_messages(child, usize::MAX);
                self.drop_channel(child, "it closed its channel".to_owned());
            }
            Err(error) => self.break_channel(child, &error),
        }
    }

    /// A bad frame. One of another version is what a child of that version says first: the pool decides by the version.
    fn break_channel(&mut self, child: Child, error: &ChannelError) {
        if let (Some(hello), Some(generation)) =
            (self.children.foreign_hello(child, error), self.children.generation(child))
        {
            self.inputs.push_back(match child {
                Child::Worker(slot) => Input::Worker { slot, generation, message: FromWorker::Hello(hello) },
                Child::Recorder => Input::Recorder { generation, message: FromRecorder::Hello(hello) },
            });
        }
        self.drop_channel(child, error.to_string());
    }

    fn take_messages(&mut self, child: Child, most: usize) {
        let Some(generation) = self.children.generation(child) else { return };
        for _ in 0..most {
            match self.children.next(child) {
                Ok(Some(said)) => self.hear(child, generation, said),
                Ok(None) => return,
                Err(error) => return self.break_channel(child, &error),
            }
        }
        // The rest is in our buffer, where no event will announce it.
        self.unread.insert(child);
    }

    fn hear(&mut self, child: Child, generation: Generation, said: Said) {
        match (said, child) {
            // Those without a number are the pool's own question.
            (Said::Worker(FromWorker::Details { matches, more }, request @ 1..), Child::Worker(slot)) => {
                self.gather_details(request, slot, matches, more);
            }
            (Said::Recorder(FromRecorder::Documents { documents, more }, request), _) => {
                self.gather_documents(request, documents, more);
            }
            (Said::Worker(FromWorker::Left { code }, _), _) => self.children.said_left(child, code),
            (Said::Worker(message, _), Child::Worker(slot)) => {
                if let FromWorker::Load(report) = &message {
                    self.children.note_busy(child, report.busy);
                }
                self.inputs.push_back(Input::Worker { slot, generation, message });
            }
            (Said::Recorder(message, _), _) => {
                if matches!(message, FromRecorder::Switched { .. }) {
                    failpoint::hit(Point::MoveSwitched);
                }
                self.inputs.push_back(Input::Recorder { generation, message });
            }
            (Said::Worker(..), Child::Recorder) => {}
        }
    }

    /// What its children said before the end of a process counts: their channels are read to the end first.
    fn reap(&mut self, pid: u32) {
        for child in self.children.aboard(pid) {
            self.read_to_the_end(child);
        }
        match self.children.reap(pid, self.poll.registry(), &mut self.tokens) {
            Ok(Some(Reaped { children, exit, usage })) => {
                failpoint::hit(Point::ChildReaped);
                for gone in children {
                    self.gone(gone, exit, Some(usage));
                }
            }
            Ok(None) => {}
            Err(error) => log::error!(pid = pid, error:% = error; "child.reap_failed"),
        }
    }

    fn read_to_the_end(&mut self, child: Child) {
        loop {
            match self.children.read(child) {
                Ok(ReadOutcome::More) => self.take_messages(child, usize::MAX),
                Ok(ReadOutcome::Drained | ReadOutcome::Closed) => {
                    return self.take_messages(child, usize::MAX);
                }
                Err(_) => return,
            }
        }
    }

    fn take_signals(&mut self) {
        while let Some((signal, sender)) = self.signals.take() {
            log::info!(signal = signal.as_str(), from = sender; "coord.signal");
            #[allow(clippy::wildcard_enum_match_arm)] // The kernel's enum, not ours.
            match signal {
                Signal::SIGTERM | Signal::SIGINT => self.stop_by_signal(),
                Signal::SIGUSR1 => {
                    if let Err(error) = self.reopen_log() {
                        log::error!(error = error.as_str(); "log.reopen_failed");
                    }
                }
                Signal::SIGQUIT => self.log_status(),
                Signal::SIGHUP => log::warn!(signal = "SIGHUP"; "coord.not_in_this_build"),
                Signal::SIGUSR2 => log::warn!(signal = "SIGUSR2"; "coord.not_in_this_build"),
                // SIGCHLD and SIGPIPE are of no use: pidfds tell of the end of children, writes of closed pipes.
                other => log::debug!(signal = other.as_str(); "coord.signal_ignored"),
            }
        }
    }

    fn stop_by_signal(&mut self) {
        self.stops += 1;
        let urgency = if self.stops == 1 { Urgency::Drain } else { Urgency::Now };
        let request = self.next_request();
        self.inputs.push_back(Input::Command {
            request,
            command: Command::Stop { urgency },
            timeout: Duration::from_secs(3600),
        });
    }

    /// Puts an operator's command to the pool; its answer goes to `client`.
    pub(crate) fn command(&mut self, client: u32, command: Command, timeout: Duration) {
        let request = self.next_request();
        self.asked.insert(request, client);
        self.inputs.push_back(Input::Command { request, command, timeout });
    }

    fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }
}

/// Says what a look at a file found; the matches that it names, if they are others.
pub(super) fn tell_matches(file: &MatchesFile, names: &[String], found: Found) -> Option<Vec<MatchId>> {
    let feed = names.get(usize::from(file.feed.0)).map_or("", String::as_str);
    match found {
        Found::Nothing => None,
        Found::Matches { ids, odd } => {
            for line in odd {
                log::warn!(feed = feed, file:% = file.path().display(), line = line; "matches.line_skipped");
            }
            log::info!(feed = feed, file:% = file.path().display(), matches = ids.len(); "matches.read");
            Some(ids)
        }
        Found::Unreadable(error) => {
            log::error!(feed = feed, file:% = file.path().display(), error = error.as_str(); "matches.unreadable");
            None
        }
    }
}
