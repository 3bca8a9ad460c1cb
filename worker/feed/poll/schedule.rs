//! What is asked when, and what of the answers is new. Pure: topics, answers and the time in, requests and news out.
//!
//! Invariants: a topic has one request at a time, so no answer is older than one that was applied; a failure delays that topic alone,
//! and where the server says so its source; nothing is given twice that did not change. How many requests are in flight, and to which
//! host, is `net::http`'s to decide: who is slow gives its place to another. What an answer does is in `answers`,
//! how all of it fares in `states`, what is not asked because a socket pushes it in `pushed`.

mod answers;
mod pushed;
mod states;

use super::allowance::Allowance;
use super::ask::{Again, Ask, AskId, AskTable, Given, State};
use super::backoff::Kind;
use super::chain::{ChainKey, Chains};
use super::lists::Lists;
use super::plan::{Plan, SourceIndex, SourcePlan};
use super::round::Round;
use super::verdict::{Validators, Verdict, judge};
use crate::feed::{FollowError, TOPIC_MAX};
use crate::net::http::{Answer, HttpError, Urgency};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::{LIST_TOPIC, Play, Role};
use touchline_common::model::RoundEnd;

/// A request, of one schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u64);

/// A request that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub number: Number,
    pub source: SourceIndex,
    pub url: String,
    pub validators: Validators,
    pub urgency: Urgency,
}

/// What is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Snapshot {
        topic: String,
        body: Vec<u8>,
    },
    /// The whole body again, which is another one than before.
    Delta {
        topic: String,
        body: Vec<u8>,
    },
    Unchanged {
        topic: String,
    },
    Removed {
        topic: String,
    },
    /// A document was asked for once, whatever came of it.
    Round {
        topic: String,
        round: RoundEnd,
    },
    /// A topic's source fails, or answers again.
    Health(String),
}

#[derive(Debug)]
pub struct Schedule {
    plan: Arc<Plan>,
    table: AskTable,
    allowance: Allowance,
    /// What is followed.
    topics: HashMap<String, Vec<AskId>>,
    /// Topics of matches in play, followed or not; at most `topics_max`.
    in_play: HashSet<String>,
    chains: Chains,
    /// Sources that are not asked before a time, as their servers said.
    holds: HashMap<SourceIndex, Instant>,
    lists: Lists,
    told: VecDeque<Told>,
    /// Requests that nobody waits for any more.
    given_up: Vec<Number>,
    /// How many topics of documents and matches were followed so far.
    followed: u32,
    numbers: u64,
    random: u64,
    errors: u64,
}

impl Schedule {
    /// Nothing is followed yet. `random` is any number: waits after failures are made from it.
    pub fn new(plan: Arc<Plan>, random: u64) -> Schedule {
        let lists = sources_of(&plan, Role::List).map(|(at, source)| (at, source.name.clone()));
        Schedule {
            lists: Lists::new(lists),
            allowance: Allowance::new(plan.batch),
            plan,
            table: AskTable::default(),
            topics: HashMap::new(),
            in_play: HashSet::new(),
            chains: Chains::default(),
            holds: HashMap::new(),
            told: VecDeque::new(),
            given_up: Vec::new(),
            followed: 0,
            numbers: 0,
            random,
            errors: 0,
        }
    }

    /// Asks for a topic from now on; again, if it is followed: its next answer is given as a snapshot.
    ///
    /// # Errors
    /// [`FollowError`]: no source has this topic, or there are too many.
    pub fn follow(&mut self, topic: &str, now: Instant) -> Result<(), FollowError> {
        if let Some(asks) = self.topics.get(topic).cloned() {
            self.refresh(topic, &asks, now);
            return Ok(());
        }
        let plan = Arc::clone(&self.plan);
        let sources = sources_for(&plan, topic);
        if sources.is_empty() || topic.len() > TOPIC_MAX {
            return Err(FollowError::Name { topic: topic.as_bytes().to_vec() });
        }
        if self.topics.len() >= plan.topics_max {
            return Err(FollowError::Full { limit: plan.topics_max });
        }
        for (at, _) in sources_of(&plan, Role::Step) {
            if self.table.find(at, "").is_none() {
                self.add(at, "", "", now);
            }
        }
        let asks = sources.into_iter().map(|(at, id)| self.add(at, id, topic, now)).collect();
        self.topics.insert(topic.to_owned(), asks);
        Ok(())
    }

