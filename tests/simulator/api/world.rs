//! What is true of each match of a simulated HTTP API, and the JSON in which it is said.
//!
//! Pure and seeded. Each change raises the match's number, which its body states as `change`; the document of each number is kept
//! for the oracle, up to a bound. Goals and cards may be corrected or deleted later, as real scorers do. Caller: `server`.

use crate::model::names::{PLAYERS, TEAMS};
use crate::model::random::Random;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Documents that are kept of one match.
const HISTORY: usize = 4_096;
/// Happenings of one match at most; then only the clock goes on.
const EVENTS: usize = 200;
/// Minutes of play.
const FULL_TIME: u32 = 90;
/// The id of the first match.
const FIRST_ID: u64 = 100_001;
/// When the first match began, milliseconds since 1970.
const BEGAN_MS: u64 = 1_767_225_600_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    Goal,
    Card,
    Substitution,
}

impl EventKind {
    /// As the API writes it.
    fn word(self) -> &'static str {
        match self {
            EventKind::Goal => "goal",
            EventKind::Card => "card",
            EventKind::Substitution => "substitution",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Team {
    Home,
    Away,
}

impl Team {
    pub fn word(self) -> &'static str {
        match self {
            Team::Home => "home",
            Team::Away => "away",
        }
    }
}

/// One happening, as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Unique in its match.
    pub id: u64,
    pub kind: EventKind,
    pub team: Team,
    /// Minute of play.
    pub minute: u32,
    pub player: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    NotStarted,
    Playing,
    Finished,
}

impl Stage {
    /// As the API writes it.
    fn word(self) -> &'static str {
        match self {
            Stage::NotStarted => "notstarted",
            Stage::Playing => "inprogress",
            Stage::Finished => "finished",
        }
    }

    /// As documents write it.
    fn status(self) -> &'static str {
        match self {
            Stage::NotStarted => "not_started",
            Stage::Playing => "in_play",
            Stage::Finished => "finished",
        }
    }
}

#[derive(Debug)]
pub struct ApiMatch {
    pub id: String,
    home: &'static str,
    away: &'static str,
    pub stage: Stage,
    minute: u32,
    corners: [u32; 2],
    pub happenings: Vec<Happening>,
    next_event: u64,
    /// Of its newest change.
    pub number: u64,
    /// The document of each change, the oldest first.
    history: VecDeque<(u64, Value)>,
}

impl ApiMatch {
    fn new(n: usize, stage: Stage, random: &mut Random) -> ApiMatch {
        let home = random.word(&TEAMS);
        // Another team than the first one.
        let others: Vec<&'static str> = TEAMS.iter().copied().filter(|team| *team != home).collect();
        let mut made = ApiMatch {
            id: (FIRST_ID + n as u64).to_string(),
            home,
            away: random.word(&others),
            stage,
            minute: 0,
            corners: [0, 0],
            happenings: Vec::new(),
            next_event: 1,
            number: 1,
            history: VecDeque::new(),
        };
        made.remember();
        made
    }

    fn goals(&self, team: Team) -> usize {
        self.happenings.iter().filter(|one| one.kind == EventKind::Goal && one.team == team).count()
    }

    /// One change of whatever kind.
    fn step(&mut self, random: &mut Random) {
        self.number += 1;
        self.change(random);
        self.remember();
    }

    fn change(&mut self, random: &mut Random) {
        if self.stage == Stage::NotStarted {
            self.stage = Stage::Playing;
            return;
        }
        let has_room = self.happenings.len() < EVENTS;
        match random.below(100) {
            0..=4 if has_room => self.happen(EventKind::Goal, random),
            5..=9 if has_room => self.happen(EventKind::Card, random),
            10..=13 if has_room => self.happen(EventKind::Substitution, random),
            14..=16 => self.correct(random),
            17..=18 => self.delete(random),
            19..=59 => self.corner(random),
            _ => self.minute = (self.minute + 1).min(FULL_TIME),
        }
    }

    fn happen(&mut self, kind: EventKind, random: &mut Random) {
        let team = if random.in_thousand(500) { Team::Home } else { Team::Away };
        let player = random.word(&PLAYERS).to_owned();
        self.happenings.push(Happening { id: self.next_event, kind, team, minute: self.minute, player });
        self.next_event += 1;
    }

