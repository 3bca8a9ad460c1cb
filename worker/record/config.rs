//! What the recorder needs of the configuration: the names of the feeds, `[store]`, `[lanes]`.

use super::ledger::{EventType, Lane};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use touchline_common::config::Config;

/// The recorder's part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordConfig {
    /// Names of the feeds; a feed's id is its place.
    pub feeds: Vec<Arc<str>>,
    pub path: PathBuf,
    /// A document that changed is saved at most this much later,
    pub snapshot_interval: Duration,
    /// within this many bytes a second.
    pub max_write: u64,
    /// Events are committed at most this long after they arrive.
    pub event_commit: Duration,
    /// Odds and chat are committed this often.
    pub bulk_commit: Duration,
    /// A lower value from a new connection is believed after this long.
    pub settle: Duration,
    /// Events are kept this long,
    pub keep_events: Duration,
    /// odds this long,
    pub keep_odds: Duration,
    /// chat this long,
    pub keep_chat: Duration,
    /// documents of matches that no worker follows this long.
    pub keep_matches: Duration,
    /// The most bytes of the store; the oldest odds go first.
    pub max_size: u64,
    /// Types that stand in another lane than their own.
    pub lanes: Vec<(EventType, Lane)>,
}

impl RecordConfig {
    /// Reads the configuration's JSON, as the coordinator writes it for its children.
    ///
    /// # Errors
    /// A sentence that says where it is not that.
    pub fn from_json(text: &str) -> Result<RecordConfig, String> {
        Config::from_child_json(text).map(|config| RecordConfig::new(&config))
    }

    /// The recorder's part of `config`.
    pub fn new(config: &Config) -> RecordConfig {
        let store = &config.store;
        let lane = |(name, lane): (&String, &Lane)| {
            // A type that the ledger does not make has nothing to move.
            let kind = EventType::ALL.iter().find(|kind| kind.as_str() == name)?;
            Some((*kind, *lane))
        };
        RecordConfig {
            feeds: config.feed.iter().map(|feed| Arc::from(feed.name.as_str())).collect(),
            path: config.store_path(),
            snapshot_interval: store.snapshot_interval.get(),
            max_write: store.max_write.get(),
            event_commit: store.event_commit.get(),
            bulk_commit: store.bulk_commit.get(),
            settle: store.settle.get(),
            keep_events: store.keep_events.get(),
            keep_odds: store.keep_odds.get(),
            keep_chat: store.keep_chat.get(),
            keep_matches: store.keep_matches.get(),
            max_size: store.max_size.get(),
            lanes: config.lanes.iter().filter_map(lane).collect(),
        }
    }

    /// The lane of a type, unless the configuration leaves it where it is.
    pub fn lane(&self, kind: EventType, own: Lane) -> Lane {
        self.lanes.iter().find(|(moved, _)| *moved == kind).map_or(own, |(_, lane)| *lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_move_types() {
        let mut config = Config::default();
        config.lanes.insert("card".into(), Lane::Priority);
        config.lanes.insert("shot".into(), Lane::Priority);
        let json = config.to_child_json().unwrap();
        let config = RecordConfig::from_json(&json).unwrap();
        assert_eq!(config.lane(EventType::Card, Lane::Normal), Lane::Priority);
        assert_eq!(config.lane(EventType::Corner, Lane::Normal), Lane::Normal);
        assert_eq!(config.event_commit, Duration::from_millis(10));
    }
}