    /// Gives a topic up.
    pub fn unfollow(&mut self, topic: &str) {
        self.in_play.remove(topic);
        let Some(asks) = self.topics.remove(topic) else { return };
        for ask in asks {
            self.drop_ask(ask);
        }
        if topic == LIST_TOPIC {
            self.lists.clear();
        }
        if self.topics.is_empty() {
            // What is left only served others.
            for ask in self.table.ids() {
                self.drop_ask(ask);
            }
        }
    }

    /// Whether the match of `topic` is in play, which says how often it is asked for. The topic need not be followed yet.
    pub fn set_play(&mut self, topic: &str, play: Play, now: Instant) {
        match play {
            Play::InPlay if self.in_play.len() < self.plan.topics_max => {
                self.in_play.insert(topic.to_owned());
            }
            Play::InPlay => {}
            Play::Scheduled => {
                self.in_play.remove(topic);
            }
        }
        for id in self.topics.get(topic).cloned().unwrap_or_default() {
            self.play(id, play);
            // What was to wait as long as a scheduled one does not.
            let every = |ask: &Ask| Some(ask.since + self.plan.sources.get(ask.source.0)?.every(play));
            if let Some(ask) = self.table.get(id)
                && let (State::Waiting(at), Some(due)) = (ask.state, every(ask))
                && !ask.health.is_failing()
                && due < at
            {
                self.table.go(id, State::Waiting(due.max(now)));
            }
        }
    }

    /// What the list says of the match of `topic` is not what it was: it is asked for at once.
    pub fn changed(&mut self, topic: &str, now: Instant) {
        // Who follows the list has seen it there.
        if !self.is_followed(LIST_TOPIC) {
            for ask in self.topics.get(topic).cloned().unwrap_or_default() {
                self.hasten(ask, now);
            }
        }
    }

    /// The next request that is due. It is running until [`Schedule::answered`] or [`Schedule::failed`].
    pub fn next_request(&mut self, now: Instant) -> Option<Wanted> {
        if self.allowance.is_spent() {
            return None;
        }
        self.table.wake(now);
        while let Some(id) = self.table.next_ready() {
            if let Some(wanted) = self.begin(id, now) {
                self.allowance.spend();
                return Some(wanted);
            }
        }
        None
    }

    /// Whether a permit for more requests is to be asked for now: something is due, and none is left.
    pub fn needs_permit(&mut self, now: Instant) -> bool {
        self.table.has_due(now) && self.allowance.ask(now)
    }

    /// So many redirects were followed: each is one request more.
    pub fn redirected(&mut self, count: u32) {
        self.allowance.spend_more(count);
    }

    /// The permit is there.
    pub fn permit(&mut self) {
        self.allowance.permit();
    }

    /// The answer to a request; of one that nobody waits for any more nothing comes.
    pub fn answered(&mut self, number: Number, answer: Answer, now: Instant) {
        let Some(id) = self.table.asked_as(number) else { return };
        match judge(&answer) {
            Verdict::Body => self.take_body(id, answer, now),
            Verdict::Unchanged => self.take_unchanged(id, now),
            Verdict::Gone => self.take_gone(id, answer.status, now),
            Verdict::Busy { why, after } => {
                if let Some(ask) = self.table.get(id) {
                    self.holds.insert(ask.source, now + after);
                }
                self.fail(id, &why, Kind::Failed, after, now);
            }
            Verdict::Failed { why, kind } => self.fail(id, &why, kind, Duration::ZERO, now),
        }
    }

    /// A request has no answer.
    pub fn failed(&mut self, number: Number, why: &HttpError, now: Instant) {
        if let Some(id) = self.table.asked_as(number) {
            self.fail(id, &why.to_string(), Kind::Failed, Duration::ZERO, now);
        }
    }

    /// When the next request is due, or the permit for it is to be asked for again.
    pub fn deadline(&self) -> Option<Instant> {
        self.allowance.asks_again().or_else(|| self.table.deadline())
    }

