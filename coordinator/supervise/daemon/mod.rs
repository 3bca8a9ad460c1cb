//! The coordinator's loop: events in, the pool's decisions out.
//!
//! One thread, and the only one that spawns. Per turn: signals, children, operators, the tick; then the pool's actions
//! in order, then one write per channel. It never waits for anybody: channels are non-blocking and bounded, answers
//! have deadlines. A child's frames are taken in pieces, so that a chatty one does not keep the operators waiting.

mod answers;
mod channels;
mod logging;

use super::children::{ChildState, Children};
use super::matches_file::{Found, MatchesFile};
use super::processes::Sharing;
use super::saving::{Held, StateSaving, Ticket};
use super::spawn::Output;
use crate::control::{Clients, Gather};
use crate::pool::{Action, Child, Command, Input, Pool, RequestId, Urgency};
use crate::sources::{Source, Sources};
use mio::{Events, Interest, Poll, Waker};
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::Welcome;
use touchline_common::ipc::messages::gateway::ToGateway;
use touchline_common::ipc::messages::recorder::ToRecorder;
use touchline_common::ipc::messages::worker::ToWorker;
use touchline_common::logging::LogHandle;
use touchline_common::model::{FeedId, Generation, MatchId};
use touchline_common::sys::signals::Signals;

/// Messages of one child per turn.
const MESSAGES_PER_TURN: usize = 256;
/// How long the end of a process may come after that of its channel; most often it is less than a millisecond.
const ENDS_WITHIN: Duration = Duration::from_millis(20);

pub struct Daemon {
    setup: Setup,
    poll: Poll,
    sources: Sources,
    children: Children,
    pool: Pool,
    clients: Clients,
    log: LogHandle,
    /// The filter that was set since the start.
    log_filter: Option<String>,
    /// Operators' requests that the pool has not answered.
    asked: HashMap<RequestId, u32>,
    gathers: HashMap<u32, Gather>,
    last_request: u64,
    saving: StateSaving,
    signals: Signals,
    inputs: VecDeque<Input>,
    /// Children with unread bytes that no event will announce again.
    unread: BTreeSet<Child>,
    /// Children whose channel ended, until their process ends or is waited for no longer.
    cut_off: BTreeMap<Child, CutOff>,
    started: Instant,
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

/// What stays as it was at the start.
pub struct Setup {
    /// The log's file, if it is one.
    pub log_file: Option<PathBuf>,
    pub feed_names: Vec<String>,
    /// By feed.
    pub sharings: Vec<Sharing>,
    pub child_config: String,
    /// Where operators ask.
    pub control_socket: PathBuf,
    pub recorder_output: Output,
    pub tick: Duration,
}

impl Daemon {
    /// A daemon that has started nothing yet.
    ///
    /// # Errors
    /// When the kernel gives no poll, or takes a descriptor not into it.
    pub fn new(
        setup: Setup,
        pool: Pool,
        clients: Clients,
        signals: Signals,
        log: LogHandle,
        state_path: PathBuf,
    ) -> io::Result<Daemon> {
        let poll = Poll::new()?;
        let mut sources = Sources::of(&poll)?;
        sources.watch(signals.as_raw_fd(), Source::Signals, Interest::READABLE)?;
        sources.watch(clients.listener_fd(), Source::Listener, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), sources.insert(Source::Saver))?;
        let saving = StateSaving::start(state_path, waker)?;
        let children = Children::new(setup.recorder_output);
        Ok(Daemon {
            setup,
            poll,
            sources,
            children,
            pool,
            clients,
            log,
            log_filter: None,
            asked: HashMap::new(),
            gathers: HashMap::new(),
            last_request: 0,
            saving,
            signals,
            inputs: VecDeque::new(),
            unread: BTreeSet::new(),
            cut_off: BTreeMap::new(),
            started: Instant::now(),
            stops: 0,
            finished: false,
        })
    }

    /// Runs until every child is gone after a requested stop, and looks each tick at the files that name matches, which were read once.
    ///
    /// # Errors
    /// When the poll itself fails.
    pub fn run(mut self, mut matches_files: Vec<MatchesFile>) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        self.inputs.push_back(Input::Tick);
        let mut next_tick = Instant::now() + self.setup.tick;
        loop {
            self.settle();
            if self.finished {
                self.saving.finish();
                self.clients.flush_all(&mut self.sources);
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
                if let Some(source) = self.sources.get(event.token()) {
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
                next_tick = Instant::now() + self.setup.tick;
                self.look_at(&mut matches_files);
                self.inputs.push_back(Input::Tick);
                if self.saving.is_due() {
                    self.save_state();
                }
                self.finish_gathers();
                self.clients.expire(&mut self.sources);
            }
        }
    }

