//! Which lines of chat came in the last minutes, by their ids: what two workers bring, or one brings again, is one line.
//!
//! Of each feed at most [`MOST`] ids are held, none for longer than [`KEEP`]; the oldest go first. An id is 16 bytes in a ring and
//! 6 to 12 in a table of places in that ring: some 100 MB a feed at the most, some 20 MB of one with 1,000 lines a second. With 64 bits
//! one line in 10^12 would be taken for another and lost. The hash has a secret, so nobody can choose ids that meet. Read again from the hour files at start. Pure but for that; called by the bulk stream's thread.

use crate::record::hours::read::Reader;
use crate::record::ledger::identity::siphash128;
use hashbrown::{HashMap, HashTable};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::model::{ChatKind, FeedId};

/// How long an id is held.
pub(super) const KEEP: Duration = Duration::from_secs(600);
/// Ids of a feed at most.
const MOST: usize = 1 << 22;
/// Ids that came within so long go together.
const STEP: Duration = Duration::from_secs(1);
/// How long the files are read at start, the newest rows first: workers wait meanwhile.
const READ_AGAIN: Duration = Duration::from_secs(2);
/// Ids below which the room of many is given back.
const FEW: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct Recent {
    feeds: HashMap<FeedId, Ids>,
    secret: [u64; 2],
    /// What is hashed, reused from line to line.
    named: Vec<u8>,
    /// Ids of a feed at most.
    most: usize,
}

impl Default for Recent {
    fn default() -> Recent {
        let secret = [RandomState::new(), RandomState::new()].map(|random| random.hash_one(0));
        Recent { feeds: HashMap::new(), secret, named: Vec::new(), most: MOST }
    }
}

impl Recent {
    /// The ids of the newest lines in the hour files of `folder`, whose feeds are named as in `feeds`, by place.
    pub(super) fn read_again(folder: &Path, feeds: &[Arc<str>], now: Instant) -> Recent {
        let mut recent = Recent::default();
        let (mut found, mut newest, began) = (Vec::new(), None, Instant::now());
        let span = i64::try_from(KEEP.as_micros()).unwrap_or(i64::MAX);
        let read = Reader::new(folder.to_owned()).newest_chat(&mut |said| {
            // Rows have no other clock than the wall's; their distance from the newest counts, not their age.
            let oldest = newest.get_or_insert(said.at).saturating_sub(span);
            let is_late = found.len() % FEW == FEW - 1 && began.elapsed() >= READ_AGAIN;
            if said.at < oldest || found.len() >= MOST || is_late {
                return ControlFlow::Break(());
            }
            let feed = feeds.iter().position(|name| **name == *said.feed);
            let kind = ChatKind::ALL.into_iter().find(|kind| kind.as_str() == said.kind);
            if let (Some(Ok(feed)), Some(kind)) = (feed.map(u16::try_from), kind) {
                found.push((FeedId(feed), recent.hash(said.id_of_match, kind, said.id)));
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            log::warn!(file:% = folder.to_string_lossy(), error:% = error; "hour.not_read");
        }
        for (feed, id) in found.into_iter().rev() {
            recent.feeds.entry(feed).or_default().insert(id, MOST, now);
        }
        recent
    }

    /// Whether a line of the match `of` is new. From now on it is not.
    pub(super) fn insert(&mut self, feed: FeedId, of: &str, kind: ChatKind, id: &str, now: Instant) -> bool {
        let id = self.hash(of, kind, id);
        self.feeds.entry(feed).or_default().insert(id, self.most, now)
    }

    /// Forgets what is too old.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.feeds.values_mut().for_each(|ids| ids.sweep(now));
    }

    fn hash(&mut self, of: &str, kind: ChatKind, id: &str) -> u128 {
        self.named.clear();
        self.named.push(kind as u8);
        // With its length: nothing of one name is taken for a part of the other.
        self.named.extend_from_slice(&(of.len() as u64).to_le_bytes());
        self.named.extend_from_slice(of.as_bytes());
        self.named.extend_from_slice(id.as_bytes());
        siphash128(self.secret, &self.named)
    }
}

/// The ids of one feed.
#[derive(Debug, Default)]
struct Ids {
    /// In the order in which they came. Each has a number, one above that of the id before it.
    ring: VecDeque<u128>,
    /// The number of the oldest.
    first: u32,
    /// Numbers, by id.
    table: HashTable<u32>,
    /// How many came in each step, and when it began.
    steps: VecDeque<(Instant, usize)>,
}

impl Ids {
    fn insert(&mut self, id: u128, most: usize, now: Instant) -> bool {
        let (ring, first) = (&self.ring, self.first);
        let of = |number: &u32| ring.get(number.wrapping_sub(first) as usize);
        if self.table.find(place(id), |number| of(number) == Some(&id)).is_some() {
            return false;
        }
        if self.ring.len() >= most {
            self.forget_oldest();
        }
        let (ring, first) = (&self.ring, self.first);
        let rehash =
            |number: &u32| ring.get(number.wrapping_sub(first) as usize).map_or(0, |known| place(*known));
        self.table.insert_unique(place(id), first.wrapping_add(ring.len() as u32), rehash);
        self.ring.push_back(id);
        match self.steps.back_mut() {
            Some((began, count)) if now.saturating_duration_since(*began) < STEP => *count += 1,
            Some(_) | None => self.steps.push_back((now, 1)),
        }
        true
    }

