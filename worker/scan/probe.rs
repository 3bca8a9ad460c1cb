//! `touchline probe`: one connection, step by step, with what each step found and what to change where it failed.
//!
//! It uses the worker's own settings, connection, session and trees, so that what it finds is what a worker would find. It subscribes to the
//! clock, the list and one match, watches for a little while, and leaves. Nothing is stored. Called by the program's `probe`.

use super::login;
use super::start::{ScanError, plan, trees};
use super::upstream::{Readiness, Step, Upstream};
use crate::feed::diffusion::LostReason;
use crate::feed::{Event, SessionKind};
use crate::payload::{Base, MatchSlot, Received, Sink, Trees};
use jiff::tz::TimeZone;
use mio::{Events, Poll, Token, Waker};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::{Config, FeedConfig};
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Listing, MatchId, Section};

const LINK: Token = Token(0);
const WAKE: Token = Token(1);
/// How long a load may take.
const LOAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long the deltas of one match are watched.
const WATCH: Duration = Duration::from_secs(3);
/// What to look at when the server refuses the login, or the session after it.
const REFUSED: &str = "the server refuses who we are: see `username`, `password_env` or `password_file`, `login_topics` and `headers`";

/// One step, done or not.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which step.
    pub step: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// What was found.
    pub found: String,
    /// What to change; empty where nothing is wrong.
    pub advice: String,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Good,
    /// It is odd, and not the end.
    Odd,
    /// The rest cannot be tried.
    Failed,
}

/// What a probe brought home.
#[derive(Clone, Debug, Default)]
pub struct Probed {
    /// The match that was followed, as its worker would tell it.
    pub sections: Vec<Section>,
    /// Its id.
    pub id: Option<MatchId>,
}

/// Why a probe could not begin.
#[derive(Debug)]
pub enum ProbeError {
    /// A setting that only a worker resolves is wrong.
    Settings(ScanError),
    /// The kernel refused something.
    System(io::Error),
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeError::Settings(error) => write!(f, "{error}"),
            ProbeError::System(error) => write!(f, "making the loop: {error}"),
        }
    }
}

impl std::error::Error for ProbeError {}

/// Tries a feed; each step is told as it is done. Whether all of them went well, and what was found.
///
/// # Errors
/// [`ProbeError`]: nothing was tried.
pub fn probe(
    config: &Config,
    feed: &FeedConfig,
    tell: &mut dyn FnMut(Finding),
) -> Result<(Outcome, Probed), ProbeError> {
    let zone = TimeZone::get(&feed.feed_timezone).map_err(|error| {
        let why = format!("feed_timezone of {}: {error}", feed.name);
        ProbeError::Settings(ScanError::Config { why })
    })?;
    let trees = trees(config, feed, zone).map_err(ProbeError::Settings)?;
    let plan = plan(config, feed).map_err(ProbeError::Settings)?;
    let poll = Poll::new().map_err(ProbeError::System)?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE).map_err(ProbeError::System)?);
    let now = Instant::now();
    let upstream = Upstream::new(plan, LINK, waker, now);
    let mut probe = Probe {
        feed,
        poll,
        upstream,
        trees,
        seen: Seen::default(),
        began: now,
        step_began: now,
        worst: Outcome::Good,
        probed: Probed::default(),
        tell,
    };
    probe.run();
    Ok((probe.worst, probe.probed))
}

struct Probe<'a> {
    feed: &'a FeedConfig,
    poll: Poll,
    upstream: Upstream,
    trees: Trees,
    seen: Seen,
    began: Instant,
    step_began: Instant,
    worst: Outcome,
    probed: Probed,
    tell: &'a mut dyn FnMut(Finding),
}

/// What came so far.
#[derive(Default)]
struct Seen {
    connected: bool,
    opened: Option<(String, SessionKind)>,
    lost: Option<LostReason>,
    failed: Option<String>,
    clock: bool,
    loads: Vec<Vec<u8>>,
    bytes: usize,
    deltas: u64,
    skipped: Vec<String>,
    listed: Vec<(MatchId, Listing)>,
    list_loaded: bool,
}

/// What a match's diffs say is not needed here: its document is looked at as a whole.
struct Ignored;