    /// Another player did it.
    fn correct(&mut self, random: &mut Random) {
        let which = random.below(self.happenings.len());
        if let Some(happening) = self.happenings.get_mut(which) {
            happening.player = random.word(&PLAYERS).to_owned();
        }
    }

    /// It did not happen: of the newest ones.
    fn delete(&mut self, random: &mut Random) {
        let back = random.below(3) + 1;
        if let Some(which) = self.happenings.len().checked_sub(back) {
            self.happenings.remove(which);
        }
    }

    fn corner(&mut self, random: &mut Random) {
        if let Some(corners) = self.corners.get_mut(random.below(2)) {
            *corners += 1;
        }
    }

    fn finish(&mut self) {
        self.number += 1;
        self.stage = Stage::Finished;
        self.remember();
    }

    fn remember(&mut self) {
        let document = self.document();
        self.history.push_back((self.number, document));
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    /// What the API answers of it alone.
    fn body(&self) -> Value {
        let [home, away] = self.corners;
        json!({
            "id": self.id, "status": self.stage.word(), "currentMatchMinute": self.minute, "change": self.number,
            "homeTeam": {"name": self.home}, "awayTeam": {"name": self.away},
            "homeScore": {"current": self.goals(Team::Home)}, "awayScore": {"current": self.goals(Team::Away)},
            "matchStatistics": [{"period": "ALL", "groups": [{"groupName": "Attack", "statisticsItems": [
                {"key": "cornerKicks", "homeValue": home, "awayValue": away}]}]}],
            "liveEvents": self.happenings.iter().map(event).collect::<Vec<_>>(),
        })
    }

    /// What the list says of it.
    fn entry(&self) -> Value {
        json!({
            "id": self.id, "status": self.stage.word(), "startTimestamp": BEGAN_MS,
            "title": format!("{} v {}", self.home, self.away), "changed": self.number,
        })
    }

    /// What its document must say. What documents have beside that is not compared.
    fn document(&self) -> Value {
        let [home, away] = self.corners;
        json!({
            "home": self.home, "away": self.away, "status": self.stage.status(),
            "score": {"home": self.goals(Team::Home), "away": self.goals(Team::Away)},
            "stats": {"corners": {"home": home, "away": away}},
        })
    }
}

fn event(happening: &Happening) -> Value {
    json!({
        "id": happening.id, "type": happening.kind.word(), "team": happening.team.word(),
        "time": happening.minute, "player": {"name": happening.player},
    })
}

/// All that the API serves.
#[derive(Debug)]
pub struct World {
    random: Random,
    /// By their ids. Finished ones are served until they are forgotten.
    matches: BTreeMap<String, ApiMatch>,
    /// How many there ever were.
    made: usize,
    /// The number of the newest change of each fixed document.
    documents: Vec<u64>,
    /// What [`World::empty_list`] made of the list.
    list: List,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Served,
    /// It names nothing, though all is there.
    Empty,
}

impl World {
    pub fn new(seed: u64, matches: usize, documents: usize) -> World {
        let mut world = World {
            random: Random::new(seed),
            matches: BTreeMap::new(),
            made: 0,
            documents: vec![1; documents],
            list: List::Served,
        };
        for _ in 0..matches {
            world.add(Stage::Playing);
        }
        world
    }

    fn add(&mut self, stage: Stage) {
        let made = ApiMatch::new(self.made, stage, &mut self.random);
        self.made += 1;
        self.matches.insert(made.id.clone(), made);
    }

    /// So many changes, each of a match or a fixed document.
    pub fn step(&mut self, changes: usize) {
        for _ in 0..changes {
            let which = self.random.below(self.matches.len() + self.documents.len());
            let place = which.checked_sub(self.matches.len());
            match place.and_then(|place| self.documents.get_mut(place)) {
                Some(number) => *number += 1,
                None => {
                    let World { matches, random, .. } = self;
                    if let Some(one) = matches.values_mut().nth(which)
                        && one.stage != Stage::Finished
                    {
                        one.step(random);
                    }
                }
            }
        }
    }

    /// A match in play ends, another is listed.
    pub fn churn(&mut self) {
        if let Some(one) = self.matches.values_mut().find(|one| one.stage == Stage::Playing) {
            one.finish();
        }
        self.add(Stage::NotStarted);
    }

    /// The list names nothing from now on, or all again.
    pub fn empty_list(&mut self) {
        self.list = List::Empty;
    }

    pub fn fill_list(&mut self) {
        self.list = List::Served;
    }

