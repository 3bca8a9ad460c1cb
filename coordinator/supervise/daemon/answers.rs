//! The answers to the operators' requests: what each verb of the control socket does.

use super::Daemon;
use crate::control::gather::Gather;
use crate::pool::{self, Child, Command, MatchQuery, RequestId, ServiceKind, Urgency};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
use touchline_common::control::views::{HealthView, MatchView, MatchViewState, StatusView, WorkerView};
use touchline_common::control::{self, Access, Answer, Code, Request, Verb};
use touchline_common::ipc::messages::recorder::ToRecorder;
use touchline_common::ipc::messages::worker::{MatchDetail, ToWorker};
use touchline_common::model::{MatchKey, SlotId};

/// How long the parts of an answer are waited for, if the client names no time.
const GATHER: Duration = Duration::from_millis(900);
/// How long the pool may take for a command, if the client names no time.
const COMMAND: Duration = Duration::from_secs(10);
/// How long a drain or a move may take, if the client names no time: a worker may have to be started for it.
const MOVE: Duration = Duration::from_secs(60);
/// How long a stop may take, if the client names no time.
const STOP: Duration = Duration::from_secs(60);
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

impl Daemon {
    /// Answers whatever a client asks now.
    pub(super) fn serve(&mut self, client: u32) {
        for request in self.clients.requests(client) {
            self.answer_request(client, request);
        }
    }

    fn answer_request(&mut self, client: u32, request: Request) {
        let done = self.admit(client, request).and_then(|request| self.verb(client, &request));
        if let Err(refusal) = done {
            self.clients.answer(client, &refusal);
        }
    }

    /// The request with its arguments as the table of verbs names them, if there is such a verb and the client may use it.
    fn admit(&self, client: u32, request: Request) -> Result<Request, Answer> {
        let verb = Verb::by_name(&request.verb).map_err(|(code, error)| Answer::refused(code, error))?;
        let (name, uid) = (verb.name, self.clients.uid(client).unwrap_or_default());
        if !self.clients.may(client, verb.access) {
            log::warn!(verb = name, uid = uid; "control.refused");
            let error = format!("uid {uid} may not {name}: add it to the uids in [control]");
            return Err(Answer::refused(Code::Refused, error));
        }
        let args = verb.read(request.args).map_err(|error| Answer::refused(Code::Usage, error))?;
        if verb.access == Access::Act {
            let args = Value::from(args.clone()).to_string();
            log::info!(verb = name, uid = uid, args = args.as_str(); "control.command");
        }
        Ok(Request { verb: request.verb, args })
    }

    /// Answers now, or sees to it that an answer comes; an error is the answer, too.
    fn verb(&mut self, client: u32, request: &Request) -> Result<(), Answer> {
        let (command, usual) = match request.verb.as_str() {
            "help" => return self.give(client, &control::help()),
            "ping" => return self.give(client, &json!({ "pid": std::process::id() })),
            "status" => return self.give(client, &self.status_view()),
            "workers" => return self.give(client, &self.worker_views()),
            "health" => return self.give(client, &self.health_view()),
            "matches" => return self.gather_matches(client, request),
            "match" | "events" | "odds" | "gaps" | "sink" => return self.hand_to_recorder(client, request),
            "log" => return self.log_verb(client, request),
            "rebalance" if request.is_set("dry_run") => {
                return self.give(client, &self.pool.rebalance_plan());
            }
            "wait-ready" => (Command::WaitReady, Duration::from_secs(30)),
            "stop" if request.is_set("now") => (Command::Stop { urgency: Urgency::Now }, STOP),
            "stop" => (Command::Stop { urgency: Urgency::Drain }, STOP),
            "drain" => (Command::Drain { slot: worker(request)? }, MOVE),
            "move" => (Command::Move { slot: worker(request)?, key: self.find_match(request)? }, MOVE),
            "rebalance" => (Command::Rebalance, MOVE),
            "scale" => (scale(request)?, COMMAND),
            "resync" => (Command::Resync { key: self.find_match(request)? }, COMMAND),
            "release" => (Command::Release { key: self.find_match(request)? }, COMMAND),
            other => return Err(Answer::refused(Code::Failed, format!("{other} is not answered here"))),
        };
        // A daemon that is waited for can be stopped all the same.
        if !matches!(command, Command::Stop { .. }) && !self.clients.may_wait(client) {
            let error = "too many clients wait for their commands already: try again when one is done";
            return Err(Answer::refused(Code::Failed, error));
        }
        self.command(client, command, timeout(request, usual));
        Ok(())
    }

