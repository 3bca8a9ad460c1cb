//! `touchline probe`: one connection, step by step (of a polled feed, in `poll`, request by request), with what each step found and what to change where it failed.
//!
//! It uses the worker's own settings, connection, session and trees, so that what it finds is what a worker would find. It subscribes to the
//! clock, the list and one match, watches for a little while, and leaves. Nothing is stored. Called by the program's `probe`.

mod messages;
mod poll;

use self::messages::{Made, Taken};
use super::clock::Clock;
use super::error::ScanError;
use super::setup::trees;
use crate::feed::{Cause, ConnectionEvent, Event, Loss, Plan, Source};
use crate::net::Readiness;
use crate::payload::{MatchSlot, Names, Received, Sink, Trees};
use mio::{Events, Poll, Token, Waker};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::{Config, FeedConfig, FeedKind, Follows};
use touchline_common::control::views::counted;
use touchline_common::ipc::messages::data::{MatchBase, Section, SectionKey};
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Handle, Listing, MarketValue, MatchId, OddsChange, SelectionValue};

const WAKE: Token = Token(0);
const FIRST_SOURCE: Token = Token(1);
const LOAD_DEADLINE: Duration = Duration::from_secs(10);
const WATCH: Duration = Duration::from_secs(3);
/// What to look at when the server refuses the login, or the session after it.
const REFUSED: &str = "the server refused the login: check `username`, `password_env` or `password_file`, `login_topics` and `headers`";

const LOST: &str = "the server's own log may have the reason";

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