    fn sweep(&mut self, now: Instant) {
        while let Some((began, count)) = self.steps.front().copied()
            && now.saturating_duration_since(began) >= KEEP + STEP
        {
            (0..count).for_each(|_| self.forget_oldest());
        }
        if self.ring.capacity() > 4 * self.ring.len().max(FEW) {
            self.ring.shrink_to(2 * self.ring.len());
            let (ring, first) = (&self.ring, self.first);
            let rehash =
                |number: &u32| ring.get(number.wrapping_sub(first) as usize).map_or(0, |known| place(*known));
            self.table.shrink_to(2 * ring.len(), rehash);
        }
    }

    fn forget_oldest(&mut self) {
        let Some(id) = self.ring.pop_front() else { return };
        let number = self.first;
        self.first = number.wrapping_add(1);
        if let Ok(found) = self.table.find_entry(place(id), |known| *known == number) {
            found.remove();
        }
        if let Some((_, count)) = self.steps.front_mut() {
            *count -= 1;
            if *count == 0 {
                self.steps.pop_front();
            }
        }
    }
}

/// Where an id stands in the table: half of it is a hash.
fn place(id: u128) -> u64 {
    (id >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(recent: &mut Recent, id: u32, now: Instant) -> bool {
        recent.insert(FeedId(0), "room", ChatKind::Comment, &id.to_string(), now)
    }

    #[test]
    fn a_line_is_named_by_feed_match_kind_and_id() {
        let mut recent = Recent::default();
        let now = Instant::now();
        let mut new = |feed, of: &str, kind, id: &str| recent.insert(FeedId(feed), of, kind, id, now);
        assert!(new(0, "1", ChatKind::Comment, "23"));
        assert!(!new(0, "1", ChatKind::Comment, "23"));
        assert!(new(0, "12", ChatKind::Comment, "3"));
        assert!(new(0, "1", ChatKind::Gift, "23"));
        assert!(new(1, "1", ChatKind::Comment, "23"));
        assert!(new(0, "1", ChatKind::Retract, "23"), "it takes back what has this id");
        assert!(!new(0, "1", ChatKind::Retract, "23"));
    }

    #[test]
    fn ids_are_held_for_some_minutes_and_their_room_is_given_back() {
        let mut recent = Recent::default();
        let now = Instant::now();
        assert!((0..300_000).all(|id| said(&mut recent, id, now)));
        recent.sweep(now + KEEP);
        assert!((0..300_000).all(|id| !said(&mut recent, id, now + KEEP)));
        assert!(said(&mut recent, 300_000, now + KEEP));
        recent.sweep(now + KEEP + STEP);
        let ids = recent.feeds.get(&FeedId(0)).unwrap();
        assert_eq!((ids.ring.len(), ids.table.len(), ids.steps.len()), (1, 1, 1));
        assert!(ids.ring.capacity() <= 4 * FEW, "{}", ids.ring.capacity());
        assert!(said(&mut recent, 0, now + KEEP + STEP));
        assert!(!said(&mut recent, 300_000, now + KEEP + STEP));
    }

    #[test]
    fn of_too_many_the_oldest_go() {
        let mut recent = Recent { most: 100, ..Recent::default() };
        let now = Instant::now();
        recent.feeds.entry(FeedId(0)).or_default().first = u32::MAX - 150;
        for id in 0..1_000 {
            assert!(said(&mut recent, id, now + STEP * id));
            assert!(id < 100 || !said(&mut recent, id - 99, now + STEP * id));
        }
        let ids = recent.feeds.get(&FeedId(0)).unwrap();
        assert_eq!((ids.ring.len(), ids.table.len(), ids.steps.len()), (100, 100, 100));
        assert!(said(&mut recent, 899, now + STEP * 1_000), "it went");
    }
}
