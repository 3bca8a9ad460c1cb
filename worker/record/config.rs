//! What the recorder needs of the configuration: the names of the feeds and their bounds, `[store]`, `[lanes]`, `[streams]`.

use super::ledger::incidents::Bounds;
use super::ledger::{EventType, Lane};
use std::path::PathBuf;
use std::sync::Arc;
use touchline_common::config::{Coalesce, Config, FeedConfig, FeedKind, StoreConfig, StreamsConfig};
use touchline_common::control::Followed;
use touchline_common::model::MatchKey;

/// The recorder's part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordConfig {
    /// Names of the feeds; a feed's id is its place. Behind those that are configured stand those of which the store has matches that
    /// are not over.
    pub feeds: Vec<Arc<str>>,
    /// How many of them are configured.
    pub configured: usize,
    /// Which feeds are of rooms, by name.
    pub rooms: Vec<Arc<str>>,
    /// What each configured feed may state of a match's incidents.
    incidents: Vec<Bounds>,
    /// The database, absolute.
    pub path: PathBuf,
    pub store: StoreConfig,
    /// Types that stand in another lane than their own.
    pub lanes: Vec<(EventType, Lane)>,
    pub streams: StreamsConfig,
    pub coalesce: Coalesce,
}

impl RecordConfig {
    /// The recorder's part of `config`.
    pub fn new(config: &Config) -> RecordConfig {
        let lane = |(name, lane): (&String, &Lane)| {
            // A type that the ledger does not make has nothing to move.
            let kind = EventType::ALL.iter().find(|kind| kind.as_str() == name)?;
            Some((*kind, *lane))
        };
        let rooms = config.feed.iter().filter(|feed| feed.kind == FeedKind::Rooms);
        RecordConfig {
            feeds: config.feed.iter().map(|feed| Arc::from(feed.name.as_str())).collect(),
            configured: config.feed.len(),
            rooms: rooms.map(|feed| Arc::from(feed.name.as_str())).collect(),
            incidents: config.feed.iter().map(bounds).collect(),
            path: config.store_path(),
            store: config.store.clone(),
            lanes: config.lanes.iter().filter_map(lane).collect(),
            streams: config.streams.clone(),
            coalesce: config.limits.coalesce,
        }
    }

    /// Whether a match's feed is configured.
    pub fn is_configured(&self, key: &MatchKey) -> bool {
        usize::from(key.feed.0) < self.configured
    }

    /// The name of a match's feed, if it is known.
    pub fn feed(&self, key: &MatchKey) -> Option<&str> {
        self.feeds.get(usize::from(key.feed.0)).map(|name| &**name)
    }

    /// What a feed brings, by its name; without one what all that are configured bring.
    pub fn followed(&self, feed: Option<&str>) -> Followed {
        let is_of_rooms = match feed {
            Some(feed) => self.rooms.iter().any(|rooms| **rooms == *feed),
            None => self.configured > 0 && self.rooms.len() == self.configured,
        };
        if is_of_rooms { Followed::Rooms } else { Followed::Matches }
    }

    /// What its feed may state of a match's incidents.
    pub fn incidents(&self, key: &MatchKey) -> Bounds {
        self.incidents.get(usize::from(key.feed.0)).copied().unwrap_or(Bounds::DEFAULT)
    }

    /// The lane of a type, unless the configuration leaves it where it is.
    pub fn lane(&self, kind: EventType, own: Lane) -> Lane {
        self.lanes.iter().find(|(moved, _)| *moved == kind).map_or(own, |(_, lane)| *lane)
    }
}

fn bounds(feed: &FeedConfig) -> Bounds {
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    Bounds { held: count(feed.order_window), wait: feed.order_wait.get(), most: count(feed.max_incidents) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use touchline_common::model::{FeedId, MatchId};

    #[test]
    fn the_bounds_of_incidents_are_a_feeds_own() {
        let mut config = Config { feed: vec![FeedConfig::default(); 2], ..Config::default() };
        (config.feed[1].order_window, config.feed[1].max_incidents) = (0, 7);
        let config = RecordConfig::new(&config);
        let of = |feed| config.incidents(&MatchKey { feed: FeedId(feed), id: MatchId::from("1") });
        assert_eq!((of(0), of(2)), (Bounds::DEFAULT, Bounds::DEFAULT));
        assert_eq!(of(1), Bounds { held: 0, most: 7, ..Bounds::DEFAULT });
    }

    #[test]
    fn lanes_move_types() {
        let mut config = Config::default();
        config.lanes.insert("card".into(), Lane::Priority);
        config.lanes.insert("shot".into(), Lane::Priority);
        let json = config.to_child_json().unwrap();
        let config = RecordConfig::new(&Config::from_child_json(&json).unwrap());
        assert_eq!(config.lane(EventType::Card, Lane::Normal), Lane::Priority);
        assert_eq!(config.lane(EventType::Corner, Lane::Normal), Lane::Normal);
        assert_eq!(config.store.event_commit.get(), Duration::from_millis(10));
    }
}
