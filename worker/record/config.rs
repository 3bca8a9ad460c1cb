//! What the recorder needs of the configuration: the names of the feeds, `[store]`, `[lanes]`.
//!
//! Filled from the JSON in the coordinator's welcome, which was validated there; what is absent has the default.

use super::ledger::{EventType, Lane};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The recorder's part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordConfig {
    /// Names of the feeds; a feed's id is its place.
    pub feeds: Vec<Arc<str>>,
    /// The store's file.
    pub path: PathBuf,
    /// A document that changed is saved at most this much later,
    pub snapshot_interval: Duration,
    /// within this many bytes a second.
    pub max_write: u64,
    /// Events are committed at most this long after they arrive.
    pub event_commit: Duration,
    /// A lower value from a new connection is believed after this long.
    pub settle: Duration,
    /// Events are kept this long,
    pub keep_events: Duration,
    /// those of the odds lane this long,
    pub keep_odds: Duration,
    /// documents of matches that nobody follows this long.
    pub keep_matches: Duration,
    /// The most bytes of the store; the oldest odds go first.
    pub max_size: u64,
    /// Types that stand in another lane than their own.
    pub lanes: Vec<(EventType, Lane)>,
}

impl RecordConfig {
    /// Reads the configuration's JSON.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn from_json(text: &str) -> Result<RecordConfig, String> {
        let all: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let store = Table(all.get("store"));
        let state_dir = all.pointer("/daemon/state_dir").and_then(Value::as_str).unwrap_or_default();
        let feeds = all.get("feed").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let feeds = feeds.iter().map(|feed| feed.get("name").and_then(Value::as_str).map(Arc::from));
        let name = store.text("path", "touchline.db");
        Ok(RecordConfig {
            feeds: feeds.collect::<Option<_>>().ok_or("a [[feed]] has no name")?,
            path: PathBuf::from(state_dir).join(name),
            snapshot_interval: store.duration("snapshot_interval", "1s")?,
            max_write: store.bytes("max_write", "2MB")?,
            event_commit: store.duration("event_commit", "10ms")?,
            settle: store.duration("settle", "2s")?,
            keep_events: store.duration("keep_events", "30d")?,
            keep_odds: store.duration("keep_odds", "24h")?,
            keep_matches: store.duration("keep_matches", "7d")?,
            max_size: store.bytes("max_size", "10GB")?,
            lanes: lanes(all.get("lanes"))?,
        })
    }

    /// The lane of a type, unless the configuration leaves it where it is.
    pub fn lane(&self, kind: EventType, own: Lane) -> Lane {
        self.lanes.iter().find(|(moved, _)| *moved == kind).map_or(own, |(_, lane)| *lane)
    }
}

struct Table<'a>(Option<&'a Value>);

impl<'a> Table<'a> {
    fn text(&self, key: &str, default: &'a str) -> &'a str {
        self.0.and_then(|table| table.get(key)).and_then(Value::as_str).unwrap_or(default)
    }

    fn duration(&self, key: &str, default: &'a str) -> Result<Duration, String> {
        let text = self.text(key, default);
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        let ms = scaled(text, &units).ok_or_else(|| format!("[store] {key} = {text:?} is no duration"))?;
        Ok(Duration::from_millis(ms))
    }

    fn bytes(&self, key: &str, default: &'a str) -> Result<u64, String> {
        if let Some(bytes) = self.0.and_then(|table| table.get(key)).and_then(Value::as_u64) {
            return Ok(bytes);
        }
        let text = self.text(key, default);
        let units = [("kB", 1_000), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("B", 1)];
        scaled(text, &units).ok_or_else(|| format!("[store] {key} = {text:?} is no size"))
    }
}

/// `12ms` by a table of units.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// `{"card": "priority"}`. A type that the ledger does not make has nothing to move.
fn lanes(table: Option<&Value>) -> Result<Vec<(EventType, Lane)>, String> {
    let Some(table) = table.and_then(Value::as_object) else { return Ok(Vec::new()) };
    let mut lanes = Vec::new();
    for (name, lane) in table {
        let lane =
            serde_json::from_value(lane.clone()).map_err(|_| format!("[lanes] {name}: {lane} is no lane"))?;
        if let Some(kind) = EventType::ALL.iter().find(|kind| kind.as_str() == name) {
            lanes.push((*kind, lane));
        }
    }
    Ok(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_units() {
        let config = RecordConfig::from_json(
            r#"{"daemon":{"state_dir":"/s"},"feed":[{"name":"a"},{"name":"b"}],"store":{"max_write":"5MB","keep_odds":"90m"},"lanes":{"card":"priority"}}"#,
        )
        .unwrap();
        assert_eq!(config.path, PathBuf::from("/s/touchline.db"));
        assert_eq!(config.feeds.len(), 2);
        assert_eq!(config.max_write, 5_000_000);
        assert_eq!(config.keep_odds, Duration::from_secs(90 * 60));
        assert_eq!(config.event_commit, Duration::from_millis(10));
        assert_eq!(config.lane(EventType::Card, Lane::Normal), Lane::Priority);
        assert_eq!(config.lane(EventType::Goal, Lane::Priority), Lane::Priority);
    }

    #[test]
    fn mistakes_name_their_key() {
        let error = RecordConfig::from_json(r#"{"store":{"settle":"2 s"}}"#).unwrap_err();
        assert!(error.contains("settle"), "{error}");
    }
}
