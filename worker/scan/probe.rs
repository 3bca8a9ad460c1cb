//! `touchline probe`: one connection, step by step, with what each step found and what to change where it failed.
//!
//! It uses the worker's own settings, connection, session and trees, so that what it finds is what a worker would find. It subscribes to the
//! clock, the list and one match, watches for a little while, and leaves. Nothing is stored. Called by the program's `probe`.

use super::clock::Clock;
use super::error::ScanError;
use super::setup::{plan, trees};
use crate::feed::{Cause, Event, Loss, SessionKind, Source};
use crate::net::Readiness;
use crate::payload::{MatchSlot, Names, Received, Sink, Trees};
use jiff::tz::TimeZone;
use mio::{Events, Poll, Token, Waker};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::{Config, FeedConfig};
use touchline_common::ipc::messages::data::{MatchBase, Section, SectionKey};
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Handle, Listing, MarketValue, MatchId, OddsChange, SelectionValue};

const WAKE: Token = Token(0);
const FIRST_SOURCE: Token = Token(1);
const LOAD_DEADLINE: Duration = Duration::from_secs(10);
const WATCH: Duration = Duration::from_secs(3);
/// What to look at when the server refuses the login, or the session after it.
const REFUSED: &str = "the server refuses who we are: see `username`, `password_env` or `password_file`, `login_topics` and `headers`";

/// One step, done or not.
#[derive(Clone, Debug)]
pub struct Finding {
    pub step: &'static str,
    pub outcome: Outcome,
    pub took: Duration,
    pub found: String,
    /// What to change; empty where nothing is wrong.
    pub advice: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Good,
    /// It is odd, and not the end.
    Odd,
    /// The rest cannot be tried.
    Failed,
}

#[derive(Clone, Debug, Default)]
pub struct Probed {
    /// The match that was followed, as its worker would publish it: parts as JSON objects, those of
    /// markets with their keys.
    pub sections: Vec<(Option<String>, String)>,
    pub id: Option<MatchId>,
}

/// Why a probe could not begin.
#[derive(Debug)]
pub enum ProbeError {
    /// A setting that only a worker resolves is wrong.
    Settings(ScanError),
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

/// Tries a feed; each step is reported as it is done. Whether all of them went well, and what was found.
///
/// # Errors
/// [`ProbeError`]: nothing was tried.
pub fn probe(
    config: &Config,
    feed: &FeedConfig,
    report: &mut dyn FnMut(Finding),
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
    let source = Source::new(plan, FIRST_SOURCE, waker, now);
    let mut probe = Probe {
        feed,
        poll,
        source,
        trees,
        markets: MarketKeys::default(),
        seen: Seen::default(),
        clock: Clock::new(now),
        step_began: now,
        worst: Outcome::Good,
        probed: Probed::default(),
        report,
    };
    probe.run();
    Ok((probe.worst, probe.probed))
}

struct Probe<'a> {
    feed: &'a FeedConfig,
    poll: Poll,
    source: Source,
    trees: Trees,
    markets: MarketKeys,
    seen: Seen,
    clock: Clock,
    step_began: Instant,
    worst: Outcome,
    probed: Probed,
    report: &'a mut dyn FnMut(Finding),
}

#[derive(Default)]
struct Seen {
    connected: bool,
    opened: Option<(String, SessionKind)>,
    lost: Option<Loss>,
    failed: Option<Loss>,
    clock: bool,
    loads: Vec<Vec<u8>>,
    bytes: usize,
    deltas: u64,
    skipped: Vec<String>,
    listed: Vec<(MatchId, Listing)>,
    list_loaded: bool,
}

/// What a match's deltas say is not needed here, for its document is looked at as a whole; only the keys of its markets are.
#[derive(Default)]
struct MarketKeys(Vec<String>);

impl MarketKeys {
    /// A section as the document has it: the key of a market, or none for a part of the match itself.
    fn keyed(&self, section: Section<'_>) -> Option<(Option<String>, String)> {
        let key = match section.key {
            SectionKey::Head | SectionKey::Tail => None,
            SectionKey::Market(Handle(handle)) => {
                Some(self.0.get((handle as usize).checked_sub(1)?)?.clone())
            }
        };
        Some((key, section.body?.into_owned()))
    }
}

impl Names for MarketKeys {
    fn name_market(&mut self, _: MatchSlot, key: &[u8], _: &[u8]) -> Handle {
        self.0.push(String::from_utf8_lossy(key).into_owned());
        Handle(self.0.len() as u32)
    }

    fn name_selection(&mut self, _: MatchSlot, _: Handle, _: &[u8], _: &[u8]) -> Handle {
        Handle(0)
    }
}

