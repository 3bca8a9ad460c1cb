//! Compares what was made of the API with its truth: each delivered document at the number that it states, at the end all
//! documents and the happenings that the store holds.
//!
//! A document must say what the truth says; what it has beside that is not compared. Polling may leave states out, so documents and
//! events are compared as they end, never their number.

use super::Shared;
use super::world::{EventKind, Team, World};
use crate::oracle::{DocumentJudge, Section};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// Differences that are explained; the others are only counted.
const EXPLAINED: usize = 10;
/// What the name of a market's section begins with. Markets are not compared.
const MARKET: &str = "market:";

/// What was found so far, or in the end.
#[derive(Clone, Debug, Default)]
pub struct ApiReport {
    /// Compared: documents, or matches whose events were.
    pub compared: u64,
    /// Documents whose number is not known any more, or that state none.
    pub unknown: u64,
    pub different: u64,
    /// The first differences.
    pub explained: Vec<String>,
}

impl ApiReport {
    pub fn is_equal(&self) -> bool {
        self.different == 0
    }

    fn differs(&mut self, what: String) {
        self.different += 1;
        if self.explained.len() < EXPLAINED {
            self.explained.push(what);
        }
    }
}

pub struct ApiJudge {
    shared: Arc<Shared>,
    delivered: ApiReport,
    /// What was delivered of each match, put together from its sections.
    held: HashMap<String, Map<String, Value>>,
}

impl DocumentJudge for ApiJudge {
    fn delivered(&mut self, id: &str, sections: &[Section], whole: bool) {
        let mut held = self.held.remove(id).unwrap_or_default();
        if whole {
            held.clear();
        }
        for (name, body) in sections.iter().filter(|(name, _)| !name.starts_with(MARKET)) {
            match body.as_deref().map(serde_json::from_str::<Map<String, Value>>) {
                Some(Ok(members)) => {
                    held.retain(|member, _| is_of_tail(member) == name.is_empty());
                    held.extend(members);
                }
                Some(Err(error)) => self.delivered.differs(format!("{id}: section {name:?}: {error}")),
                None => held.retain(|member, _| is_of_tail(member) == name.is_empty()),
            }
        }
        let document = Value::Object(held);
        ApiJudge::delivered(self, id, &document);
        if let Value::Object(held) = document {
            self.held.insert(id.to_owned(), held);
        }
    }

    fn unreadable(&mut self, error: &str) {
        self.delivered.differs(format!("a message of the document feed: {error}"));
    }
}

/// Whether a member stands in a document's tail, not in its head.
fn is_of_tail(member: &str) -> bool {
    matches!(member, "stats" | "market_order" | "extra")
}

impl ApiJudge {
    pub(super) fn new(shared: Arc<Shared>) -> ApiJudge {
        ApiJudge { shared, delivered: ApiReport::default(), held: HashMap::new() }
    }

    /// A document as it was published.
    pub fn delivered(&mut self, id: &str, document: &Value) {
        let world = self.shared.world();
        match expected(&world, id, document) {
            None => self.delivered.unknown += 1,
            Some(expected) => compare(id, expected, document, &mut self.delivered),
        }
    }

    pub fn report(&self) -> &ApiReport {
        &self.delivered
    }

    /// Compares the newest documents of what the list names. Pause the server first.
    pub fn documents(&self, documents: &BTreeMap<String, Value>) -> ApiReport {
        let world = self.shared.world();
        let mut report = ApiReport::default();
        let numbers: BTreeMap<&str, u64> = world.numbers().collect();
        for id in world.listed() {
            let newest = numbers.get(id.as_str()).copied();
            match (documents.get(&id), newest.and_then(|newest| world.document_at(&id, newest))) {
                (Some(document), Some(expected)) => compare(&id, expected, document, &mut report),
                (None, _) => report.differs(format!("{id}: no document")),
                (Some(_), None) => report.unknown += 1,
            }
        }
        report
    }