    fn give(&mut self, client: u32, result: &impl Serialize) -> Result<(), Answer> {
        let failed = |error| Answer::refused(Code::Failed, format!("cannot write the answer: {error}"));
        let result = serde_json::to_value(result).map_err(failed)?;
        self.clients.answer(client, &Answer::Ok(result));
        Ok(())
    }

    pub(super) fn status_view(&self) -> StatusView {
        StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: crate::BUILD.to_owned(),
            pid: std::process::id(),
            state_trouble: self.saving.trouble().to_owned(),
            ..self.pool.status(jiff::Timestamp::now().as_microsecond())
        }
    }

    fn health_view(&self) -> HealthView {
        let mut view = self.pool.health();
        if !self.saving.trouble().is_empty() {
            view.healthy = false;
            view.reasons.push(format!("the state is not saved: {}", self.saving.trouble()));
        }
        view
    }

    fn worker_views(&self) -> Vec<WorkerView> {
        let mut views = self.pool.workers();
        for view in &mut views {
            view.rss_bytes = view.pid.and_then(resident);
        }
        views
    }

    fn log_verb(&mut self, client: u32, request: &Request) -> Result<(), Answer> {
        let done = match (request.text("action"), request.text("filter")) {
            (Some("reopen"), _) => self.reopen_log(),
            (Some("level"), Some(filter)) => self.set_log_filter(filter),
            (Some(_) | None, _) => Err("log takes `level FILTER` or `reopen`".to_owned()),
        };
        let done = done.map_err(|error| Answer::refused(Code::Failed, error))?;
        self.give(client, &done)
    }

    /// Stored data is the recorder's: it gets the client's socket and answers itself.
    fn hand_to_recorder(&mut self, client: u32, request: &Request) -> Result<(), Answer> {
        let is_listening = self.children.listening().any(|child| child == Child::RECORDER);
        if !is_listening || !self.pool.is_recorder_ready() {
            let error = "the recorder is not running: see `touchline status` and the log";
            return Err(Answer::refused(Code::Partial, error));
        }
        let args = Value::from(request.args.clone()).to_string();
        let query = ToRecorder::Query { verb: request.verb.clone(), args };
        let Some(socket) = self.clients.hand_over(client, &mut self.sources) else {
            let error = "read the answers to what was asked before, then ask this";
            return Err(Answer::refused(Code::Failed, error));
        };
        if let Err(error) = self.children.send_recorder(&query, 0, Some(socket)) {
            log::warn!(error:% = error; "control.hand_over_failed");
        }
        Ok(())
    }

    /// The match of a request: `FEED/ID`, or `ID` where only one feed has it.
    fn find_match(&self, request: &Request) -> Result<MatchKey, Answer> {
        let named = request.text("match").unwrap_or_default();
        if let Some((feed, id)) = named.split_once('/')
            && let Some(feed) = self.pool.feed_by_name(feed)
        {
            return Ok(MatchKey { feed, id: id.into() });
        }
        let keys = self.pool.find_match(named);
        let error = match keys.as_slice() {
            [] => format!("no match {named:?} is listed (see `touchline matches`)"),
            [key] => return Ok(key.clone()),
            [..] => {
                let feeds: Vec<String> = keys.iter().map(|key| self.pool.feed_name(key.feed)).collect();
                format!("more than one feed has {named:?} ({}): use FEED/ID", feeds.join(", "))
            }
        };
        Err(Answer::refused(Code::Failed, error))
    }

    fn match_query(&self, request: &Request) -> Result<MatchQuery, Answer> {
        let mut query = MatchQuery::default();
        if let Some(name) = request.text("feed") {
            query.feed = Some(self.pool.feed_by_name(name).ok_or_else(|| {
                let error = format!("no feed {name:?}: expected one of {}", self.setup.feed_names.join(", "));
                Answer::refused(Code::Failed, error)
            })?);
        }
        if let Some(name) = request.text("state") {
            query.state = Some(MatchViewState::by_name(name).ok_or_else(|| {
                let states = MatchViewState::NAMES.join(", ");
                Answer::refused(Code::Usage, format!("no state {name:?}: expected one of {states}"))
            })?);
        }
        if request.args.contains_key("worker") {
            query.worker = Some(worker(request)?);
        }
        Ok(query)
    }

    fn gather_matches(&mut self, client: u32, request: &Request) -> Result<(), Answer> {
        let views = self.pool.matches(self.match_query(request)?);
        let patience = timeout(request, GATHER).min(GATHER);
        // Without time to wait no child is asked.
        let knows = |child: &Child| *child != Child::GATEWAY && !patience.is_zero();
        let asked = self.children.listening().filter(knows);
        let waiting: BTreeSet<Child> = asked.collect();
        self.last_request += 1;
        let number = self.last_request as u32;
        for child in &waiting {
            match child {
                Child::Worker(slot) => self.send_worker(*slot, &ToWorker::Details, number),
                Child::Service(ServiceKind::Recorder) => self.send_recorder(&ToRecorder::Documents, number),
                Child::Service(ServiceKind::Gateway) => {}
            }
        }
        let (deadline, places) = (Instant::now() + patience, self.places(&views));
        self.gathers.insert(number, Gather { client, deadline, waiting, views, places });
        self.finish_gathers();
        Ok(())
    }

    /// Where each match stands in `views`.
    fn places(&self, views: &[MatchView]) -> HashMap<MatchKey, usize> {
        let keys = views.iter().map(|view| {
            let feed = self.pool.feed_by_name(&view.feed).unwrap_or_default();
            MatchKey { feed, id: view.id.as_str().into() }
        });
        keys.zip(0..).collect()
    }

    pub(super) fn gather_details(
        &mut self,
        number: u32,
        slot: SlotId,
        matches: Vec<MatchDetail>,
        more: bool,
    ) {
        let child = Child::Worker(slot);
        let feed = self.pool.feed_of(child).unwrap_or_default();
        let keyed = matches.into_iter().map(|detail| (MatchKey { feed, id: detail.id.clone() }, detail));
        self.gathered(number, child, more, |gather| gather.details(keyed));
    }

    pub(super) fn gather_documents(&mut self, number: u32, documents: Vec<(MatchKey, u64, i64)>, more: bool) {
        self.gathered(number, Child::RECORDER, more, |gather| gather.documents(documents));
    }

    fn gathered(&mut self, number: u32, child: Child, more: bool, add: impl FnOnce(&mut Gather)) {
        let Some(gather) = self.gathers.get_mut(&number) else { return };
        add(gather);
        if !more {
            gather.waiting.remove(&child);
        }
        self.finish_gathers();
    }

    /// A child is gone: no answer waits for it.
    pub(super) fn forget_in_gathers(&mut self, child: Child) {
        for gather in self.gathers.values_mut() {
            gather.waiting.remove(&child);
        }
        self.finish_gathers();
    }

    pub(super) fn finish_gathers(&mut self) {
        let now = Instant::now();
        let is_done = |gather: &Gather| gather.waiting.is_empty() || now >= gather.deadline;
        let done: Vec<u32> =
            self.gathers.iter().filter(|(_, g)| is_done(g)).map(|(number, _)| *number).collect();
        for number in done {
            if let Some(gather) = self.gathers.remove(&number) {
                let client = gather.client;
                if let Err(error) = self.give(client, &gather.views) {
                    self.clients.answer(client, &error);
                }
            }
        }
    }

    /// The pool's answer to an operator, or to a signal, which has no client.
    pub(super) fn answer(&mut self, request: RequestId, answer: &pool::Answer) {
        let Some(client) = self.asked.remove(&request) else { return };
        let answer = match answer {
            pool::Answer::Done { message } => Answer::Ok(Value::from(message.as_str())),
            pool::Answer::Failed { error } => Answer::refused(Code::Failed, error),
            pool::Answer::Partial { missing } => Answer::refused(Code::Partial, missing),
        };
        self.clients.answer(client, &answer);
    }
}