impl Sink for Ignored {
    fn base(&mut self, _: MatchSlot, _: Base, _: Received) {}
    fn observed(&mut self, _: MatchSlot, _: &crate::payload::Seen<'_>) {}
    fn touched(&mut self, _: MatchSlot) {}
}

impl Probe<'_> {
    fn run(&mut self) {
        if !self.connect() || !self.log_in() {
            return;
        }
        self.take_clock();
        if self.seen.lost.is_some() {
            return;
        }
        let chosen = if self.feed.diffusion.list_topic.is_empty() {
            self.configured_match()
        } else {
            self.take_list()
        };
        if let Some((id, listing)) = chosen {
            self.take_match(&id, listing);
        }
        if let Some(session) = self.upstream.session() {
            session.close();
        }
        self.upstream.flush();
    }

    fn connect(&mut self) -> bool {
        let deadline = Duration::from_secs(15);
        self.go_until(deadline, |seen| seen.connected || seen.failed.is_some() || seen.lost.is_some());
        if self.seen.connected {
            self.say("connect", Outcome::Good, format!("{}: a socket", self.feed.url), "");
            return true;
        }
        let why = self.seen.failed.clone().unwrap_or_else(|| format!("nothing within {deadline:?}"));
        let why = why.split("; next attempt").next().unwrap_or_default().to_owned();
        let advice = "see that `url` names host and port of the server, that its name resolves here, and that no firewall stands between";
        self.say("connect", Outcome::Failed, why, advice);
        false
    }

    fn log_in(&mut self) -> bool {
        self.go_until(Duration::from_secs(15), |seen| seen.opened.is_some() || seen.lost.is_some());
        if let Some((id, _)) = self.seen.opened.clone() {
            let user = match self.feed.username.as_str() {
                "" => "without a login".to_owned(),
                name => format!("as {name}"),
            };
            self.say("session", Outcome::Good, format!("{user}, client id {id}"), "");
            return true;
        }
        let why = self.seen.lost.clone();
        let found = why.as_ref().map_or_else(|| "no answer".to_owned(), ToString::to_string);
        let advice = match &why {
            Some(lost) if lost.is_login() => REFUSED,
            Some(LostReason::Tls(_)) => {
                "see `ca_file`, the host in `url`, and whether the server speaks TLS at this port"
            }
            Some(LostReason::Tunnel(_)) => {
                "see the path in `url`, `protocol` (v4 or zap), `headers`, and whether ws:// or wss:// is right"
            }
            _ => {
                "see whether the scheme of `url` (dpt, dpts, ws, wss) and `protocol` (v4, zap) are those of the server"
            }
        };
        self.say("session", Outcome::Failed, found, advice);
        false
    }

    fn take_clock(&mut self) {
        let topic = self.feed.diffusion.time_topic.clone();
        if topic.is_empty() {
            return;
        }
        self.subscribe(&topic);
        self.go_until(LOAD_DEADLINE, |seen| seen.clock || seen.lost.is_some());
        if self.is_over("clock") {
            return;
        }
        if self.seen.clock {
            self.say("clock", Outcome::Good, format!("{topic}: the server tells its time"), "");
        } else {
            let advice = "see `time_topic`; without one leave it empty";
            self.say("clock", Outcome::Odd, format!("{topic}: no time within {LOAD_DEADLINE:?}"), advice);
        }
    }

    fn take_list(&mut self) -> Option<(MatchId, Listing)> {
        let topic = self.feed.diffusion.list_topic.clone();
        let added = self.trees.add_list(
            &topic,
            self.feed.diffusion.match_id.clone(),
            &self.feed.diffusion.match_topics,
        );
        if let Err(error) = added {
            self.say("list", Outcome::Failed, error.to_string(), "see `payload` and `list_topic`");
            return None;
        }
        self.subscribe(&topic);
        self.go_until(LOAD_DEADLINE, |seen| seen.list_loaded || seen.lost.is_some());
        if !self.seen.list_loaded && self.is_over("list") {
            return None;
        }
        if !self.seen.list_loaded {
            let found = self.missing(&topic);
            let advice = "see `list_topic`: its name on this server, its language and zone";
            self.say("list", Outcome::Failed, found, advice);
            return None;
        }
        let listed = self.seen.listed.clone();
        let playing = listed.iter().filter(|(_, listing)| listing.in_play).count();
        let found =
            format!("{topic}: {} matches, {playing} in play, {} bytes", listed.len(), self.seen.bytes);
        let chosen = listed.iter().find(|(_, listing)| listing.in_play).or_else(|| listed.first()).cloned();
        match &chosen {
            Some(_) => self.say("list", Outcome::Good, found, ""),
            None => self.say(
                "list",
                Outcome::Odd,
                found,
                "the list is empty: see `match_id`, or come back when there are matches",
            ),
        }
        chosen
    }

