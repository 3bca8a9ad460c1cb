//! What is held of a room: a state, a title, four statistics, how many lines of each kind came, and which commands are not known.
//!
//! Some hundred bytes, whatever comes: texts are cut, unknown commands are [`UNKNOWN`] names at most.

use super::line::cut;
use crate::payload::observe::Received;
use std::collections::BTreeMap;
use touchline_common::model::{Change, ChatKind, Listing, Phase, Register, Registers};

/// Names of unknown commands that are counted apart; further ones, and longer ones, are counted as [`OTHERS`].
const UNKNOWN: usize = 64;
const UNKNOWN_NAME: usize = 64;
const OTHERS: &str = "others";
/// Bytes of a title at most.
const TITLE: usize = 1024;

/// Nanoseconds from a change of popularity to the next that is told, and between renderings for counts alone.
pub(super) const POPULARITY_NS: u64 = 10_000_000_000;
pub(super) const COUNTS_NS: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Live,
    Preparing,
    CutOff,
}

/// Statistics that are told when they change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statistic {
    Viewers,
    Likes,
    Popularity,
    Online,
}

impl Statistic {
    pub(super) const ALL: [Statistic; 4] = [Self::Viewers, Self::Likes, Self::Popularity, Self::Online];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Statistic::Viewers => "viewers",
            Statistic::Likes => "likes",
            Statistic::Popularity => "popularity",
            Statistic::Online => "online",
        }
    }
}

impl State {
    /// As documents write it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            State::Live => "in_play",
            State::Preparing => "not_started",
            State::CutOff => "suspended",
        }
    }
}

/// Lines since the first load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    comments: i64,
    gifts: i64,
    super_chats: i64,
}

impl Counts {
    pub(super) fn add(&mut self, kind: ChatKind) {
        match kind {
            ChatKind::Comment => self.comments += 1,
            ChatKind::Gift => self.gifts += 1,
            ChatKind::SuperChat => self.super_chats += 1,
            // What was said stays counted.
            ChatKind::Retract => {}
        }
    }

    pub(super) fn named(self) -> [(&'static str, i64); 3] {
        [("comments", self.comments), ("gifts", self.gifts), ("super_chats", self.super_chats)]
    }
}

/// How far a room has been followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Followed {
    /// Nothing came.
    #[default]
    New,
    /// It was joined; what is known of it stays until it is joined again.
    Joined,
}

/// The sections that are to be rendered again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dirty {
    pub(super) head: bool,
    pub(super) tail: bool,
}

impl Dirty {
    pub(super) const HEAD: Dirty = Dirty { head: true, tail: false };
    pub(super) const TAIL: Dirty = Dirty { head: false, tail: true };
    pub(super) const BOTH: Dirty = Dirty { head: true, tail: true };
}

#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) topic: Box<str>,
    pub(super) listing: Listing,
    pub(super) followed: Followed,
    /// What the room said last.
    stated: Option<State>,
    /// Whether it was ever live: that is never taken back.
    played: bool,
    title: String,
    values: [Option<i64>; 4],
    /// A popularity that is told later, and from when on one may be told.
    pub(super) popularity: Option<i64>,
    pub(super) popularity_from: u64,
    pub(super) counts: Counts,
    /// Whether counts rose that no rendering shows, and from when on one may.
    pub(super) counted: bool,
    pub(super) counts_from: u64,
    pub(super) unknown: BTreeMap<Box<str>, i64>,
    /// When something of it is due, as [`Room::next_due`] said.
    pub(super) due: Option<u64>,
    pub(super) dirty: Dirty,
    pub(super) dirty_since: Option<u64>,
    pub(super) head_hash: Option<u64>,
    pub(super) tail_hash: Option<u64>,
    pub(super) received: Received,
}

impl Room {
    pub(super) fn new(topic: &str, listing: Listing) -> Room {
        Room { topic: topic.into(), listing, ..Room::default() }
    }

    /// Whether there is something to show.
    pub(super) fn is_shown(&self) -> bool {
        self.followed != Followed::New
    }

    pub(super) fn name(&self) -> &str {
        let stated = Some(&*self.title).filter(|title| !title.is_empty());
        stated.or(self.listed_name()).unwrap_or(&self.topic)
    }

    fn listed_name(&self) -> Option<&str> {
        self.listing.name.as_deref().map(str::trim).filter(|name| !name.is_empty())
    }

    /// The state it stated, else the list's word that it is live.
    pub(super) fn state(&self) -> Option<State> {
        self.stated.or(self.listing.in_play.then_some(State::Live))
    }

    pub(super) fn status(&self) -> &'static str {
        self.state().map_or("unknown", State::as_str)
    }

    pub(super) fn statistics(&self) -> impl Iterator<Item = (Statistic, i64)> {
        let known = Statistic::ALL.into_iter().zip(self.values);
        known.filter_map(|(statistic, value)| Some((statistic, value?)))
    }

    pub(super) fn registers(&self) -> Registers {
        self.played.then_some((Register::Phase, Phase::playing(1).0)).into_iter().collect()
    }

    /// The values of a base.
    pub(super) fn changes(&self) -> Vec<Change<'static>> {
        let state = self.state().map(|state| ("status", state.as_str().to_owned()));
        let values = self.statistics().map(|(statistic, value)| (statistic.as_str(), value.to_string()));
        let stat = |(key, text): (&'static str, String)| Change::Stat {
            key: key.into(),
            side: None,
            text: text.into(),
        };
        values.chain(state).map(stat).collect()
    }

    /// Sets what the room states; whether its state is another than before.
    pub(super) fn state_is(&mut self, state: State) -> bool {
        let before = self.state();
        self.stated = Some(state);
        before != Some(state)
    }

    /// Takes note that the room is live, if it is; whether that is the first time.
    pub(super) fn begins(&mut self) -> bool {
        self.state() == Some(State::Live) && !std::mem::replace(&mut self.played, true)
    }

    /// Sets a title, cut; whether it is another one.
    pub(super) fn title_is(&mut self, title: &str) -> bool {
        let title = cut(title.trim(), TITLE);
        let differs = self.title != title && !title.is_empty();
        if differs {
            title.clone_into(&mut self.title);
        }
        differs
    }

    /// Sets a statistic; whether it is another value.
    pub(super) fn value_is(&mut self, statistic: Statistic, value: i64) -> bool {
        let place = self.values.get_mut(statistic as usize);
        place.is_some_and(|place| place.replace(value) != Some(value))
    }

    pub(super) fn value(&self, statistic: Statistic) -> Option<i64> {
        self.values.get(statistic as usize).copied().flatten()
    }

    pub(super) fn count_unknown(&mut self, name: &str) {
        if let Some(count) = self.unknown.get_mut(name) {
            *count += 1;
            return;
        }
        let room = self.unknown.len() < UNKNOWN && name.len() <= UNKNOWN_NAME;
        let name = if room { name } else { OTHERS };
        *self.unknown.entry(name.into()).or_default() += 1;
    }

    /// It is joined again later. A room that a list names is then as the list says: what it said while nobody followed it is not known.
    pub(super) fn lose(&mut self) {
        if self.listing.in_play {
            self.stated = None;
        }
        if self.listed_name().is_some() {
            self.title.clear();
        }
        self.popularity = None;
    }

    /// When something is to be told or shown that waits.
    pub(super) fn next_due(&self) -> Option<u64> {
        let popularity = self.popularity.map(|_| self.popularity_from);
        let counts = self.counted.then_some(self.counts_from);
        popularity.into_iter().chain(counts).min()
    }
}
