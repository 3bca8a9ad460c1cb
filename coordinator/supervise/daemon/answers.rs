//! The answers to the operators' requests: what each verb of the control socket does.

use super::Daemon;
use crate::control::clients::Access;
use crate::control::gather::Gather;
use crate::pool::{self, Child, Command, MatchQuery, RequestId, ServiceKind, Urgency};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use touchline_common::control::views::{HealthView, MatchView, MatchViewState, StatusView, WorkerView};
use touchline_common::control::{Answer, Code, Request};
use touchline_common::ipc::messages::recorder::ToRecorder;
use touchline_common::ipc::messages::worker::{MatchDetail, ToWorker};
use touchline_common::model::{MatchKey, SlotId};

/// How long the parts of an answer are waited for, if the client names no time.
const GATHER: Duration = Duration::from_millis(900);
/// How long the pool may take for a command, if the client names no time.
const COMMAND: Duration = Duration::from_secs(10);
/// How long a drain or a move may take, if the client names no time: a worker may have to be started for it.
const MOVE: Duration = Duration::from_secs(60);
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

impl Daemon {
    /// Answers whatever a client asks now.
    pub(super) fn serve(&mut self, client: u32) {
        for request in self.clients.requests(client) {
            self.answer_request(client, &request);
        }
    }

    fn answer_request(&mut self, client: u32, request: &Request) {
        let Some(access) = access(&request.verb) else {
            let error = format!("no such verb: {}", request.verb);
            return self.clients.answer(client, &Answer::refused(Code::Usage, error));
        };
        if !self.clients.may(client, access) {
            let uid = self.clients.uid(client).unwrap_or_default();
            log::warn!(verb = request.verb.as_str(), uid = uid; "control.refused");
            let error = format!("uid {uid} may not {}: ask for it in [control]", request.verb);
            return self.clients.answer(client, &Answer::refused(Code::Refused, error));
        }
        if access == Access::Act {
            let uid = self.clients.uid(client).unwrap_or_default();
            let args = Value::from(request.args.clone()).to_string();
            log::info!(verb = request.verb.as_str(), uid = uid, args = args.as_str(); "control.command");
        }
        match request.verb.as_str() {
            "ping" => self.give(client, &json!({ "pid": std::process::id() })),
            "status" => self.give(client, &self.status_view()),
            "workers" => self.give(client, &self.worker_views()),
            "health" => self.give(client, &self.health_view()),
            "matches" => self.gather_matches(client, request),
            "match" | "events" | "odds" | "gaps" => self.hand_to_recorder(client, request),
            "wait-ready" => {
                self.command(client, Command::WaitReady, timeout(request, Duration::from_secs(30)));
            }
            "stop" => {
                let urgency = if request.is_set("now") { Urgency::Now } else { Urgency::Drain };
                self.command(client, Command::Stop { urgency }, timeout(request, Duration::from_secs(60)));
            }
            "drain" => self.worker_command(client, request, |slot| Command::Drain { slot }),
            "move" => match worker(request) {
                Ok(slot) => self.match_command(client, request, MOVE, |key| Command::Move { key, slot }),
                Err(error) => self.clients.answer(client, &Answer::refused(Code::Usage, error)),
            },
            "rebalance" if request.is_set("dry-run") => self.give(client, &self.pool.rebalance_plan()),
            "rebalance" => self.command(client, Command::Rebalance, timeout(request, MOVE)),
            "scale" => self.scale(client, request),
            "resync" => self.match_command(client, request, COMMAND, |key| Command::Resync { key }),
            "release" => self.match_command(client, request, COMMAND, |key| Command::Release { key }),
            "log" => self.log_verb(client, request),
            // `access` knows no other.
            _ => {}
        }
    }

