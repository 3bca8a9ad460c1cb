//! The ranking: a list of rooms in an HTTP server's answer, to what the coordinator gets of it.
//!
//! Each answer is a whole load. One that cannot be read, or whose pointers point nowhere, is an error and no load, so nothing is
//! dropped for it. One without any rooms counts once the next says the same.

use serde_json::Value;
use std::collections::{HashSet, VecDeque};
use touchline_common::config::Ranking;
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Listing, MatchId};

/// Changes given in one drain.
const MOST: usize = 512;
/// Bytes of an id, and of a title, at most; a room with a longer id is none.
const ID: usize = 128;
const TITLE: usize = 1024;

pub(super) struct List {
    pub(super) topic: String,
    last: Last,
    waiting: VecDeque<ListChange>,
}

/// What the last answers said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// There was none.
    Nothing,
    Rooms,
    /// That there are no rooms any more, which is not believed yet.
    Doubted,
    NoRooms,
}

impl List {
    pub(super) fn new(topic: &str) -> List {
        List { topic: topic.to_owned(), last: Last::Nothing, waiting: VecDeque::new() }
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.last != Last::Nothing
    }

    /// Takes an answer in place of what still waits of the one before.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn load(&mut self, ranking: &Ranking, body: &[u8]) -> Result<(), String> {
        let rooms = top(ranking, body)?;
        self.last = match (self.last, rooms.is_empty()) {
            (_, false) => Last::Rooms,
            (Last::Rooms, true) => Last::Doubted,
            (Last::Nothing | Last::Doubted | Last::NoRooms, true) => Last::NoRooms,
        };
        if self.last == Last::Doubted {
            return Ok(());
        }
        self.waiting.clear();
        self.waiting.push_back(ListChange::LoadBegin);
        self.waiting.extend(rooms.into_iter().map(|(id, name)| ListChange::Present {
            id,
            listing: Listing { name, in_play: true, ..Listing::default() },
        }));
        self.waiting.push_back(ListChange::LoadEnd);
        Ok(())
    }

    /// It is not followed any more, which ends no room.
    pub(super) fn lost(&mut self) {
        self.last = Last::Nothing;
        self.waiting.clear();
        self.waiting.push_back(ListChange::Lost);
    }

    /// Appends what came since the last call; of a large answer a part.
    pub(super) fn drain(&mut self, out: &mut Vec<ListChange>) {
        out.extend(self.waiting.drain(..self.waiting.len().min(MOST)));
    }
}

/// The most popular rooms that an answer names, each once, with its title.
fn top(ranking: &Ranking, body: &[u8]) -> Result<Vec<(MatchId, Option<String>)>, String> {
    let answer: Value = serde_json::from_slice(body).map_err(|error| format!("is no JSON ({error})"))?;
    let Ranking { list, id, .. } = ranking;
    let found = answer.pointer(list).ok_or_else(|| format!("has nothing at {list:?}: check ranking.list"))?;
    let rooms = found.as_array().ok_or_else(|| format!("has no list at {list:?}: check ranking.list"))?;
    let mut named = Vec::new();
    let mut seen = HashSet::new();
    for room in rooms {
        let Some(id) = room.pointer(id).and_then(id_of) else { continue };
        if seen.insert(id.clone()) {
            named.push((popularity(ranking, room), id, title(ranking, room)));
        }
    }
    if named.is_empty() && !rooms.is_empty() {
        return Err(format!("has no room with an id at {id:?}: check ranking.id"));
    }
    // Stable: of equal ones the first in the list stays first. Unknown ones come last.
    named.sort_by_key(|(popularity, _, _)| std::cmp::Reverse(*popularity));
    named.truncate(usize::try_from(ranking.top).unwrap_or(usize::MAX));
    Ok(named.into_iter().map(|(_, id, title)| (MatchId::from(id), title)).collect())
}

fn id_of(value: &Value) -> Option<String> {
    let id = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        Value::Number(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (1..=ID).contains(&id.len()).then_some(id)
}

/// What a pointer points at in a room; an empty one points nowhere.
fn at<'v>(room: &'v Value, pointer: &str) -> Option<&'v Value> {
    room.pointer(pointer).filter(|_| !pointer.is_empty())
}

fn popularity(ranking: &Ranking, room: &Value) -> Option<i64> {
    let value = at(room, &ranking.popularity)?;
    value
        .as_i64()
        .or_else(|| value.as_f64().map(|n| n as i64))
        .or_else(|| value.as_str()?.trim().parse().ok())
}

fn title(ranking: &Ranking, room: &Value) -> Option<String> {
    let title = at(room, &ranking.title)?.as_str()?.trim();
    (!title.is_empty()).then(|| super::line::cut(title, TITLE).to_owned())
}
