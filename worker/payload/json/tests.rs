//! Tests of the whole payload: matches and lists in the shape of a sports API, real happenings, hostile bodies.

mod hostile;
mod lists;
mod matches;
mod pushed;
mod recordings;

use super::{JsonDocs, Source};
use crate::payload::{Limits, MatchSlot, Names, Payload, Received, Result, Seen, Sink};
use serde_json::{Map, Value, json};
use touchline_common::config::{Join, Reading};
use touchline_common::ipc::messages::data::{MatchBase, SectionKey};
use touchline_common::model::{
    Change, Handle, Incidents, Listing, MarketValue, OddsChange, Price, RegisterChange, Registers,
    SelectionValue, Side,
};

/// Keeps what is reported; handles as the keys that they stand for.
#[derive(Default)]
struct Log {
    bases: Vec<(Registers, Vec<String>)>,
    teams: Option<(String, String)>,
    seen: Vec<(Vec<RegisterChange>, Vec<String>)>,
    odds_bases: Vec<Vec<String>>,
    odds: Vec<String>,
    incidents: Vec<Incidents>,
    touched: usize,
    names: Vec<String>,
}

impl Log {
    fn key(&self, handle: Handle) -> &str {
        &self.names[handle.0 as usize - 1]
    }

    fn name(&mut self, key: String) -> Handle {
        self.names.push(key);
        Handle(self.names.len() as u32)
    }

    fn odds_change(&self, change: &OddsChange<'_>) -> String {
        match change {
            OddsChange::Price { selection, price, text } => {
                format!("{} {} {text}", self.key(*selection), shown(*price))
            }
            OddsChange::SelectionSuspended { .. } => "suspended".to_owned(),
            OddsChange::SelectionWon { selection, won } => format!("{} won {won:?}", self.key(*selection)),
            OddsChange::MarketSuspended { market, suspended } => {
                format!("{} {}", self.key(*market), if *suspended { "suspended" } else { "resumed" })
            }
            OddsChange::MarketOpen(MarketValue { market, .. }) => format!("{} open", self.key(*market)),
            OddsChange::Selection(SelectionValue { selection, price, .. }) => {
                format!("{} is {}", self.key(*selection), shown(*price))
            }
            OddsChange::MarketClose { market } => format!("{} closed", self.key(*market)),
        }
    }
}

fn shown(price: Option<Price>) -> String {
    price.map_or("-".to_owned(), |price| price.to_string())
}

fn change(change: &Change<'_>) -> String {
    match change {
        Change::Comment { text } => format!("comment {text}"),
        Change::Stat { key, side, text } => format!("{key} {} {text}", side.map_or("-", Side::as_str)),
    }
}

impl Names for Log {
    fn name_market(&mut self, _: MatchSlot, key: &[u8], _: &[u8]) -> Handle {
        self.name(String::from_utf8(key.to_vec()).unwrap())
    }
    fn name_selection(&mut self, _: MatchSlot, market: Handle, key: &[u8], _: &[u8]) -> Handle {
        let key = format!("{}/{}", self.key(market), std::str::from_utf8(key).unwrap());
        self.name(key)
    }
}