    /// A page of the list; pages count from 1.
    pub fn page(&self, page: usize, size: usize) -> Value {
        let listed: Vec<&ApiMatch> = match self.list {
            List::Served => self.matches.values().filter(|one| one.stage != Stage::Finished).collect(),
            List::Empty => Vec::new(),
        };
        let size = size.max(1);
        let entries: Vec<Value> =
            listed.iter().skip(page.saturating_sub(1) * size).take(size).map(|one| one.entry()).collect();
        json!({"totalMatches": listed.len(), "totalPages": listed.len().div_ceil(size), "page": page, "matches": entries})
    }

    pub fn body(&self, id: &str) -> Option<Value> {
        self.matches.get(id).map(ApiMatch::body)
    }

    /// What a socket pushes of a match: the number of its newest change, and the body. None once it is over.
    pub fn pushed(&self, id: &str) -> Option<(u64, Value)> {
        let one = self.matches.get(id).filter(|one| one.stage != Stage::Finished)?;
        Some((one.number, one.body()))
    }

    /// The happenings of a match alone.
    pub fn events(&self, id: &str) -> Option<Value> {
        let events: Vec<Value> = self.matches.get(id)?.happenings.iter().map(event).collect();
        Some(json!({ "liveEvents": events }))
    }

    /// A fixed document; they count from 0.
    pub fn fixed(&self, place: usize) -> Option<Value> {
        let number = self.documents.get(place)?;
        let (places, taught) = (number % 40, ["Monday", "Tuesday", "Friday"].get(place % 3)?);
        Some(
            json!({"title": format!("Course {place}"), "places": places, "taught": taught, "change": number}),
        )
    }

    /// The ids of the matches that the list names, or would.
    pub fn listed(&self) -> Vec<String> {
        self.matches.values().filter(|one| one.stage != Stage::Finished).map(|one| one.id.clone()).collect()
    }

    /// What a match's document must say at one of its changes; none if it is not known, or not any more.
    pub fn document_at(&self, id: &str, number: u64) -> Option<&Value> {
        let history = &self.matches.get(id)?.history;
        let place = history.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        history.get(place).map(|(_, document)| document)
    }

    /// Matches with the number of their newest change.
    pub fn numbers(&self) -> impl Iterator<Item = (&str, u64)> {
        self.matches.values().map(|one| (one.id.as_str(), one.number))
    }

    pub fn happenings(&self, id: &str) -> &[Happening] {
        self.matches.get(id).map_or(&[], |one| &one.happenings)
    }

    /// The truth of a match for people and scripts.
    pub fn truth(&self, id: &str) -> Option<Value> {
        let one = self.matches.get(id)?;
        let mut truth: Map<String, Value> = one.document().as_object().cloned().unwrap_or_default();
        truth.insert("change".to_owned(), one.number.into());
        Some(Value::Object(truth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_world_and_every_change_is_known() {
        let mut a = World::new(7, 5, 3);
        let mut b = World::new(7, 5, 3);
        a.step(2_000);
        b.step(2_000);
        a.churn();
        b.churn();
        let numbers: Vec<(String, u64)> = a.numbers().map(|(id, n)| (id.to_owned(), n)).collect();
        assert!(numbers.iter().any(|(_, n)| *n > 100), "{numbers:?}");
        for (id, newest) in &numbers {
            assert_eq!(a.body(id), b.body(id));
            for number in 1..=*newest {
                assert!(a.document_at(id, number).is_some(), "{id} at {number}");
            }
            let goals = a.happenings(id).iter().filter(|one| one.kind == EventKind::Goal).count() as u64;
            let score = &a.truth(id).unwrap()["score"];
            assert_eq!(score["home"].as_u64().unwrap() + score["away"].as_u64().unwrap(), goals);
        }
    }

    #[test]
    fn pages_hold_each_listed_match_once() {
        let mut world = World::new(1, 23, 0);
        world.churn();
        let mut ids = Vec::new();
        for page in 1..=3 {
            let page = world.page(page, 10);
            assert_eq!(page["totalPages"], 3);
            ids.extend(
                page["matches"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()),
            );
        }
        assert_eq!(ids, world.listed());
        assert_eq!(ids.len(), 23);
        world.empty_list();
        assert_eq!(world.page(1, 10)["matches"], json!([]));
        assert_eq!(world.listed().len(), 23, "they are there all the same");
    }
}