    fn configured_match(&mut self) -> Option<(MatchId, Listing)> {
        let named = self.feed.matches.first().cloned().or_else(|| {
            let file = (!self.feed.matches_file.is_empty()).then_some(&self.feed.matches_file)?;
            let text = std::fs::read_to_string(file).ok()?;
            text.lines()
                .map(str::trim)
                .find(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned)
        });
        match named {
            Some(id) => {
                self.say(
                    "list",
                    Outcome::Good,
                    format!("no list; the first match of the configuration is {id}"),
                    "",
                );
                Some((id.as_str().into(), Listing::default()))
            }
            None => {
                let advice = "set `list_topic`, `matches` or `matches_file`";
                self.say("list", Outcome::Failed, "no list and no matches".to_owned(), advice);
                None
            }
        }
    }

    fn take_match(&mut self, id: &MatchId, listing: Listing) {
        let topics = match topics(self.feed, id, &listing) {
            Ok(topics) => topics,
            Err(name) => {
                let found = format!("{id}: the list gives no {{{name}}}");
                return self.say(
                    "match",
                    Outcome::Failed,
                    found,
                    "see `match_topics`: which attributes it names",
                );
            }
        };
        let slot = match self.trees.add_match(&topics, listing) {
            Ok(slot) => slot,
            Err(error) => return self.say("match", Outcome::Failed, error.to_string(), "see `match_topics`"),
        };
        self.seen.bytes = 0;
        for topic in &topics {
            self.subscribe(topic);
        }
        let deadline = Instant::now() + LOAD_DEADLINE;
        while !self.trees.is_live(slot) && self.seen.lost.is_none() && Instant::now() < deadline {
            self.go_on(Duration::from_millis(50));
        }
        let named = topics.join(", ");
        if !self.trees.is_live(slot) && self.is_over("match") {
            return;
        }
        if !self.trees.is_live(slot) {
            let advice =
                "see `match_topics` (this match may also have no page of its own: try again), and `payload`";
            return self.say("match", Outcome::Failed, self.missing(&named), advice);
        }
        let name = self.trees.name(slot).unwrap_or_default();
        let found = format!("{id} ({name}): loaded from {named}, {} bytes", self.seen.bytes);
        self.say("match", Outcome::Good, found, "");
        self.watch();
        self.trees.render_whole(slot, &mut self.probed.sections);
        self.probed.id = Some(id.clone());
    }

    fn watch(&mut self) {
        let before = self.seen.deltas;
        self.go_until(WATCH, |seen| seen.lost.is_some());
        let deltas = self.seen.deltas - before;
        let found = format!("{deltas} changes in {WATCH:?}, {} messages skipped", self.seen.skipped.len());
        match (&self.seen.lost, self.seen.skipped.first()) {
            (Some(why), _) => {
                let found = format!("{found}; then the connection was lost: {why}");
                self.say("changes", Outcome::Failed, found, "the log of the server's side may say why");
            }
            (None, Some(first)) => {
                let advice = format!("the first one skipped: {first}");
                self.say("changes", Outcome::Odd, found, &advice);
            }
            (None, None) => self.say("changes", Outcome::Good, found, ""),
        }
    }

    fn missing(&self, topic: &str) -> String {
        format!("{topic}: no load within {LOAD_DEADLINE:?}")
    }

    /// Whether the connection is lost; if so, that is said. A server may refuse a session that it had accepted.
    fn is_over(&mut self, step: &'static str) -> bool {
        let Some(why) = self.seen.lost.clone() else { return false };
        if why.is_login() {
            self.say("session", Outcome::Failed, why.to_string(), REFUSED);
        } else {
            let found = format!("the connection was lost: {why}");
            self.say(step, Outcome::Failed, found, "the log of the server's side may say why");
        }
        true
    }

    fn subscribe(&mut self, topic: &str) {
        let Some(session) = self.upstream.session() else { return };
        if let Err(error) = session.subscribe(topic.as_bytes()) {
            self.seen.skipped.push(error.to_string());
        }
    }

    fn say(&mut self, step: &'static str, outcome: Outcome, found: String, advice: &str) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.step_began);
        self.step_began = now;
        if outcome == Outcome::Failed || self.worst == Outcome::Good {
            self.worst = outcome;
        }
        (self.tell)(Finding { step, outcome, took, found, advice: advice.to_owned() });
    }

    fn go_until(&mut self, patience: Duration, done: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + patience;
        while !done(&self.seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.go_on(left.min(Duration::from_millis(100)));
        }
    }

