//! What was delivered of one match, and, where that is wrong, an explanation.

use super::read::{self, Part};
use super::{Oracle, Section, differ};
use crate::model::Digest;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The name of the section with statistics, the order of markets and unmapped nodes.
const TAIL: &str = "tail";
/// What the name of a market's section begins with; its key follows.
const MARKET: &str = "market:";

/// The digest of a document, section by section.
#[derive(Debug, Default)]
pub(super) struct Published {
    head: Part,
    tail: Part,
    /// What each market adds to the digest of the document.
    markets: HashMap<String, u64>,
    sum: u64,
    /// The newest change that was delivered.
    newest: Option<u64>,
}

impl Published {
    /// A whole document follows.
    pub(super) fn clear(&mut self) {
        *self = Published { newest: self.newest, ..Published::default() };
    }

    /// Takes a section; none if it cannot be read.
    pub(super) fn apply(&mut self, name: &str, body: Option<&str>) -> Option<()> {
        match (name, body) {
            ("", Some(body)) => self.head = read::part(body)?,
            ("", None) => self.clear(),
            (TAIL, body) => self.tail = body.map_or(Some(Part::default()), read::part)?,
            (name, body) => {
                let key = name.strip_prefix(MARKET)?;
                let share = match body {
                    Some(body) => Digest::member(key, read::market(body)?),
                    None => 0,
                };
                let before = match body {
                    Some(_) => self.markets.insert(key.to_owned(), share),
                    None => self.markets.remove(key),
                };
                self.sum = self.sum.wrapping_sub(before.unwrap_or(0)).wrapping_add(share);
            }
        }
        Some(())
    }

    /// The number of its newest change, if it has one.
    pub(super) fn number(&self) -> Option<u64> {
        self.tail.number.or(self.head.number)
    }

    pub(super) fn digest(&self) -> Digest {
        Digest(Part::digest([self.head, self.tail]).0.wrapping_add(self.sum))
    }

    /// The document of this change was delivered: how many changes it is ahead of the newest one before.
    pub(super) fn reach(&mut self, number: u64) -> u64 {
        let ahead = self.newest.map_or(1, |newest| number.saturating_sub(newest));
        if ahead > 0 {
            self.newest = Some(number);
        }
        ahead
    }
}

impl Oracle {
    /// Where what was delivered just now differs from the truth of now: exact once the server is paused, else the truth
    /// may have gone on.
    pub(super) fn explain(&self, id: &str, number: u64, sections: &[Section]) -> String {
        let Some(truth) = self.truth.document(id) else {
            return format!("{id} at change {number}: the match is gone");
        };
        let newest = truth.pointer("/extra/ZC").and_then(Value::as_str).unwrap_or("?").to_owned();
        let mut head = truth;
        let markets = head.as_object_mut().and_then(|head| head.remove("markets")).unwrap_or_default();
        let mut differences = Vec::new();
        for (name, body) in sections {
            let got = body.as_deref().map(|body| serde_json::from_str::<Value>(body).unwrap_or_default());
            let got = got.unwrap_or_default();
            let different = match name.strip_prefix(MARKET) {
                Some(key) => {
                    let wrapped = differ::stripped(&serde_json::json!({"markets": {"it": got}}));
                    let got = wrapped.pointer("/markets/it").unwrap_or(&Value::Null);
                    differ::difference(markets.get(key).unwrap_or(&Value::Null), got)
                }
                None => differ::difference(&shared(&head, &got), &got),
            };
            if !different.is_empty() {
                differences.push(format!("{}: {different}", if name.is_empty() { "head" } else { name }));
            }
        }
        differences.extend(self.others(id, sections, &markets));
        format!("{id} at change {number} (the truth is at {newest} now): {}", differences.join(" | "))
    }

    /// Markets, not among these sections, that were delivered otherwise than they now are.
    fn others(&self, id: &str, sections: &[Section], markets: &Value) -> Vec<String> {
        let (Some(published), Some(markets)) = (self.published.get(id), markets.as_object()) else {
            return Vec::new();
        };
        let is_new = |key: &str| sections.iter().any(|(name, _)| name.strip_prefix(MARKET) == Some(key));
        let share = |key: &str, market: &Value| Digest::member(key, Digest::of(market));
        let wrong = markets
            .iter()
            .filter(|(key, market)| !is_new(key) && published.markets.get(*key) != Some(&share(key, market)))
            .map(|(key, _)| format!("{key}: not delivered as it is"));
        let left = published
            .markets
            .keys()
            .filter(|key| !is_new(key) && !markets.contains_key(*key))
            .map(|key| format!("{key}: delivered, not there"));
        wrong.chain(left).take(4).collect()
    }
}

/// The members of the truth that a head or a tail has: what it lacks may stand in the other.
fn shared(truth: &Value, part: &Value) -> Value {
    let (Some(truth), Some(part)) = (truth.as_object(), part.as_object()) else { return truth.clone() };
    let of = |(key, value): (&String, &Value)| {
        let known = truth.get(key)?;
        let nested = if key == "extra" { shared(known, value) } else { known.clone() };
        Some((key.clone(), nested))
    };
    Value::Object(part.iter().filter_map(of).collect::<Map<_, _>>())
}