/// The worker of a request: its number, as `3`, `"3"` or `"w3"`.
fn worker(request: &Request) -> Result<SlotId, Answer> {
    let named = match request.number("worker") {
        Some(number) => number.to_string(),
        None => request.text("worker").unwrap_or_default().to_owned(),
    };
    let digits = named.strip_prefix('w').unwrap_or(&named);
    let error = || format!("no worker {named:?}: expected its number");
    digits.parse().map(SlotId).map_err(|_| Answer::refused(Code::Usage, error()))
}

fn scale(request: &Request) -> Result<Command, Answer> {
    let error = "scale takes `--min N`, `--max N` or both, numbers of workers";
    let refused = || Answer::refused(Code::Usage, error);
    let number = |name: &str| match request.number(name).map(u16::try_from) {
        None if request.args.contains_key(name) => Err(refused()),
        None => Ok(None),
        Some(number) => number.map(Some).map_err(|_| refused()),
    };
    match (number("min")?, number("max")?) {
        (None, None) => Err(refused()),
        (min, max) => Ok(Command::Scale { min, max }),
    }
}

/// `timeout_ms` of a request within its bounds, else `default`.
fn timeout(request: &Request, default: Duration) -> Duration {
    request.number("timeout_ms").map_or(default, Duration::from_millis).min(MAX_TIMEOUT)
}

/// A process's resident memory, bytes.
fn resident(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * u64::try_from(page).ok()?)
}