    /// Waits for something, and takes it.
    fn go_on(&mut self, longest: Duration) {
        let mut events = Events::with_capacity(8);
        let wait = if self.upstream.is_drained() { longest } else { Duration::ZERO };
        // An interrupted wait is a short one.
        let _ = self.poll.poll(&mut events, Some(wait));
        for event in events.iter().filter(|event| event.token() == LINK) {
            let end = event.is_read_closed() || event.is_error();
            self.upstream.note(if end { Readiness::End } else { Readiness::Bytes });
        }
        let now = Instant::now();
        match self.upstream.advance(self.poll.registry(), now) {
            Step::Nothing => {}
            Step::AsksLeave => self.upstream.permit(now),
            Step::Connected => self.seen.connected = true,
            Step::Failed(why) => self.seen.failed = Some(why),
        }
        self.upstream.read(now);
        self.take(now);
        self.upstream.flush();
    }

    fn take(&mut self, now: Instant) {
        let mono_ns = now.saturating_duration_since(self.began).as_nanos() as u64;
        let received = Received { wall_us: super::scanner::wall_us(), mono_ns };
        let Probe { upstream, trees, seen, feed, .. } = self;
        let Some(session) = upstream.session() else { return };
        while let Some(event) = session.next_event(now) {
            let mut refused = None;
            let skipped = match event {
                Event::Opened { client_id, session } => {
                    seen.opened = Some((client_id.escape_ascii().to_string(), session));
                    Ok(())
                }
                Event::Load { topic, body } | Event::Delta { topic, body }
                    if topic == feed.diffusion.time_topic.as_bytes() =>
                {
                    seen.clock |= trees.server_time(body, received);
                    Ok(())
                }
                Event::Load { topic, body } if is_aside(feed, trees, topic) => {
                    refused = login::refusal(&feed.diffusion.login_topics, topic, body);
                    Ok(())
                }
                Event::Delta { topic, .. } if is_aside(feed, trees, topic) => Ok(()),
                Event::Load { topic, body } => {
                    seen.bytes += body.len();
                    seen.list_loaded |= topic == feed.diffusion.list_topic.as_bytes();
                    seen.loads.push(topic.to_vec());
                    trees.load(topic, body, received, &mut Ignored).map(|_| ())
                }
                Event::Delta { topic, body } => {
                    seen.deltas += 1;
                    trees.delta(topic, body, received, &mut Ignored).map(|_| ())
                }
                Event::Lost { why } => {
                    seen.lost = Some(why);
                    Ok(())
                }
                Event::TopicStatus { topic, status } => {
                    let (topic, status) = (topic.escape_ascii(), status.escape_ascii());
                    seen.skipped.push(format!("the server says '{status}' of '{topic}'"));
                    Ok(())
                }
                Event::Skipped { why } => {
                    seen.skipped.push(why.to_string());
                    Ok(())
                }
                Event::TopicRemoved { .. } | Event::ServerQueue(_) | Event::LoginRejected => Ok(()),
            };
            if let Err(error) = skipped {
                seen.skipped.push(error.to_string());
            }
            if let Some(why) = refused {
                session.refused(why);
            }
        }
        trees.settle(received, &mut Ignored);
        let mut changes = Vec::new();
        trees.drain_lists(&mut changes);
        for change in changes {
            match change {
                ListChange::Present { id, listing } => {
                    seen.listed.retain(|(known, _)| *known != id);
                    seen.listed.push((id, listing));
                }
                ListChange::Gone { id } => seen.listed.retain(|(known, _)| *known != id),
                ListChange::LoadBegin | ListChange::LoadEnd | ListChange::Lost => {}
            }
        }
    }
}

/// Whether this is a topic that only the login asked for.
fn is_aside(feed: &FeedConfig, trees: &Trees, topic: &[u8]) -> bool {
    feed.diffusion.login_topics.iter().any(|asked| asked.as_bytes() == topic)
        && topic != feed.diffusion.list_topic.as_bytes()
        && trees.owner(topic).is_none()
}

/// The topics of a match, or the attribute that its listing lacks.
fn topics<'f>(feed: &'f FeedConfig, id: &MatchId, listing: &Listing) -> Result<Vec<String>, &'f str> {
    let value = |name: &str| {
        let given = listing.attributes.iter().find(|(known, _)| known == name);
        let value = given.map(|(_, value)| value.as_str()).or_else(|| (name == "ID").then_some(id.as_str()));
        value.map(Cow::Borrowed)
    };
    feed.diffusion.match_topics.iter().map(|template| template.fill(value)).collect()
}
