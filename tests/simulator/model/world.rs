//! All matches of a server: which there are, which are followed, which come and go, and what the list says.
//!
//! Only matches whose load was once requested change; what happens before that is not recorded.

use super::branch;
use super::change::{Change, Channel};
use super::document::document;
use super::encode;
use super::history::History;
use super::ledger::{Ledger, What};
use super::make::{Plan, make};
use super::names::competitions;
use super::node::{Node, SUFFIX};
use super::odds::OddsChange;
use super::pen::Pen;
use super::play;
use super::random::Random;
use super::script::{Acts, act};
use super::state::{Market, Match, Sport, Stage};
use super::step::{found, step};
use super::text::Text;
use super::time::Moment;
use crate::options::Payload;
use crate::replay::Recording;
use serde_json::Value;
use slab::Slab;
use std::collections::{HashMap, VecDeque};

/// The sports of matches, in turn.
const SPORTS: [Sport; 8] = [
    Sport::Soccer,
    Sport::Tennis,
    Sport::Soccer,
    Sport::Basketball,
    Sport::Soccer,
    Sport::Cricket,
    Sport::Tennis,
    Sport::TableTennis,
];
/// How long a match is still there after its final whistle, in microseconds.
const LINGER: i64 = 2_000_000;
/// Matches remembered after their end; the oldest are then forgotten.
const GONE: usize = 10_000;

/// What a world is made from.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) matches: usize,
    /// Median bytes of a load.
    pub(crate) bytes: usize,
    pub(crate) sparse: bool,
    pub(crate) payload: Payload,
    pub(crate) speed: f64,
    /// Matches that end a minute.
    pub(crate) churn: f64,
    pub(crate) history: usize,
    pub(crate) changes: usize,
    pub(crate) list_topic: String,
}

/// What is remembered of a match that is over and gone.
#[derive(Clone, Debug)]
pub(crate) struct Gone {
    pub(crate) sport: Sport,
    pub(crate) history: History,
    pub(crate) ledger: Ledger,
    pub(crate) ident: super::state::Ident,
}

/// All matches.
pub(crate) struct World {
    setup: Setup,
    random: Random,
    pub(crate) matches: Slab<Match>,
    by_id: HashMap<String, usize>,
    followed: Vec<usize>,
    next_number: u32,
    next_churn: i64,
    ending: VecDeque<(i64, usize)>,
    replays: Vec<Replay>,
    pub(crate) gone: HashMap<String, Gone>,
    gone_order: VecDeque<String>,
}

/// A recorded match on its way. It begins with the first load, changes by its script alone and stays in the list.
struct Replay {
    slot: usize,
    acts: Acts,
    speed: f64,
    begun: Option<i64>,
}

/// A match that came, went or was blown off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The messages are of this match.
    Changed(usize),
    /// This match is no more; its own topic, by name, is removed.
    Removed(usize, String),
}

impl World {
    /// The world at its beginning.
    pub(crate) fn new(setup: Setup, now: Moment) -> Self {
        let random = Random::new(setup.seed);
        let mut world = Self {
            random,
            matches: Slab::with_capacity(setup.matches),
            by_id: HashMap::with_capacity(setup.matches),
            followed: Vec::new(),
            next_number: 1,
            next_churn: 0,
            ending: VecDeque::new(),
            replays: Vec::new(),
            gone: HashMap::new(),
            gone_order: VecDeque::new(),
            setup,
        };
        for _ in 0..world.setup.matches {
            world.create(now);
        }
        world.next_churn = now.micros + world.churn_pause();
        world
    }

    fn create(&mut self, now: Moment) -> usize {
        let plan = self.plan();
        let mut m = make(plan, &mut self.random, now);
        match self.setup.payload {
            Payload::Inplay => {}
            Payload::TopicTree => branch::suit(&mut m),
        }
        self.adopt(m)
    }