    fn look_at(&mut self, matches_files: &mut [MatchesFile]) {
        for file in matches_files {
            let found = file.look();
            if let Some(ids) = log_found(file, found) {
                self.inputs.push_back(Input::Named { feed: file.feed, ids });
            }
        }
    }

    fn dispatch(&mut self, source: Source) {
        match source {
            Source::Signals => self.take_signals(),
            Source::Saver => self.saving.take_saved().into_iter().for_each(|held| self.release(held)),
            Source::Listener => self.clients.accept(&mut self.sources),
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
            for (child, error) in self.children.flush(self.sources.registry()) {
                self.drop_channel(child, format!("writing: {error}"));
            }
            if self.inputs.is_empty() {
                break;
            }
        }
        self.clients.flush_all(&mut self.sources);
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
                        self.children.set_state(Child::Worker(slot), ChildState::Leaving);
                    }
                    self.send_worker(slot, &message, 0);
                    if matches!(message, ToWorker::Assign { .. }) {
                        failpoint::hit(Point::AssignSent);
                    }
                }
            }
            Action::ToRecorder { generation, message } => {
                if self.is_current(Child::RECORDER, generation) {
                    self.send_recorder(&message, 0);
                }
            }
            Action::ToGateway { generation, message } => {
                if self.is_current(Child::GATEWAY, generation) {
                    self.send_gateway(&message);
                }
            }
            Action::ConnectData { slot, generation } => self.connect_data(slot, generation),
            Action::ConnectFeed => self.connect_feed(),
            Action::Kill { child, generation, signal } => {
                if self.saving.cancel_start(child, generation) {
                    let error = "given up while its start waited for the disk".to_owned();
                    self.inputs.push_back(Input::SpawnFailed { child, generation, error });
                } else if self.is_current(child, generation)
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

    fn save_state(&mut self) -> Option<Ticket> {
        let state = self.pool.saved_state().to_json();
        self.saving.save(state)
    }

    /// Keeps this until the state of `ticket` is on the disk, or could not be put there; without a ticket there is nothing to wait for.
    fn hold(&mut self, ticket: Option<Ticket>, held: Held) {
        match ticket {
            Some(ticket) => self.saving.hold(ticket, held),
            None => self.release(held),
        }
    }

    /// Does what waited for the disk. Starts are made even when the state could not be saved.
    fn release(&mut self, held: Held) {
        match held {
            Held::Spawn { child, generation, feed } => self.spawn(child, generation, feed),
            Held::Epochs { up_to } if self.saving.trouble().is_empty() => {
                self.inputs.push_back(Input::EpochsReserved { up_to });
            }
            Held::Epochs { .. } => {
                let error = self.saving.trouble().to_owned();
                self.inputs.push_back(Input::EpochsRefused { error });
            }
        }
    }

    fn spawn(&mut self, child: Child, generation: Generation, feed: Option<FeedId>) {
        let sharing = feed.and_then(|feed| self.setup.sharings.get(usize::from(feed.0)).copied());
        let sharing = sharing.unwrap_or(Sharing::Alone);
        let name = feed.and_then(|feed| self.setup.feed_names.get(usize::from(feed.0)));
        let name = name.map(String::as_str);
        let spawned = self.children.spawn(child, generation, name, sharing, &mut self.sources);
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
        let welcome = Welcome { proto, config: self.setup.child_config.clone() };
        match (child, feed) {
            (Child::Worker(slot), feed) => {
                let feed = feed.unwrap_or_default();
                self.send_worker(slot, &ToWorker::Welcome { welcome, feed, slot, generation }, 0);
            }
            (Child::RECORDER, _) => self.send_recorder(&ToRecorder::Welcome(welcome), 0),
            (Child::GATEWAY, _) => {
                let control_socket = self.setup.control_socket.clone();
                self.send_gateway(&ToGateway::Welcome { welcome, control_socket });
            }
        }
        self.children.set_state(child, ChildState::Welcomed);
        failpoint::hit(Point::WelcomeSent);
        self.pass_log_filter(child);
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
                // SIGCHLD and SIGPIPE are of no use: pidfds report the end of children, writes of closed pipes.
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
    fn command(&mut self, client: u32, command: Command, timeout: Duration) {
        let request = self.next_request();
        self.asked.insert(request, client);
        self.inputs.push_back(Input::Command { request, command, timeout });
    }

    fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }
}

/// Logs what a look at a file found; the matches that it names, if they are others.
pub(super) fn log_found(file: &MatchesFile, found: Found) -> Option<Vec<MatchId>> {
    let feed = file.name.as_str();
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