    /// Compares the goals that a store's events leave standing with the scores of the truth. The matches must have been followed from
    /// 0-0 on, and gaps be ended. Pause the server first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn goals(&self, store: &Path) -> rusqlite::Result<ApiReport> {
        let connection = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut query = connection
            .prepare("SELECT match, side, count(*) FROM timeline WHERE type = 'goal' GROUP BY 1, 2")?;
        let mut stored: HashMap<(String, String), i64> = HashMap::new();
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let side = row.get::<_, Option<String>>(1)?.unwrap_or_default();
            stored.insert((row.get(0)?, side), row.get(2)?);
        }
        let world = self.shared.world();
        let mut report = ApiReport::default();
        for id in world.listed() {
            report.compared += 1;
            for team in [Team::Home, Team::Away] {
                let told = stored.get(&(id.clone(), team.word().to_owned())).copied().unwrap_or(0);
                let goals = world.happenings(&id).iter();
                let goals =
                    goals.filter(|one| one.kind == EventKind::Goal && one.team == team).count() as i64;
                if told != goals {
                    report.differs(format!(
                        "{id}: {told} goals of {} are told, there are {goals}",
                        team.word()
                    ));
                }
            }
        }
        Ok(report)
    }

    /// Compares the cards and substitutions that a store's events leave standing with those of the truth. Pause the server first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events(&self, store: &Path) -> rusqlite::Result<ApiReport> {
        let connection = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut query = connection.prepare(
            "SELECT match, type, side, minute, coalesce(payload ->> 'player', '') FROM timeline
             WHERE type IN ('card', 'substitution')",
        )?;
        let mut stored: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let told = Row {
                kind: row.get(1)?,
                side: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
                minute: row.get::<_, Option<u32>>(3)?,
                player: row.get(4)?,
            };
            stored.entry(row.get(0)?).or_default().push(told);
        }
        let world = self.shared.world();
        let mut report = ApiReport::default();
        for id in world.listed() {
            let mut told = stored.remove(&id).unwrap_or_default();
            let mut truth = happened(&world, &id);
            told.sort();
            truth.sort();
            report.compared += 1;
            if told != truth {
                report.differs(format!("{id}: told {told:?}, but there happened {truth:?}"));
            }
        }
        Ok(report)
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    kind: String,
    side: String,
    minute: Option<u32>,
    player: String,
}

fn happened(world: &World, id: &str) -> Vec<Row> {
    let row = |one: &super::Happening| {
        let kind = match one.kind {
            EventKind::Goal => return None,
            EventKind::Card => "card",
            EventKind::Substitution => "substitution",
        };
        let (kind, side) = (kind.to_owned(), one.team.word().to_owned());
        Some(Row { kind, side, minute: Some(one.minute), player: one.player.clone() })
    };
    world.happenings(id).iter().filter_map(row).collect()
}

/// The truth of the number that a document states: what is left of an answer stands by the name of its source.
fn expected<'a>(world: &'a World, id: &str, document: &Value) -> Option<&'a Value> {
    let mut answers = document.get("extra")?.as_object()?.values();
    let number = answers.find_map(|answer| answer.get("change"))?;
    let number = number.as_u64().or_else(|| number.as_str()?.parse().ok())?;
    world.document_at(id, number)
}

fn compare(id: &str, expected: &Value, document: &Value, report: &mut ApiReport) {
    report.compared += 1;
    if let Some(difference) = lacks(expected, document, "") {
        report.differs(format!("{id}: {difference}"));
    }
}

/// The first member that a document does not have as expected.
fn lacks(expected: &Value, found: &Value, path: &str) -> Option<String> {
    let Value::Object(members) = expected else {
        let equal = expected == found;
        return (!equal).then(|| format!("{path} is {found}, expected {expected}"));
    };
    members.iter().find_map(|(name, expected)| {
        lacks(expected, found.get(name).unwrap_or(&Value::Null), &format!("{path}/{name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Api, ApiOptions};
    use serde_json::json;

    #[test]
    fn what_is_delivered_section_by_section_is_held_against_its_number() {
        let api = Api::start(&ApiOptions { matches: 1, rate: 0.0, ..ApiOptions::default() }).unwrap();
        let id = api.listed().remove(0);
        let truth = api.truth(&id).unwrap();
        let head = json!({"home": truth["home"], "away": truth["away"], "status": "in_play", "score": truth["score"]});
        let tail = |change: u64| {
            json!({"stats": truth["stats"], "extra": {"match": {"change": change}}}).to_string()
        };
        let mut judge = api.judge();
        let mut deliver = |sections: &[Section], whole: bool| {
            DocumentJudge::delivered(&mut judge, &id, sections, whole);
            let report = judge.report();
            (report.compared, report.different, report.unknown)
        };
        let first = [(String::new(), Some(head.to_string())), ("tail".to_owned(), Some(tail(1)))];
        assert_eq!(deliver(&first, true), (1, 0, 0));
        assert_eq!(deliver(&[("tail".to_owned(), Some(tail(99)))], false), (1, 0, 1), "no such number");
        assert_eq!(deliver(&[("tail".to_owned(), Some(tail(1)))], false), (2, 0, 1));
        let wrong = json!({"home": truth["home"], "status": "in_play"}).to_string();
        assert_eq!(deliver(&[(String::new(), Some(wrong))], false), (3, 1, 1), "the away side is missing");
    }

    #[test]
    fn what_is_wrong_or_missing_is_named() {
        let expected = json!({"score": {"home": 1, "away": 0}, "status": "in_play"});
        let with = |home: u32| json!({"score": {"home": home, "away": 0, "text": "x"}, "status": "in_play"});
        assert_eq!(lacks(&expected, &with(1), ""), None);
        assert_eq!(lacks(&expected, &with(2), "").unwrap(), "/score/home is 2, expected 1");
        let nothing = lacks(&expected, &json!({"status": "in_play"}), "").unwrap();
        assert!(nothing.contains("is null"), "{nothing}");
    }
}