    fn give(&mut self, client: u32, result: &impl Serialize) {
        let answer = match serde_json::to_value(result) {
            Ok(value) => Answer::Ok(value),
            Err(error) => Answer::refused(Code::Failed, format!("the answer cannot be written: {error}")),
        };
        self.clients.answer(client, &answer);
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

    fn log_verb(&mut self, client: u32, request: &Request) {
        let done = match (request.text("action"), request.text("filter")) {
            (Some("reopen"), _) => self.reopen_log(),
            (Some("level"), Some(filter)) => self.set_log_filter(filter),
            (Some(_) | None, _) => Err("log takes `level FILTER` or `reopen`".to_owned()),
        };
        match done {
            Ok(done) => self.give(client, &done),
            Err(error) => self.clients.answer(client, &Answer::refused(Code::Failed, error)),
        }
    }

    /// Stored data is the recorder's: it gets the client's socket and answers itself.
    fn hand_to_recorder(&mut self, client: u32, request: &Request) {
        let ready = self.status_view().recorder.state == "ready";
        if !ready || self.children.generation(Child::RECORDER).is_none() {
            let error = "the recorder is not running: see `touchline status` and the log";
            return self.clients.answer(client, &Answer::refused(Code::Partial, error));
        }
        let args = Value::from(request.args.clone()).to_string();
        let query = ToRecorder::Query { verb: request.verb.clone(), args };
        let registry = self.poll.registry();
        let Some(socket) = self.clients.hand_over(client, &mut self.tokens, registry) else {
            let error = "read the answers to what was asked before, then ask this";
            return self.clients.answer(client, &Answer::refused(Code::Failed, error));
        };
        if let Err(error) = self.children.send_recorder(&query, 0, Some(socket)) {
            log::warn!(error:% = error; "control.hand_over_failed");
        }
    }

    fn match_command(
        &mut self,
        client: u32,
        request: &Request,
        usual: Duration,
        make: impl FnOnce(MatchKey) -> Command,
    ) {
        let named = request.text("match").unwrap_or_default();
        match self.find_match(named) {
            Ok(key) => self.command(client, make(key), timeout(request, usual)),
            Err(error) => self.clients.answer(client, &Answer::refused(Code::Failed, error)),
        }
    }

    fn scale(&mut self, client: u32, request: &Request) {
        let number = |name: &str| match request.number(name).map(u16::try_from) {
            None if request.args.contains_key(name) => Err(()),
            None => Ok(None),
            Some(number) => number.map(Some).map_err(|_| ()),
        };
        match (number("min"), number("max")) {
            (Ok(None), Ok(None)) | (Err(()), _) | (_, Err(())) => {
                let error = "scale takes `--min N`, `--max N` or both, numbers of workers";
                self.clients.answer(client, &Answer::refused(Code::Usage, error));
            }
            (Ok(min), Ok(max)) => {
                self.command(client, Command::Scale { min, max }, timeout(request, COMMAND));
            }
        }
    }

    fn worker_command(&mut self, client: u32, request: &Request, make: impl FnOnce(SlotId) -> Command) {
        match worker(request) {
            Ok(slot) => self.command(client, make(slot), timeout(request, MOVE)),
            Err(error) => self.clients.answer(client, &Answer::refused(Code::Usage, error)),
        }
    }

    /// `FEED/ID`, or `ID` where only one feed has it.
    fn find_match(&self, named: &str) -> Result<MatchKey, String> {
        if let Some((feed, id)) = named.split_once('/')
            && let Some(feed) = self.pool.feed_by_name(feed)
        {
            return Ok(MatchKey { feed, id: id.into() });
        }
        let keys = self.pool.find_match(named);
        match keys.as_slice() {
            [] => Err(format!("no match {named:?} is listed (see `touchline matches`)")),
            [key] => Ok(key.clone()),
            [..] => {
                let feeds: Vec<String> = keys.iter().map(|key| self.pool.feed_name(key.feed)).collect();
                Err(format!("several feeds have {named:?}: {}; write FEED/ID", feeds.join(", ")))
            }
        }
    }

    fn gather_matches(&mut self, client: u32, request: &Request) {
        let mut query = MatchQuery::default();
        if let Some(name) = request.text("feed") {
            let Some(feed) = self.pool.feed_by_name(name) else {
                let error = format!("no feed is called {name:?}: {}", self.feed_names.join(", "));
                return self.clients.answer(client, &Answer::refused(Code::Failed, error));
            };
            query.feed = Some(feed);
        }
        if let Some(name) = request.text("state") {
            let Some(state) = MatchViewState::by_name(name) else {
                let error = format!(
                    "no match can be {name:?}: waiting, subscribing, live, stale, ended or quarantined"
                );
                return self.clients.answer(client, &Answer::refused(Code::Usage, error));
            };
            query.state = Some(state);
        }
        query.worker = request.number("worker").and_then(|slot| u16::try_from(slot).ok()).map(SlotId);
        let views = self.keyed(self.pool.matches(query));
        let patience = timeout(request, GATHER).min(GATHER);
        // Without time to wait no child is asked.
        let asked = self.children.listening().filter(|_| !patience.is_zero());
        let waiting: BTreeSet<Child> = asked.collect();
        self.last_request += 1;
        let number = self.last_request as u32;
        for child in &waiting {
            match child {
                Child::Worker(slot) => self.send_worker(*slot, &ToWorker::Details, number),
                Child::Service(ServiceKind::Recorder) => self.send_recorder(&ToRecorder::Documents, number),
            }
        }
        let deadline = Instant::now() + patience;
        self.gathers.insert(number, Gather::new(client, deadline, waiting, views));
        self.finish_gathers();
    }

    fn keyed(&self, views: Vec<MatchView>) -> Vec<(MatchKey, MatchView)> {
        let keyed = views.into_iter().map(|view| {
            let feed = self.pool.feed_by_name(&view.feed).unwrap_or_default();
            (MatchKey { feed, id: view.id.as_str().into() }, view)
        });
        keyed.collect()
    }

    pub(super) fn gather_details(
        &mut self,
        number: u32,
        slot: SlotId,
        matches: Vec<MatchDetail>,
        more: bool,
    ) {
        let feed = self.pool.feed_of(Child::Worker(slot)).unwrap_or_default();
        let Some(gather) = self.gathers.get_mut(&number) else { return };
        gather.details(matches.into_iter().map(|detail| (MatchKey { feed, id: detail.id.clone() }, detail)));
        if !more {
            gather.waiting.remove(&Child::Worker(slot));
        }
        self.finish_gathers();
    }

    pub(super) fn gather_documents(&mut self, number: u32, documents: Vec<(MatchKey, u64, i64)>, more: bool) {
        let Some(gather) = self.gathers.get_mut(&number) else { return };
        gather.documents(documents);
        if !more {
            gather.waiting.remove(&Child::RECORDER);
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

    pub(super) fn expire_gathers(&mut self) {
        self.finish_gathers();
    }

    fn finish_gathers(&mut self) {
        let now = Instant::now();
        let is_done = |gather: &Gather| gather.waiting.is_empty() || now >= gather.deadline;
        let done: Vec<u32> =
            self.gathers.iter().filter(|(_, g)| is_done(g)).map(|(number, _)| *number).collect();
        for number in done {
            if let Some(gather) = self.gathers.remove(&number) {
                let client = gather.client;
                self.give(client, &gather.into_views());
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

/// What a verb does; `None` for no verb.
fn access(verb: &str) -> Option<Access> {
    match verb {
        "ping" | "status" | "workers" | "matches" | "match" | "events" | "odds" | "gaps" | "health"
        | "wait-ready" => Some(Access::Look),
        "stop" | "drain" | "move" | "rebalance" | "scale" | "resync" | "release" | "log" => Some(Access::Act),
        _ => None,
    }
}

/// The worker of a request: its number, as `3`, `"3"` or `"w3"`.
fn worker(request: &Request) -> Result<SlotId, String> {
    let named = match request.number("worker") {
        Some(number) => number.to_string(),
        None => request.text("worker").unwrap_or_default().to_owned(),
    };
    let digits = named.strip_prefix('w').unwrap_or(&named);
    digits.parse().map(SlotId).map_err(|_| format!("no worker can be called {named:?}: expected its number"))
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