impl Sink for MarketKeys {
    fn base(&mut self, _: MatchSlot, _: MatchBase<'_>) {}
    fn odds_base(&mut self, _: MatchSlot, _: &[MarketValue], _: &[SelectionValue<'_>], _: Received) {}
    fn observed(&mut self, _: MatchSlot, _: &crate::payload::Seen<'_>) {}
    fn odds(&mut self, _: MatchSlot, _: &[OddsChange<'_>], _: Received) {}
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
        self.source.close();
    }

    fn connect(&mut self) -> bool {
        let deadline = Duration::from_secs(15);
        self.go_until(deadline, |seen| seen.connected || seen.failed.is_some() || seen.lost.is_some());
        if self.seen.connected {
            self.report("connect", Outcome::Good, format!("{}: a socket", self.feed.url), "");
            return true;
        }
        let why = match &self.seen.failed {
            Some(Loss { server, why, .. }) => format!("{server}: {why}"),
            None => format!("nothing within {deadline:?}"),
        };
        let advice = "see that `url` names host and port of the server, that its name resolves here, and that no firewall stands between";
        self.report("connect", Outcome::Failed, why, advice);
        false
    }

    fn log_in(&mut self) -> bool {
        self.go_until(Duration::from_secs(15), |seen| seen.opened.is_some() || seen.lost.is_some());
        if let Some((id, _)) = self.seen.opened.clone() {
            let user = match self.feed.username.as_str() {
                "" => "without a login".to_owned(),
                name => format!("as {name}"),
            };
            self.report("session", Outcome::Good, format!("{user}, client id {id}"), "");
            return true;
        }
        let why = self.seen.lost.clone();
        let found = why.as_ref().map_or_else(|| "no answer".to_owned(), |loss| loss.why.clone());
        let advice = match why.map(|loss| loss.cause) {
            Some(Cause::Login) => REFUSED,
            Some(Cause::Tls) => {
                "see `ca_file`, the host in `url`, and whether the server speaks TLS at this port"
            }
            Some(Cause::WebSocket) => {
                "see the path in `url`, `protocol` (v4 or zap), `headers`, and whether ws:// or wss:// is right"
            }
            Some(Cause::Connection) | None => {
                "see whether the scheme of `url` (dpt, dpts, ws, wss) and `protocol` (v4, zap) are those of the server"
            }
        };
        self.report("session", Outcome::Failed, found, advice);
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
            self.report("clock", Outcome::Good, format!("{topic}: the server tells its time"), "");
        } else {
            let advice = "see `time_topic`; without one leave it empty";
            self.report("clock", Outcome::Odd, format!("{topic}: no time within {LOAD_DEADLINE:?}"), advice);
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
            self.report("list", Outcome::Failed, error.to_string(), "see `payload` and `list_topic`");
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
            self.report("list", Outcome::Failed, found, advice);
            return None;
        }
        let listed = self.seen.listed.clone();
        let playing = listed.iter().filter(|(_, listing)| listing.in_play).count();
        let found =
            format!("{topic}: {} matches, {playing} in play, {} bytes", listed.len(), self.seen.bytes);
        let chosen = listed.iter().find(|(_, listing)| listing.in_play).or_else(|| listed.first()).cloned();
        match &chosen {
            Some(_) => self.report("list", Outcome::Good, found, ""),
            None => self.report(
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
                self.report(
                    "list",
                    Outcome::Good,
                    format!("no list; the first match of the configuration is {id}"),
                    "",
                );
                Some((id.as_str().into(), Listing::default()))
            }
            None => {
                let advice = "set `list_topic`, `matches` or `matches_file`";
                self.report("list", Outcome::Failed, "no list and no matches".to_owned(), advice);
                None
            }
        }
    }

    fn take_match(&mut self, id: &MatchId, listing: Listing) {
        let topics = match topics(self.feed, id, &listing) {
            Ok(topics) => topics,
            Err(name) => {
                let found = format!("{id}: the list gives no {{{name}}}");
                return self.report(
                    "match",
                    Outcome::Failed,
                    found,
                    "see `match_topics`: which attributes it names",
                );
            }
        };
        let slot = match self.trees.add_match(&topics, listing) {
            Ok(slot) => slot,
            Err(error) => {
                return self.report("match", Outcome::Failed, error.to_string(), "see `match_topics`");
            }
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
            return self.report("match", Outcome::Failed, self.missing(&named), advice);
        }
        let name = self.trees.name(slot).unwrap_or_default();
        let found = format!("{id} ({name}): loaded from {named}, {} bytes", self.seen.bytes);
        self.report("match", Outcome::Good, found, "");
        self.watch();
        let mut sections = Vec::new();
        self.trees.render_whole(slot, &mut self.markets, &mut sections);
        self.probed.sections =
            sections.into_iter().filter_map(|section| self.markets.keyed(section)).collect();
        self.probed.id = Some(id.clone());
    }

    fn watch(&mut self) {
        let before = self.seen.deltas;
        self.go_until(WATCH, |seen| seen.lost.is_some());
        let deltas = self.seen.deltas - before;
        let found = format!("{deltas} changes in {WATCH:?}, {} messages skipped", self.seen.skipped.len());
        match (&self.seen.lost, self.seen.skipped.first()) {
            (Some(loss), _) => {
                let found = format!("{found}; then the connection was lost: {}", loss.why);
                self.report("changes", Outcome::Failed, found, "the log of the server's side may say why");
            }
            (None, Some(first)) => {
                let advice = format!("the first one skipped: {first}");
                self.report("changes", Outcome::Odd, found, &advice);
            }
            (None, None) => self.report("changes", Outcome::Good, found, ""),
        }
    }

    fn missing(&self, topic: &str) -> String {
        format!("{topic}: no load within {LOAD_DEADLINE:?}")
    }

    /// Whether the connection is lost; if so, that is reported. A server may refuse a session that it had accepted.
    fn is_over(&mut self, step: &'static str) -> bool {
        let Some(loss) = self.seen.lost.clone() else { return false };
        if loss.cause == Cause::Login {
            self.report("session", Outcome::Failed, loss.why, REFUSED);
        } else {
            let found = format!("the connection was lost: {}", loss.why);
            self.report(step, Outcome::Failed, found, "the log of the server's side may say why");
        }
        true
    }

    fn subscribe(&mut self, topic: &str) {
        if let Err(error) = self.source.follow(topic) {
            self.seen.skipped.push(error.to_string());
        }
    }

    fn report(&mut self, step: &'static str, outcome: Outcome, found: String, advice: &str) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.step_began);
        self.step_began = now;
        if outcome == Outcome::Failed || self.worst == Outcome::Good {
            self.worst = outcome;
        }
        (self.report)(Finding { step, outcome, took, found, advice: advice.to_owned() });
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

    fn go_on(&mut self, longest: Duration) {
        let mut events = Events::with_capacity(8);
        let wait = if self.source.is_drained() { longest } else { Duration::ZERO };
        // An interrupted wait is a short one.
        let _ = self.poll.poll(&mut events, Some(wait));
        for event in events.iter().filter(|event| event.token() >= FIRST_SOURCE) {
            self.source.note(event.token(), Readiness::of(event));
        }
        let now = Instant::now();
        self.source.advance(self.poll.registry(), now);
        self.source.read(now);
        self.take(now);
        self.source.flush();
    }

    fn take(&mut self, now: Instant) {
        let received = self.clock.received(now);
        let Probe { source, trees, seen, feed, .. } = self;
        let mut permit_needed = false;
        while let Some(event) = source.next_event(now) {
            let skipped = match event {
                Event::Opened { client_id, session } => {
                    seen.opened = Some((client_id.escape_ascii().to_string(), session));
                    Ok(())
                }
                Event::Snapshot { topic, body } | Event::Delta { topic, body }
                    if topic == feed.diffusion.time_topic.as_bytes() =>
                {
                    seen.clock |= trees.server_time(body, received);
                    Ok(())
                }
                Event::Snapshot { topic, body } => {
                    seen.bytes += body.len();
                    seen.list_loaded |= topic == feed.diffusion.list_topic.as_bytes();
                    seen.loads.push(topic.to_vec());
                    trees.load(topic, body, received, &mut self.markets)
                }
                Event::Delta { topic, body } => {
                    seen.deltas += 1;
                    trees.delta(topic, body, received, &mut self.markets)
                }
                Event::PermitNeeded => {
                    permit_needed = true;
                    Ok(())
                }
                Event::Connected => {
                    seen.connected = true;
                    Ok(())
                }
                Event::ConnectFailed(loss) => {
                    seen.failed = Some(loss);
                    Ok(())
                }
                Event::Lost(loss) => {
                    seen.lost = Some(loss);
                    Ok(())
                }
                Event::Status { topic, status } => {
                    let (topic, status) = (topic.escape_ascii(), status.escape_ascii());
                    seen.skipped.push(format!("the server says '{status}' of '{topic}'"));
                    Ok(())
                }
                Event::Skipped(why) => {
                    seen.skipped.push(why);
                    Ok(())
                }
                Event::Up | Event::Removed { .. } | Event::QueueDepth(_) => Ok(()),
            };
            if let Err(error) = skipped {
                seen.skipped.push(error.to_string());
            }
        }
        if permit_needed {
            source.permit(now);
        }
        trees.settle(received, &mut self.markets);
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

fn topics<'f>(feed: &'f FeedConfig, id: &MatchId, listing: &Listing) -> Result<Vec<String>, &'f str> {
    let value = |name: &str| {
        let given = listing.attributes.iter().find(|(known, _)| known == name);
        let value = given.map(|(_, value)| value.as_str()).or_else(|| (name == "ID").then_some(id.as_str()));
        value.map(Cow::Borrowed)
    };
    feed.diffusion.match_topics.iter().map(|template| template.fill(value)).collect()
}
