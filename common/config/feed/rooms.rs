//! What a feed of kind `rooms` has beside what all feeds have: which rooms, how many, who may be stored.

use super::FeedConfig;
use super::section::section;
use crate::config::units::Dur;
use crate::config::url::Url;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// However seldom a heartbeat is sent.
const STALE_MAX: Duration = Duration::from_secs(366 * 86_400);

section! {
    pub struct RoomsConfig {
        /// Further servers that have the same rooms, tried in turn after `url`.
        hosts: Vec<Url> = Vec::new(),
        /// Rooms to follow where there is no ranking.
        rooms: Vec<String> = Vec::new(),
        /// A file that names them, one a line, watched; empty: none.
        rooms_file: String = String::new(),
        /// Where the rooms to follow are asked for again and again; without a `url`: nowhere.
        ranking: Ranking = Ranking::default(),
        /// Rooms of one worker at most.
        max_rooms: u32 = 100,
        /// Connections of one worker to one address at most.
        max_per_address: u32 = 100,
        /// A file with what rooms are joined with, read at each join; empty: nothing.
        auth_file: String = String::new(),
        /// What is stored of people.
        users: Users = Users::Keep,
    }
}

/// Fills in what all feeds have: a room of which nobody says a word brings the answer to its heartbeat, so it is stale no sooner than a second
/// one is due.
pub(super) fn derive(feed: &mut FeedConfig) {
    let answers = feed.beats.heartbeat.every.get().saturating_mul(2);
    feed.stale_after = feed.stale_after.max(Dur(answers.min(STALE_MAX)));
}

/// A list of rooms in the answer of an HTTP server, in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ranking {
    /// Empty: there is none.
    pub url: String,
    pub every: Dur,
    /// JSON pointer (RFC 6901) of the array of rooms.
    pub list: String,
    /// JSON pointer, in a room, of its id: a text or an integer.
    pub id: String,
    /// JSON pointers, in a room; empty or pointing nowhere: unknown.
    pub title: String,
    pub popularity: String,
    /// So many of the most popular; of equal or unknown popularity, those that stand first.
    pub top: u32,
}

impl Default for Ranking {
    fn default() -> Self {
        Ranking {
            url: String::new(),
            every: Dur::secs(60),
            list: "/data/list".to_owned(),
            id: "/roomid".to_owned(),
            title: "/title".to_owned(),
            popularity: "/online".to_owned(),
            top: 100,
        }
    }
}

/// What is stored of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Users {
    /// Their names.
    Keep,
    /// A keyed hash of their id, so that one person's lines can be counted and nobody be named.
    Hash,
    Drop,
}