    /// What the next match is made from.
    fn plan(&mut self) -> Plan {
        let number = self.next_number;
        self.next_number += 1;
        let sport = match self.setup.payload {
            Payload::Inplay => SPORTS.get((number as usize - 1) % SPORTS.len()).copied(),
            Payload::TopicTree => None,
        };
        let sport = sport.unwrap_or(Sport::Soccer);
        let spread = self.random.between(600, 1_400) as usize;
        let course = if self.random.in_thousand(200) { 0 } else { self.random.below(60) };
        let shares = self.setup.matches.max(1);
        Plan {
            number,
            sport,
            bytes: self.setup.bytes / 1_000 * spread,
            sparse: self.setup.sparse,
            history: self.setup.history / shares,
            changes: self.setup.changes / shares,
            course,
        }
    }

    /// Adds a match. Returns its place.
    pub(crate) fn adopt(&mut self, m: Match) -> usize {
        let id = m.ident.id.clone();
        let slot = self.matches.insert(m);
        self.by_id.insert(id, slot);
        slot
    }

    /// The place of the live match with that id.
    pub(crate) fn slot(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The live match with that id.
    pub(crate) fn find(&self, id: &str) -> Option<&Match> {
        self.matches.get(self.slot(id)?)
    }

    /// What is remembered of the match with that id, live or gone.
    pub(crate) fn remembered(&mut self, id: &str) -> Option<&mut History> {
        match self.by_id.get(id) {
            Some(slot) => self.matches.get_mut(*slot).map(|m| &mut m.history),
            None => self.gone.get_mut(id).map(|gone| &mut gone.history),
        }
    }

    /// A load of this match is about to be sent. From the first on it changes, and what happens is recorded.
    pub(crate) fn follow(&mut self, slot: usize, now: Moment) {
        let Some(m) = self.matches.get_mut(slot) else { return };
        if m.ledger.begun {
            return;
        }
        m.ledger.begun = true;
        m.play.last = now.micros;
        m.play.next = now.micros;
        let mut change = Change::default();
        let pen = Pen { now, change: &mut change };
        match self.setup.payload {
            Payload::Inplay => odds_found(m, now),
            Payload::TopicTree => {}
        }
        pen.happened(m, What::Listed);
        match m.head.stage {
            Stage::Playing(_) | Stage::After(_) => pen.happened(m, What::Started),
            Stage::NotStarted | Stage::Finished => {}
        }
        match self.replays.iter_mut().find(|replay| replay.slot == slot) {
            Some(replay) => replay.begun = Some(now.micros),
            None if self.followed.contains(&slot) => {}
            None => self.followed.push(slot),
        }
    }

    /// Deltas of this match are about to be sent, but no load: it changes, and nothing of that is recorded.
    pub(crate) fn stir(&mut self, slot: usize, now: Moment) {
        let is_replay = self.replays.iter().any(|replay| replay.slot == slot);
        if let Some(m) = self.matches.get_mut(slot)
            && !m.ledger.begun
            && !is_replay
            && !self.followed.contains(&slot)
        {
            m.play.last = now.micros;
            m.play.next = now.micros;
            self.followed.push(slot);
        }
    }

    /// How matches are published.
    pub(crate) fn payload(&self) -> Payload {
        self.setup.payload
    }

    /// The document that the live match with that id must become.
    pub(crate) fn document(&self, id: &str) -> Option<Value> {
        let m = self.find(id)?;
        Some(match self.setup.payload {
            Payload::Inplay => document(m),
            Payload::TopicTree => branch::document(m),
        })
    }

    /// Whether there is anything that `step` can change.
    pub(crate) fn is_followed(&self) -> bool {
        !self.followed.is_empty()
    }

    /// Changes some match that is or was followed. Returns which.
    pub(crate) fn step(&mut self, now: Moment, change: &mut Change) -> Option<usize> {
        let slot = *self.random.pick(&self.followed)?;
        let m = self.matches.get_mut(slot)?;
        match self.setup.payload {
            Payload::Inplay => step(m, &mut self.random, now, self.setup.speed, change),
            Payload::TopicTree => {
                branch::step(m, &mut self.random, &mut Pen { now, change }, self.setup.speed);
            }
        }
        Some(slot)
    }

    /// Lets matches end and others appear, when it is time. To be called until there is nothing more.
    pub(crate) fn turn(&mut self, now: Moment, change: &mut Change) -> Option<Turn> {
        if let Some((due, slot)) = self.ending.front().copied()
            && due <= now.micros
        {
            self.ending.pop_front();
            return self.remove(slot, now, change);
        }
        if let Some(slot) = self.replayed(now, change) {
            return Some(Turn::Changed(slot));
        }
        if self.setup.churn <= 0.0 || now.micros < self.next_churn {
            return None;
        }
        self.next_churn += self.churn_pause();
        let slot = self.candidate()?;
        let m = self.matches.get_mut(slot)?;
        play::finish(m, &mut Pen { now, change }, &[], Vec::new());
        match self.setup.payload {
            Payload::Inplay => {}
            Payload::TopicTree => branch::settle(m),
        }
        self.ending.push_back((now.micros + LINGER, slot));
        Some(Turn::Changed(slot))
    }

    /// Carries out an act of a recorded match whose time has come.
    fn replayed(&mut self, now: Moment, change: &mut Change) -> Option<usize> {
        for replay in &mut self.replays {
            let Some(begun) = replay.begun else { continue };
            let passed = ((now.micros - begun) as f64 * replay.speed / 1_000.0) as i64;
            if replay.acts.front().is_none_or(|(at, _)| *at > passed) {
                continue;
            }
            let (Some((_, next)), Some(m)) = (replay.acts.pop_front(), self.matches.get_mut(replay.slot))
            else {
                continue;
            };
            act(m, next, now, change);
            return Some(replay.slot);
        }
        None
    }

    /// Adds a recorded match, which begins once it is followed. Returns its place.
    pub(crate) fn replay(&mut self, recording: Recording, speed: f64, now: Moment) -> usize {
        let plan = Plan { sport: recording.sport, course: 0, bytes: 3_000, ..self.plan() };
        let mut m = make(plan, &mut self.random, now);
        let (home, away) = (Text::from(recording.home), Text::from(recording.away));
        let named =
            m.groups.iter_mut().flat_map(|group| &mut group.markets).flat_map(|market| &mut market.strips);
        for one in named.flat_map(|strip| &mut strip.selections) {
            if one.name == m.head.home {
                one.name = home.clone();
            } else if one.name == m.head.away {
                one.name = away.clone();
            }
        }
        (m.head.home, m.head.away) = (home, away);
        m.history = History::new(plan.history);
        m.redigest();
        super::pen::remember(&mut m);
        let slot = self.adopt(m);
        self.replays.push(Replay { slot, acts: recording.acts, speed, begun: None });
        slot
    }

    fn churn_pause(&self) -> i64 {
        if self.setup.churn <= 0.0 { i64::MAX / 4 } else { (60e6 / self.setup.churn) as i64 }
    }

    /// A finished match if there is one, else any.
    fn candidate(&mut self) -> Option<usize> {
        let replays = self.replays.iter().map(|replay| replay.slot);
        let ending: Vec<usize> = self.ending.iter().map(|(_, slot)| *slot).chain(replays).collect();
        let mut candidates: Vec<usize> = self
            .matches
            .iter()
            .filter(|(slot, m)| m.is_over() && !ending.contains(slot))
            .map(|(slot, _)| slot)
            .collect();
        if candidates.is_empty() {
            candidates =
                self.matches.iter().map(|(slot, _)| slot).filter(|slot| !ending.contains(slot)).collect();
        }
        self.random.pick(&candidates).copied()
    }

    /// Takes a match off the list and puts another there.
    fn remove(&mut self, slot: usize, now: Moment, change: &mut Change) -> Option<Turn> {
        let m = self.matches.try_remove(slot)?;
        let way = format!(
            "{}/{}/{}/{}",
            self.setup.list_topic,
            classification(m.sport),
            competition(m.sport, m.league),
            Node::ListedEvent.topic(&m.ident)
        );
        change.add(
            Channel::List,
            |out| out.extend_from_slice(way.as_bytes()),
            |out| out.extend_from_slice(b"D||"),
        );
        self.followed.retain(|one| *one != slot);
        self.by_id.remove(&m.ident.id);
        let topic = m.ident.topic.clone();
        self.gone_order.push_back(m.ident.id.clone());
        let gone = Gone { sport: m.sport, history: m.history, ledger: m.ledger, ident: m.ident };
        self.gone.insert(gone.ident.id.clone(), gone);
        if self.gone_order.len() > GONE
            && let Some(oldest) = self.gone_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
        let new = self.create(now);
        self.list_insert(new, now, change);
        Some(Turn::Removed(slot, topic))
    }

    /// The list's messages for a match that appears: the event, its market, its selections.
    fn list_insert(&self, slot: usize, now: Moment, change: &mut Change) {
        let Some(m) = self.matches.get(slot) else { return };
        let event = Node::ListedEvent.topic(&m.ident);
        let parent = competition(m.sport, m.league);
        let topic = |parent: &str, child: &str| format!("{parent}/{child}").into_bytes();
        let mut insert = |topic: Vec<u8>, write: &dyn Fn(&mut Vec<u8>)| {
            change.add(
                Channel::List,
                |out| out.extend_from_slice(&topic),
                |out| {
                    out.extend_from_slice(b"I|");
                    write(out);
                },
            );
        };
        insert(topic(&parent, &event), &|out| encode::listed_event(m, now.offset, None, out));
        for market in m.groups.iter().flat_map(|group| &group.markets).filter(|market| market.listed) {
            let id = Node::ListedMarket(market.number).topic(&m.ident);
            insert(topic(&event, &id), &|out| encode::listed_market(m, market, out));
            for (order, one) in market.strips.iter().flat_map(|strip| &strip.selections).enumerate() {
                let child = Node::ListedSelection(one.number).topic(&m.ident);
                insert(topic(&id, &child), &|out| encode::listed_selection(m, one, order, out));
            }
        }
    }

    /// Appends the list's load.
    pub(crate) fn list_load(&self, now: Moment, out: &mut Vec<u8>) {
        let mut places: HashMap<(&str, usize), Vec<&Match>> = HashMap::new();
        for (_, m) in &self.matches {
            places.entry((m.sport.id(), m.league)).or_default().push(m);
        }
        out.extend_from_slice(b"F|");
        for (order, sport) in Sport::ALL.into_iter().enumerate() {
            node(out, "CL", &classification(sport), sport.id(), sport.shown(), order);
            for (league, name) in competitions(sport).iter().enumerate() {
                node(out, "CT", &competition(sport, league), &league.to_string(), name, league);
                for (order, m) in places.get(&(sport.id(), league)).into_iter().flatten().enumerate() {
                    encode::listed(m, now.offset, Some(order), out);
                }
            }
        }
    }

    /// Appends the load of a match's own topic.
    pub(crate) fn match_load(&self, slot: usize, now: Moment, out: &mut Vec<u8>) {
        if let Some(m) = self.matches.get(slot) {
            encode::load(m, now.offset, out);
        }
    }
}

/// The markets and selections that a match has at its first load.
fn odds_found(m: &mut Match, now: Moment) {
    let at = now.seconds();
    for market in m.groups.iter().flat_map(|group| &group.markets) {
        let Market { number, suspended, .. } = *market;
        let name = market.name.clone();
        m.ledger.push_odds(at, OddsChange::MarketFound { market: number, name, suspended });
        for one in market.strips.iter().flat_map(|strip| &strip.selections) {
            m.ledger.push_odds(at, found(number, one));
        }
    }
}

fn node(out: &mut Vec<u8>, kind: &str, topic: &str, id: &str, name: &str, order: usize) {
    out.extend_from_slice(format!("{kind};ID={id};IT={topic};NA={name};OR={order};|").as_bytes());
}

fn classification(sport: Sport) -> String {
    format!("OV_{}{SUFFIX}", sport.id())
}

fn competition(sport: Sport, league: usize) -> String {
    format!("OVC{}-{league}{SUFFIX}", sport.id())
}
