//! Rooms: which sessions are in which, and what is sent to them.
//!
//! A room is there while somebody is in it; whoever listens for a room elsewhere hears of its first member and of its last. Pure. Callers: the
//! loop, at what sessions do and at what is published.

mod broadcast;
#[cfg(test)]
mod tests;

pub(super) use broadcast::{Broadcast, Delivery, Emitted, Namespace, RoomName};

use hashbrown::{HashMap, HashSet};

/// Rooms of one session in one namespace at most.
pub(super) const ROOMS_PER_SESSION: usize = 64;
/// Rooms at most.
const ROOMS: usize = 200_000;

/// Names a session for as long as the gateway lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SessionId {
    pub slot: usize,
    /// Counts the sessions: a slot is used again.
    pub birth: u64,
}

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
type Set<T> = HashSet<T, foldhash::fast::RandomState>;

#[derive(Debug, Default)]
pub(super) struct Rooms {
    namespaces: Map<Namespace, Members>,
    /// Rooms of all namespaces.
    count: usize,
}

#[derive(Debug, Default)]
struct Members {
    /// Everybody, with the rooms that each is in.
    sessions: Map<SessionId, Vec<RoomName>>,
    rooms: Map<RoomName, Set<SessionId>>,
}

/// What joining a room came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// Nobody was in it before.
    First,
    Another,
    Already,
    /// It is not in the namespace, or at a bound.
    Refused,
}

impl Rooms {
    /// The session takes part in the namespace.
    pub(super) fn enter(&mut self, session: SessionId, namespace: &Namespace) {
        let members = match self.namespaces.get_mut(namespace) {
            Some(members) => members,
            None => self.namespaces.entry(namespace.clone()).or_default(),
        };
        members.sessions.entry(session).or_default();
    }

    pub(super) fn join(&mut self, session: SessionId, namespace: &Namespace, room: &RoomName) -> Joined {
        let Some(members) = self.namespaces.get_mut(namespace) else { return Joined::Refused };
        let Some(joined) = members.sessions.get_mut(&session) else { return Joined::Refused };
        if joined.contains(room) {
            return Joined::Already;
        }
        let is_new = !members.rooms.contains_key(room);
        if joined.len() >= ROOMS_PER_SESSION || (is_new && self.count >= ROOMS) {
            return Joined::Refused;
        }
        joined.push(room.clone());
        members.rooms.entry(room.clone()).or_default().insert(session);
        self.count += usize::from(is_new);
        if is_new { Joined::First } else { Joined::Another }
    }

    /// Takes a session out of a room; whether nobody is left in it.
    pub(super) fn leave(&mut self, session: SessionId, namespace: &Namespace, room: &RoomName) -> bool {
        let Some(members) = self.namespaces.get_mut(namespace) else { return false };
        if let Some(joined) = members.sessions.get_mut(&session) {
            joined.retain(|known| known != room);
        }
        let is_empty = members.leave(session, room);
        self.count -= usize::from(is_empty);
        is_empty
    }

    /// The session leaves the namespace and all its rooms; those in which nobody is left.
    pub(super) fn exit(&mut self, session: SessionId, namespace: &Namespace) -> Vec<RoomName> {
        let Some(members) = self.namespaces.get_mut(namespace) else { return Vec::new() };
        let mut rooms = members.sessions.remove(&session).unwrap_or_default();
        rooms.retain(|room| members.leave(session, room));
        self.count -= rooms.len();
        if members.sessions.is_empty() {
            self.namespaces.remove(namespace);
        }
        rooms
    }

    /// The rooms that a session is in.
    #[cfg(test)]
    pub(super) fn of(&self, session: SessionId, namespace: &Namespace) -> &[RoomName] {
        let members = self.namespaces.get(namespace);
        members.and_then(|members| members.sessions.get(&session)).map_or(&[], Vec::as_slice)
    }

    #[cfg(test)]
    pub(super) fn has(&self, namespace: &Namespace, room: &RoomName) -> bool {
        self.namespaces.get(namespace).is_some_and(|members| members.rooms.contains_key(room))
    }

    /// Every room that somebody is in.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Namespace, &RoomName)> {
        self.namespaces
            .iter()
            .flat_map(|(namespace, members)| members.rooms.keys().map(move |room| (namespace, room)))
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Who is in a room.
    pub(super) fn members(&self, namespace: &Namespace, room: &RoomName) -> Vec<SessionId> {
        let members = self.namespaces.get(namespace).and_then(|members| members.rooms.get(room));
        members.into_iter().flatten().copied().collect()
    }

    /// Those to whom a message goes, each once.
    pub(super) fn select(&self, message: &Broadcast) -> Vec<SessionId> {
        let Some(members) = self.namespaces.get(&message.namespace) else { return Vec::new() };
        let mut selected: Vec<SessionId> = match message.rooms.as_slice() {
            [] => members.sessions.keys().copied().collect(),
            [room] => members.rooms.get(room).into_iter().flatten().copied().collect(),
            rooms => {
                let of_all = rooms.iter().filter_map(|room| members.rooms.get(room)).flatten();
                of_all.copied().collect::<Set<SessionId>>().into_iter().collect()
            }
        };
        for room in message.except.iter().filter_map(|room| members.rooms.get(room)) {
            selected.retain(|session| !room.contains(session));
        }
        selected
    }
}

impl Members {
    fn leave(&mut self, session: SessionId, room: &RoomName) -> bool {
        let Some(inside) = self.rooms.get_mut(room) else { return false };
        let was_in = inside.remove(&session);
        let is_empty = was_in && inside.is_empty();
        if is_empty {
            self.rooms.remove(room);
        }
        is_empty
    }
}