impl Sink for Log {
    fn base(&mut self, _: MatchSlot, base: MatchBase<'_>) {
        self.teams = base.teams;
        self.bases.push((base.registers, base.values.iter().map(change).collect()));
    }
    fn odds_base(
        &mut self,
        _: MatchSlot,
        markets: &[MarketValue],
        selections: &[SelectionValue<'_>],
        _: Received,
    ) {
        let market = |value: &MarketValue| {
            format!("{}{}", self.key(value.market), if value.suspended { " suspended" } else { "" })
        };
        let selection =
            |value: &SelectionValue<'_>| format!("{} {}", self.key(value.selection), shown(value.price));
        let all = markets.iter().map(market).chain(selections.iter().map(selection)).collect();
        self.odds_bases.push(all);
    }
    fn observed(&mut self, _: MatchSlot, seen: &Seen<'_>) {
        self.seen.push((seen.registers.to_vec(), seen.changes.iter().map(change).collect()));
    }
    fn incidents(&mut self, _: MatchSlot, stated: Incidents, _: Received) {
        self.incidents.push(stated);
    }
    fn odds(&mut self, _: MatchSlot, changes: &[OddsChange<'_>], _: Received) {
        let changes: Vec<String> = changes.iter().map(|change| self.odds_change(change)).collect();
        self.odds.extend(changes);
    }
    fn touched(&mut self, _: MatchSlot) {
        self.touched += 1;
    }
}

/// A payload with what it reports and publishes.
struct Bed {
    docs: JsonDocs,
    log: Log,
    sections: std::collections::BTreeMap<SectionKey, Value>,
    now: u64,
}

fn source(name: &str, reading: &str) -> Source {
    let reading: Reading = toml::from_str(reading).unwrap_or_else(|error| panic!("{error}"));
    Source { name: name.to_owned(), id: "/id".parse().unwrap(), reading, ..Source::default() }
}

impl Bed {
    fn new(sources: Vec<Source>) -> Bed {
        Bed::within(sources, Limits::default())
    }

    fn within(sources: Vec<Source>, limits: Limits) -> Bed {
        let docs = JsonDocs::new(sources, limits).unwrap();
        Bed { docs, log: Log::default(), sections: std::collections::BTreeMap::new(), now: 0 }
    }

    /// With one match of these topics.
    fn following(mut self, topics: &[&str]) -> Bed {
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        assert_eq!(self.docs.add_match(&topics, Listing::default()), Ok(MatchSlot(0)));
        self
    }

    fn received(&mut self) -> Received {
        self.now += 1;
        Received { wall_us: self.now as i64 * 1_000_000, mono_ns: self.now }
    }

    fn load(&mut self, topic: &str, body: &str) -> Result<()> {
        let received = self.received();
        self.docs.load(topic.as_bytes(), body.as_bytes(), received, &mut self.log)
    }

    fn delta(&mut self, topic: &str, body: &str) -> Result<()> {
        let received = self.received();
        self.docs.delta(topic.as_bytes(), body.as_bytes(), received, &mut self.log)
    }

    /// The document as a recorder puts it together, after rendering what waits.
    fn document(&mut self) -> Value {
        while let Some((slot, _)) = self.docs.oldest_dirty() {
            let mut out = Vec::new();
            self.docs.render(slot, &mut self.log, &mut out);
            for section in out {
                match section.body {
                    Some(body) => self.sections.insert(section.key, serde_json::from_str(&body).unwrap()),
                    None => self.sections.remove(&section.key),
                };
            }
        }
        let mut document = Map::new();
        let mut markets = Map::new();
        for (key, body) in &self.sections {
            match key {
                SectionKey::Head | SectionKey::Tail => document.extend(body.as_object().unwrap().clone()),
                SectionKey::Market(handle) => {
                    markets.insert(self.log.key(*handle).to_owned(), body.clone());
                }
            }
        }
        if !markets.is_empty() {
            document.insert("markets".to_owned(), Value::Object(markets));
        }
        Value::Object(document)
    }
}

/// A reading in the shape of a sports API's match.
const SPORTS_API: &str = r#"
    sport = "soccer"
    competition = "/tournament/name"
    home = "/homeTeam/name"
    away = "/awayTeam/name"
    state = "/status"
    time = "/startTimestamp"
    period = "/statusDescription"
    clock = { minute = "/currentMatchMinute", second = "/currentMatchSecond" }
    score = { home = "/homeScore/current", away = "/awayScore/current" }
    events = "/liveEvents"
    [stats]
    corners = { home = "/matchStatistics/[period=ALL]/groups/*/statisticsItems/[key=cornerKicks]/homeValue", away = "/matchStatistics/[period=ALL]/groups/*/statisticsItems/[key=cornerKicks]/awayValue" }
    possession = { home = "/matchStatistics/[period=ALL]/groups/*/statisticsItems/[key=ballPossession]/homeValue", away = "/matchStatistics/[period=ALL]/groups/*/statisticsItems/[key=ballPossession]/awayValue" }
    attendance = "/venue/attendance"
    [event]
    type = ["/class", "/type"]
    types = { yellow = "yellow_card", red = "red_card", yellowRed = "red_card", varDecision = "var", penaltyShootout = "penalty_shootout" }
    side = "/team"
    minute = "/time"
    details = { player = "/player/name", in = "/playerIn/name", out = "/playerOut/name" }
    [markets]
    list = "/oddsBase"
    id = ["/name", "/period"]
    name = "/name"
    suspended = "/suspended"
    selections = "/choices"
    selection_id = "/name"
    selection_name = "/name"
    price = "/decimal"
    won = "/winning"
"#;

/// A match as that API states it.
fn sports_match() -> Value {
    json!({
        "id": 15_986, "status": "inprogress", "statusDescription": "2nd half", "startTimestamp": 1_700_000_000_000_i64,
        "currentMatchMinute": 51, "currentMatchSecond": 20,
        "tournament": {"id": 7, "name": "Cup"},
        "homeTeam": {"name": "Reds"}, "awayTeam": {"name": "Blues"},
        "homeScore": {"current": 1, "period1": 1}, "awayScore": {"current": 0, "period1": 0},
        "venue": {"attendance": 41_000, "name": "Park"},
        "liveEvents": [
            {"time": 12, "type": "goal", "class": "regular", "team": "home", "player": {"id": 3, "name": "Nine"}, "homeScore": 1, "awayScore": 0},
            {"time": "45+2", "type": "card", "class": "yellow", "team": "away", "player": {"name": "Four"}},
            {"time": 46, "type": "substitution", "team": "away", "playerIn": {"name": "A"}, "playerOut": {"name": "B"}},
            {"time": 47, "type": "weather", "team": "home"}
        ],
        "matchStatistics": [
            {"period": "1ST", "groups": [{"groupName": "x", "statisticsItems": [{"key": "cornerKicks", "homeValue": 2, "awayValue": 2}]}]},
            {"period": "ALL", "groups": [
                {"groupName": "x", "statisticsItems": [{"key": "ballPossession", "homeValue": "61%", "awayValue": "39%"}]},
                {"groupName": "y", "statisticsItems": [{"key": "cornerKicks", "homeValue": 5, "awayValue": 3}]}
            ]}
        ],
        "oddsBase": [
            {"name": "Full time", "group": "1X2", "period": "Full-time", "isLive": true, "suspended": false, "choices": [
                {"name": "1", "decimal": 1.85, "initialDecimal": 2, "winning": null, "change": -1},
                {"name": "X", "decimal": "3.400000000000000001", "change": 0}
            ]},
            {"name": "Next goal", "period": "Full-time", "suspended": true, "choices": [{"name": "1", "decimal": 2}]}
        ]
    })
}