/// Tries a feed; each step is reported as it is done. Whether all of them went well, and what was found. Of a push server so many of the
/// first `messages` are reported with what the configuration made of them.
///
/// # Errors
/// [`ScanError`]: nothing was tried.
pub fn probe(
    config: &Config,
    feed: &FeedConfig,
    messages: usize,
    report: &mut dyn FnMut(Finding),
) -> Result<(Outcome, Probed), ScanError> {
    if feed.kind == FeedKind::Poll {
        return poll::probe(config, feed, report);
    }
    let trees = trees(config, feed)?;
    let plan = Plan::new(config, feed).map_err(ScanError::config)?;
    let poll = Poll::new().map_err(ScanError::system("making the loop"))?;
    let waker = Waker::new(poll.registry(), WAKE).map_err(ScanError::system("making the loop"))?;
    let now = Instant::now();
    let source = Source::new(plan, FIRST_SOURCE, Arc::new(waker), now);
    let mut probe = Probe {
        feed,
        follows: feed.follows(),
        poll,
        source,
        trees,
        markets: MarketKeys::default(),
        seen: Seen::default(),
        made: Made::new(feed, config.limits.nodes as usize, messages),
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
    follows: Follows,
    poll: Poll,
    source: Source,
    trees: Trees,
    markets: MarketKeys,
    seen: Seen,
    made: Made,
    clock: Clock,
    step_began: Instant,
    worst: Outcome,
    probed: Probed,
    report: &'a mut dyn FnMut(Finding),
}

#[derive(Default)]
struct Seen {
    connected: bool,
    /// The client id of the session, once it is open.
    opened: Option<String>,
    /// The connection is lost, or there never was one.
    lost: Option<Loss>,
    /// Why the match alone is not followed.
    interrupted: Option<String>,
    clock: bool,
    bytes: usize,
    deltas: u64,
    skipped: Vec<String>,
    listed: Vec<(MatchId, Listing)>,
    list_loaded: bool,
}

impl Seen {
    fn note_skipped<T, E: ToString>(&mut self, outcome: Result<T, E>) {
        self.skipped.extend(outcome.err().map(|error| error.to_string()));
    }
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

/// Why the rest cannot be tried.
struct Failure {
    step: &'static str,
    found: String,
    advice: &'static str,
}

impl Probe<'_> {
    fn run(&mut self) {
        if let Err(Failure { step, found, advice }) = self.take_steps() {
            self.report_messages();
            self.report(step, Outcome::Failed, found, advice);
        }
        self.source.close();
    }

    fn take_steps(&mut self) -> Result<(), Failure> {
        match self.feed.kind {
            FeedKind::Diffusion | FeedKind::Poll | FeedKind::Push => {
                self.connect()?;
                self.log_in()?;
            }
            // Each room has a connection of its own, which its step tries.
            FeedKind::Rooms => {}
        }
        self.take_clock()?;
        let chosen = if self.follows.list_topic.is_empty() {
            Some(self.configured_match()?)
        } else {
            self.take_list()?
        };
        chosen.map_or(Ok(()), |(id, listing)| self.take_match(&id, listing))
    }

    fn connect(&mut self) -> Result<(), Failure> {
        let deadline = Duration::from_secs(15);
        self.go_until(deadline, |seen| seen.connected || seen.lost.is_some());
        if self.seen.connected {
            self.report("connect", Outcome::Good, format!("{}: a socket", self.feed.url), "");
            return Ok(());
        }
        let found = match &self.seen.lost {
            Some(Loss { server, why, .. }) => format!("{server}: {why}"),
            None => format!("nothing within {deadline:?}"),
        };
        let advice = "check host and port in `url`, that the name resolves here, and that no firewall blocks the connection";
        Err(Failure { step: "connect", found, advice })
    }

    fn log_in(&mut self) -> Result<(), Failure> {
        self.go_until(Duration::from_secs(15), |seen| seen.opened.is_some() || seen.lost.is_some());
        if let Some(id) = &self.seen.opened {
            let found = match self.feed.username.as_str() {
                "" => format!("without a login, client id {id}"),
                name => format!("as {name}, client id {id}"),
            };
            self.report("session", Outcome::Good, found, "");
            return Ok(());
        }
        let loss = self.seen.lost.as_ref();
        let found = loss.map_or_else(|| "no answer".to_owned(), |loss| loss.why.clone());
        let advice = match loss.map(|loss| loss.cause) {
            Some(Cause::Login) => REFUSED,
            Some(Cause::Tls) => {
                "check `ca_file`, the host in `url`, and whether the server speaks TLS at this port"
            }
            Some(Cause::WebSocket) => {
                "see the path in `url`, `protocol` (v4 or zap), `headers`, and whether ws:// or wss:// is right"
            }
            Some(Cause::Connection) | None => {
                "check whether the scheme of `url` (dpt, dpts, ws, wss) and `protocol` (v4, zap) are those of the server"
            }
        };
        Err(Failure { step: "session", found, advice })
    }

    fn take_clock(&mut self) -> Result<(), Failure> {
        let topic = self.follows.time_topic.clone();
        if topic.is_empty() {
            return Ok(());
        }
        self.subscribe(&topic);
        self.go_until(LOAD_DEADLINE, |seen| seen.clock || seen.lost.is_some());
        self.check_connected("clock")?;
        if self.seen.clock {
            self.report("clock", Outcome::Good, format!("{topic}: the server sends its time"), "");
        } else {
            let advice = "check `time_topic`; leave it empty if the server has none";
            self.report("clock", Outcome::Odd, format!("{topic}: no time within {LOAD_DEADLINE:?}"), advice);
        }
        Ok(())
    }

    /// A match of the list, if there is any.
    fn take_list(&mut self) -> Result<Option<(MatchId, Listing)>, Failure> {
        let step = "list";
        let Follows { list_topic: topic, match_id, match_topics, .. } = self.follows.clone();
        let added = self.trees.add_list(&topic, match_id, &match_topics);
        added.map_err(|error| Failure {
            step,
            found: error.to_string(),
            advice: "check `payload` and `list_topic`",
        })?;
        self.subscribe(&topic);
        self.go_until(LOAD_DEADLINE, |seen| seen.list_loaded || seen.lost.is_some());
        if !self.seen.list_loaded {
            self.check_connected(step)?;
            let advice = "check `list_topic`: its name on this server, its language and zone";
            return Err(Failure { step, found: missing(&topic), advice });
        }
        let listed = &self.seen.listed;
        let playing = listed.iter().filter(|(_, listing)| listing.in_play).count();
        let matches = counted(listed.len(), "match", "matches");
        let found = format!("{topic}: {matches}, {playing} in play, {} bytes", self.seen.bytes);
        let chosen = listed.iter().find(|(_, listing)| listing.in_play).or_else(|| listed.first()).cloned();
        let (outcome, advice) = match &chosen {
            Some(_) => (Outcome::Good, ""),
            None => {
                (Outcome::Odd, "the list is empty: check `match_id`, or try again when there are matches")
            }
        };
        self.report(step, outcome, found, advice);
        Ok(chosen)
    }

    fn configured_match(&mut self) -> Result<(MatchId, Listing), Failure> {
        let id = first_named(self.feed).ok_or_else(|| Failure {
            step: "list",
            found: "no list and no matches".to_owned(),
            advice: "set `list_topic`, `matches` or `matches_file`",
        })?;
        let found = format!("no list; the first match of the configuration is {id}");
        self.report("list", Outcome::Good, found, "");
        Ok((id.as_str().into(), Listing::default()))
    }

    fn take_match(&mut self, id: &MatchId, listing: Listing) -> Result<(), Failure> {
        let step = "match";
        let topics = topics(&self.follows, id, &listing).map_err(|name| Failure {
            step,
            found: format!("{id}: the list gives no {{{name}}}"),
            advice: "check which attributes `match_topics` names",
        })?;
        let slot = self.trees.add_match(&topics, listing).map_err(|error| Failure {
            step,
            found: error.to_string(),
            advice: "check `match_topics`",
        })?;
        self.seen.bytes = 0;
        for topic in &topics {
            self.subscribe(topic);
        }
        let deadline = Instant::now() + LOAD_DEADLINE;
        while !self.trees.is_live(slot) && self.seen.lost.is_none() && Instant::now() < deadline {
            self.go_on(Duration::from_millis(50));
        }
        let named = topics.join(", ");
        if !self.trees.is_live(slot) {
            self.check_connected(step)?;
            return Err(self.not_loaded(&named));
        }
        let name = self.trees.name(slot).unwrap_or_default();
        let found = format!("{id} ({name}): loaded from {named}, {} bytes", self.seen.bytes);
        self.report(step, Outcome::Good, found, "");
        self.watch();
        self.report_messages();
        let mut sections = Vec::new();
        self.trees.render_whole(slot, &mut self.markets, &mut sections);
        self.probed.sections =
            sections.into_iter().filter_map(|section| self.markets.keyed(section)).collect();
        self.probed.id = Some(id.clone());
        Ok(())
    }

    fn not_loaded(&mut self, topics: &str) -> Failure {
        let step = "match";
        let advice = match self.feed.kind {
            FeedKind::Rooms => "check `url`, the room's id, and what `auth_file` has",
            FeedKind::Push => {
                "check `subscribe`, and what messages mean: `items`, `topic`, `snapshot`, `delta`"
            }
            FeedKind::Diffusion | FeedKind::Poll => {
                "check `match_topics` (this match may also have no page of its own: try again), and `payload`"
            }
        };
        let mut found = match self.seen.interrupted.take() {
            Some(why) => format!("{}: {why}", missing(topics)),
            None => missing(topics),
        };
        if self.feed.kind == FeedKind::Push && self.made.is_empty() {
            found.push_str("; nothing came but answers and what is `ignored`");
        }
        Failure { step, found, advice }
    }

    fn report_messages(&mut self) {
        if self.feed.kind != FeedKind::Push {
            return;
        }
        for told in self.made.tell() {
            self.report("message", told.outcome, told.found, &told.advice);
        }
    }

    fn watch(&mut self) {
        let before = self.seen.deltas;
        self.go_until(WATCH, |seen| seen.lost.is_some());
        let deltas = self.seen.deltas - before;
        let found = format!(
            "{} in {WATCH:?}, {} skipped",
            counted(deltas, "change", "changes"),
            counted(self.seen.skipped.len(), "message", "messages")
        );
        match (&self.seen.lost, self.seen.skipped.first()) {
            (Some(loss), _) => {
                let found = format!("{found}; then the connection was lost: {}", loss.why);
                self.report("changes", Outcome::Failed, found, LOST);
            }
            (None, Some(first)) => {
                let advice = format!("the first one skipped: {first}");
                self.report("changes", Outcome::Odd, found, &advice);
            }
            (None, None) => self.report("changes", Outcome::Good, found, ""),
        }
    }

    /// A server may refuse a session that it had accepted.
    fn check_connected(&self, step: &'static str) -> Result<(), Failure> {
        match &self.seen.lost {
            None => Ok(()),
            Some(Loss { cause: Cause::Login, why, .. }) => {
                Err(Failure { step: "session", found: why.clone(), advice: REFUSED })
            }
            Some(Loss { why, .. }) => {
                Err(Failure { step, found: format!("the connection was lost: {why}"), advice: LOST })
            }
        }
    }

    fn subscribe(&mut self, topic: &str) {
        self.seen.note_skipped(self.source.follow(topic));
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
        let Probe { source, trees, seen, made, follows, .. } = self;
        let mut permit_needed = false;
        while let Some(event) = source.next_event(now) {
            let taken = made.is_wanting().then(|| Taken::of(&event, &follows.list_topic)).flatten();
            match event {
                Event::Connection(ConnectionEvent::PermitNeeded) => permit_needed = true,
                Event::Connection(ConnectionEvent::Connected) => seen.connected = true,
                Event::Connection(ConnectionEvent::Opened { client_id, .. }) => {
                    seen.opened = Some(client_id.escape_ascii().to_string());
                }
                Event::Connection(ConnectionEvent::ConnectFailed(loss) | ConnectionEvent::Lost(loss)) => {
                    seen.lost = Some(loss);
                }
                Event::Snapshot { topic, body } | Event::Delta { topic, body }
                    if topic == follows.time_topic.as_bytes() =>
                {
                    seen.clock |= trees.server_time(body, received);
                }
                Event::Snapshot { topic, body } => {
                    seen.bytes += body.len();
                    seen.list_loaded |= topic == follows.list_topic.as_bytes();
                    seen.note_skipped(trees.load(topic, body, received, &mut self.markets));
                }
                Event::Delta { topic, body } => {
                    seen.deltas += 1;
                    seen.note_skipped(trees.delta(topic, body, received, &mut self.markets));
                }
                Event::Status { topic, status } => {
                    let (topic, status) = (topic.escape_ascii(), status.escape_ascii());
                    seen.skipped.push(format!("the server reports '{status}' for '{topic}'"));
                }
                Event::Interrupted { why, .. } | Event::Refused { why, .. } => seen.interrupted = Some(why),
                Event::Skipped(why) => seen.skipped.push(why),
                Event::Connection(ConnectionEvent::Up)
                | Event::Unchanged { .. }
                | Event::RoundEnd { .. }
                | Event::Removed { .. }
                | Event::QueueDepth(_) => {}
            }
            if let Some(taken) = taken {
                made.add(taken, source.message());
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

/// The first match that the configuration or its file names.
fn first_named(feed: &FeedConfig) -> Option<String> {
    let configured = feed.named_matches();
    configured.ids.first().cloned().or_else(|| {
        let file = (!configured.file.is_empty()).then_some(configured.file)?;
        let text = std::fs::read_to_string(file).ok()?;
        text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned)
    })
}

fn missing(topic: &str) -> String {
    format!("{topic}: no load within {LOAD_DEADLINE:?}")
}

fn topics<'f>(follows: &'f Follows, id: &MatchId, listing: &Listing) -> Result<Vec<String>, &'f str> {
    let value = |name: &str| {
        let given = listing.attributes.iter().find(|(known, _)| known == name);
        let value = given.map(|(_, value)| value.as_str()).or_else(|| (name == "ID").then_some(id.as_str()));
        value.map(Cow::Borrowed)
    };
    follows.match_topics.iter().map(|template| template.fill(value)).collect()
}
