//! A JSON value as it is held: numbers as they were written, members in the order in which they came.
//!
//! Invariants: of two members with one name there is only the last; nothing is deeper than [`MAX_DEPTH`], so that what walks a value may
//! call itself. What reads, writes or changes values stands in the files beside.

use compact_str::CompactString;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// No value is deeper, whatever the limits say.
pub(super) const MAX_DEPTH: usize = 256;
/// An object of more members is searched by hash.
const SEARCHED: usize = 16;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Node {
    #[default]
    Null,
    Bool(bool),
    /// As it was written.
    Number(CompactString),
    Text(CompactString),
    Array(Vec<Node>),
    Object(Members),
}

/// What a value takes of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Values of any kind, itself included.
    pub(super) nodes: usize,
    /// Of texts, numbers and names.
    pub(super) bytes: usize,
}

impl Size {
    pub(super) fn plus(self, other: Size) -> Size {
        Size { nodes: self.nodes.saturating_add(other.nodes), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl Node {
    /// The text of a text, number, `true` or `false`.
    pub(super) fn scalar(&self) -> Option<&str> {
        match self {
            Node::Number(text) | Node::Text(text) => Some(text),
            Node::Bool(true) => Some("true"),
            Node::Bool(false) => Some("false"),
            Node::Null | Node::Array(_) | Node::Object(_) => None,
        }
    }

    pub(super) fn is_container(&self) -> bool {
        match self {
            Node::Array(_) | Node::Object(_) => true,
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => false,
        }
    }

    pub(super) fn members(&self) -> Option<&Members> {
        match self {
            Node::Object(members) => Some(members),
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::Array(_) => None,
        }
    }

    pub(super) fn member(&self, name: &str) -> Option<&Node> {
        self.members()?.get(name)
    }

    /// The members, of which nothing is left here; of what is no object none.
    pub(super) fn take_members(&mut self) -> Members {
        match std::mem::take(self) {
            Node::Object(members) => members,
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::Array(_) => {
                Members::default()
            }
        }
    }

    pub(super) fn size(&self) -> Size {
        let one = |bytes| Size { nodes: 1, bytes };
        match self {
            Node::Null | Node::Bool(_) => one(0),
            Node::Number(text) | Node::Text(text) => one(text.len()),
            Node::Array(items) => items.iter().fold(one(0), |sum, item| sum.plus(item.size())),
            Node::Object(members) => members.iter().fold(one(0), |sum, (name, value)| {
                sum.plus(value.size()).plus(Size { nodes: 0, bytes: name.len() })
            }),
        }
    }

    /// How many arrays and objects stand within each other here.
    pub(super) fn depth(&self) -> usize {
        match self {
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => 0,
            Node::Array(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            Node::Object(members) => 1 + members.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    list: Vec<(CompactString, Node)>,
    /// Where each stands, once there are more than [`SEARCHED`].
    places: Option<Box<Places>>,
}

/// Places in a list of members by name.
#[derive(Clone, Debug, Default)]
struct Places {
    table: HashTable<u32>,
    hasher: RandomState,
}

impl Places {
    fn of(list: &[(CompactString, Node)]) -> Places {
        let mut places = Places::default();
        for place in 0..list.len() {
            places.note(list, place);
        }
        places
    }

    fn note(&mut self, list: &[(CompactString, Node)], place: usize) {
        let Places { table, hasher } = self;
        let hash =
            |place: &u32| list.get(*place as usize).map_or(0, |(name, _)| hasher.hash_one(name.as_str()));
        let place = place as u32;
        table.insert_unique(hash(&place), place, hash);
    }

    fn find(&self, list: &[(CompactString, Node)], name: &str) -> Option<usize> {
        let is_it = |place: &u32| list.get(*place as usize).is_some_and(|(held, _)| held.as_str() == name);
        self.table.find(self.hasher.hash_one(name), is_it).map(|place| *place as usize)
    }
}

impl PartialEq for Members {
    fn eq(&self, other: &Members) -> bool {
        self.list == other.list
    }
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.list.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn place(&self, name: &str) -> Option<usize> {
        match &self.places {
            Some(places) => places.find(&self.list, name),
            None => self.list.iter().position(|(held, _)| held.as_str() == name),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.list.get(self.place(name)?).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        let place = self.place(name)?;
        self.list.get_mut(place).map(|(_, value)| value)
    }

    /// Sets a member: in its place if it is there, else behind the others.
    pub(super) fn set(&mut self, name: CompactString, value: Node) {
        if let Some(held) = self.get_mut(&name) {
            *held = value;
            return;
        }
        self.list.push((name, value));
        match &mut self.places {
            Some(places) => places.note(&self.list, self.list.len() - 1),
            None => self.index(),
        }
    }

    /// Changes a member, which is `Null` before if it was not there.
    pub(super) fn update(&mut self, name: CompactString, change: impl FnOnce(&mut Node)) {
        match self.get_mut(&name) {
            Some(value) => change(value),
            None => {
                let mut value = Node::Null;
                change(&mut value);
                self.set(name, value);
            }
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Node> {
        let place = self.place(name)?;
        let (_, value) = self.list.remove(place);
        self.index();
        Some(value)
    }

    /// Removes the members that `keep` does not keep.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let before = self.list.len();
        self.list.retain(|(name, _)| keep(name));
        if self.list.len() != before {
            self.index();
        }
    }

    fn index(&mut self) {
        let many = self.list.len() > SEARCHED;
        self.places = many.then(|| Box::new(Places::of(&self.list)));
    }
}

impl IntoIterator for Members {
    type Item = (CompactString, Node);
    type IntoIter = std::vec::IntoIter<(CompactString, Node)>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}