    pub fn next_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    pub fn has_told(&self) -> bool {
        !self.told.is_empty()
    }

    /// Requests that are to be cancelled.
    pub fn take_given_up(&mut self) -> Vec<Number> {
        std::mem::take(&mut self.given_up)
    }

    pub fn is_followed(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// Topics that are followed.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// Whether a snapshot of the topic was given, and none since was taken back.
    pub fn is_loaded(&self, topic: &str) -> bool {
        if topic == LIST_TOPIC {
            return self.is_followed(topic) && self.lists.is_given();
        }
        let mut asks = self.topics.get(topic).into_iter().flatten().filter_map(|id| self.table.get(*id));
        asks.any(|ask| ask.held.given == Given::Yes)
    }

    /// Nothing could be made of the snapshot of a topic: its next answer is a snapshot again. A list is always given whole.
    pub fn unusable(&mut self, topic: &str) {
        if topic == LIST_TOPIC {
            return;
        }
        for id in self.topics.get(topic).cloned().unwrap_or_default() {
            if let Some(ask) = self.table.get_mut(id) {
                ask.held.forget_given();
            }
        }
    }

    /// Requests that failed, and answers that were of no use.
    pub fn errors(&self) -> u64 {
        self.errors
    }

    fn add(&mut self, source: SourceIndex, id: &str, topic: &str, now: Instant) -> AskId {
        let chain = ChainKey::of(&self.plan.sources, source, id);
        let due = now + self.first_wait(source);
        let ask = self.table.insert(Ask::new(source, id.to_owned(), topic.to_owned(), chain, due));
        self.play(ask, if self.in_play.contains(topic) { Play::InPlay } else { Play::Scheduled });
        ask
    }

    fn play(&mut self, id: AskId, play: Play) {
        let Some(ask) = self.table.get_mut(id) else { return };
        if let Some(source) = self.plan.sources.get(ask.source.0) {
            ask.play = play;
            ask.urgency = source.urgency(play);
        }
    }

    /// The list, and what others need, are asked for at once; the first requests of all else are spread.
    fn first_wait(&mut self, source: SourceIndex) -> Duration {
        match self.plan.sources.get(source.0) {
            Some(SourcePlan { role: Role::PerMatch | Role::Document, spread, .. }) => {
                // Multiples of the golden ratio: however many there are, they lie evenly.
                let part = (f64::from(self.followed) * 0.618_033_988_749_895).fract();
                self.followed = self.followed.wrapping_add(1);
                spread.mul_f64(part)
            }
            Some(SourcePlan { role: Role::List | Role::Step, .. }) | None => Duration::ZERO,
        }
    }

    fn refresh(&mut self, topic: &str, asks: &[AskId], now: Instant) {
        if topic == LIST_TOPIC {
            self.lists.refresh();
        }
        for id in asks {
            if let Some(ask) = self.table.get_mut(*id) {
                ask.held.forget_given();
            }
            self.ask_again(*id, now);
            self.hasten(*id, now);
        }
    }

    fn drop_ask(&mut self, id: AskId) {
        let Some(ask) = self.table.remove(id) else { return };
        if let State::Running(number) = ask.state {
            self.given_up.push(number);
        }
        self.release(ask.chain.as_ref(), id);
    }

    /// Asked for at once, unless it fails: then its wait stands.
    fn hasten(&mut self, id: AskId, now: Instant) {
        let Some(ask) = self.table.get_mut(id) else { return };
        match ask.state {
            State::Waiting(at) if !ask.health.is_failing() && at > now => {
                self.table.go(id, State::Waiting(now));
            }
            State::Running(_) => ask.again = Again::AtOnce,
            State::Waiting(_) | State::Due | State::Blocked | State::Pushed => {}
        }
    }

    /// Its turn has come; none if it has to wait all the same.
    fn begin(&mut self, id: AskId, now: Instant) -> Option<Wanted> {
        let plan = Arc::clone(&self.plan);
        let ask = self.table.get(id)?;
        let source = plan.sources.get(ask.source.0)?;
        if let Some(until) = self.holds.get(&ask.source).copied().filter(|until| *until > now) {
            self.table.go(id, State::Waiting(until));
            return None;
        }
        if let Some(other) = self.blocker(id, ask, source) {
            self.chains.block(id, other);
            self.table.go(id, State::Blocked);
            return None;
        }
        let is_first = ask.round == Round::default();
        let base = self.base_url(ask, source);
        if let Some(ask) = self.table.get_mut(id).filter(|_| is_first) {
            ask.since = now;
        }
        let base = match base {
            Ok(base) => base,
            Err(why) => {
                self.fail(id, &why, Kind::Failed, Duration::ZERO, now);
                return None;
            }
        };
        self.numbers += 1;
        let number = Number(self.numbers);
        let ask = self.table.get(id)?;
        let url = ask.round.url(base, source.page.as_ref());
        let validators = ask.held.validators.clone();
        let wanted = Wanted { number, source: ask.source, url, validators, urgency: ask.urgency };
        if let Some(chain) = &ask.chain {
            self.chains.enter(chain, id);
        }
        self.table.go(id, State::Running(number));
        Some(wanted)
    }

    /// Who must be answered before.
    fn blocker(&self, id: AskId, ask: &Ask, source: &SourcePlan) -> Option<AskId> {
        let running =
            ask.chain.as_ref().and_then(|chain| self.chains.running(chain)).filter(|other| *other != id);
        let unanswered = || {
            let before = self.before(ask, source)?;
            self.table.get(before).is_some_and(|before| before.held.values.is_none()).then_some(before)
        };
        running.or_else(unanswered)
    }

    /// The ask from whose answer the url of `ask` is filled.
    fn before(&self, ask: &Ask, source: &SourcePlan) -> Option<AskId> {
        let before = source.after?;
        self.table.find(before, &ask.id).or_else(|| self.table.find(before, ""))
    }

    fn base_url(&self, ask: &Ask, source: &SourcePlan) -> Result<String, String> {
        let before = self.before(ask, source).and_then(|id| self.table.get(id));
        let needed = source.after.and_then(|at| self.plan.sources.get(at.0)).map(|before| &before.needed);
        let value = |pointer: &str| {
            let place = needed?.iter().position(|known| known == pointer)?;
            let value = before?.held.values.as_ref()?.get(place)?.as_ref()?;
            Some(Cow::Borrowed(value.as_str()))
        };
        source.url.fill(&ask.id, |_, pointer| value(pointer)).map_err(|(name, pointer)| {
            format!("`{{{name}:{pointer}}}` has no value in the newest answer of {name}")
        })
    }

    /// Nothing of it is under way until `due`.
    fn rest(&mut self, id: AskId, due: Instant) {
        let chain = self.table.get(id).and_then(|ask| ask.chain.clone());
        self.table.go(id, State::Waiting(due));
        self.release(chain.as_ref(), id);
    }

    fn release(&mut self, chain: Option<&ChainKey>, id: AskId) {
        for blocked in self.chains.leave(chain, id) {
            if self.table.get(blocked).is_some_and(|ask| ask.state == State::Blocked) {
                self.table.go(blocked, State::Due);
            }
        }
    }

    /// The next of a sequence (SplitMix64).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn sources_of(plan: &Plan, role: Role) -> impl Iterator<Item = (SourceIndex, &SourcePlan)> {
    let numbered = plan.sources.iter().enumerate().map(|(at, source)| (SourceIndex(at), source));
    numbered.filter(move |(_, source)| source.role == role)
}

/// The sources that a topic is asked of, each with the id of the match.
fn sources_for<'t>(plan: &Plan, topic: &'t str) -> Vec<(SourceIndex, &'t str)> {
    if topic == LIST_TOPIC {
        return sources_of(plan, Role::List).map(|(at, _)| (at, "")).collect();
    }
    let find = |name: &str, role: Role| {
        let at = plan.places.get(name).copied()?;
        plan.sources.get(at.0).is_some_and(|source| source.role == role).then_some(at)
    };
    if let Some(at) = find(topic, Role::Document) {
        return vec![(at, "")];
    }
    let Some((name, id)) = topic.split_once('/').filter(|(_, id)| !id.is_empty()) else { return Vec::new() };
    find(name, Role::PerMatch).map(|at| (at, id)).into_iter().collect()
}
