//! The match list: the entries of all list sources together, as what the coordinator gets of them.
//!
//! A body is `{"SOURCE":[entry,…],…}`, each a complete list; or it is a document, or a delta of one, with the entries in it. An id belongs to the first source that names it, and to its first entry there. A load
//! reports all of it, a delta what is another than before.

use super::Brought;
use super::find::{self, words};
use super::node::Node;
use super::ops::Tree;
use super::source::{ListDocument, Source};
use super::values;
use super::view::{joined, sport_id, state, stated};
use crate::payload::sport::Sport;
use crate::payload::{Limits, Result, TreeError};
use foldhash::quality::FixedState;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use touchline_common::config::{Status, Template};
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Listing, MatchId};

/// Changes reported in one drain: a list may have ten thousand matches.
const MOST: usize = 512;
/// Bytes of an id at most.
const MAX_ID: usize = 256;

#[derive(Debug)]
pub(super) struct List {
    pub(super) topic: String,
    /// The scalar members of an entry that the matches' topics name.
    names: Vec<String>,
    pending: VecDeque<ListChange>,
    /// Where the list is a document: that.
    tree: Option<Tree>,
    /// What was reported of each match: the hash of what the list knew of it.
    published: HashMap<MatchId, u64>,
}

/// What a list's body states.
#[derive(Default)]
pub(super) struct Stated {
    seen: HashSet<MatchId>,
    matches: Vec<(MatchId, Listing)>,
    /// Entries that were passed over: without an id, or with one that another has.
    pub(super) passed_over: u64,
}

impl List {
    pub(super) fn new(topic: &str, topics: &[Template]) -> List {
        let mut seen = HashSet::new();
        let names = topics.iter().flat_map(Template::names).filter(|name| seen.insert(*name));
        List {
            topic: topic.to_owned(),
            names: names.map(str::to_owned).collect(),
            pending: VecDeque::new(),
            tree: None,
            published: HashMap::new(),
        }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`TreeError::NotAList`], [`TreeError::PointsNowhere`]: a source's entries have no ids where they should be.
    pub(super) fn read(&self, body: &Node, sources: &[Source]) -> Result<Stated> {
        let not_a_list = || TreeError::NotAList { topic: self.topic.clone() };
        let lists = body.members().ok_or_else(not_a_list)?;
        let mut stated = Stated::default();
        // In the order of the configuration, whatever the order of the body.
        for source in sources {
            let Some(entries) = lists.get(&source.name) else { continue };
            let Node::Array(entries) = entries else { return Err(not_a_list()) };
            self.read_entries(&mut entries.iter(), source, &mut stated)?;
        }
        Ok(stated)
    }

    /// Takes a document that is the list, or a delta of it.
    ///
    /// # Errors
    /// Why a delta cannot be applied: what is held is as it was.
    pub(super) fn hold(
        &mut self,
        document: &ListDocument,
        body: Node,
        brought: Brought,
        limits: &Limits,
    ) -> Result<()> {
        let topic = self.topic.as_bytes();
        match (&mut self.tree, brought) {
            (tree, Brought::Load | Brought::Audit) => *tree = Some(Tree::new(body)),
            (Some(tree), Brought::Delta) => tree
                .apply(&document.source.delta, body, limits)
                .map_err(|error| TreeError::delta(topic, error))?,
            (None, Brought::Delta) => return Err(TreeError::not_held(topic)),
        }
        Ok(())
    }

    /// Reads the document that is held. Its entries may be an array, or an object.
    ///
    /// # Errors
    /// As [`List::read`].
    pub(super) fn read_document(&self, document: &ListDocument) -> Result<Stated> {
        let not_a_list = || TreeError::NotAList { topic: self.topic.clone() };
        let root = self.tree.as_ref().map(Tree::root);
        let mut stated = Stated::default();
        match root.and_then(|root| find::find(root, &document.items)) {
            Some(Node::Array(entries)) => {
                self.read_entries(&mut entries.iter(), &document.source, &mut stated)?;
            }
            Some(Node::Object(entries)) => {
                let mut entries = entries.iter().map(|(_, entry)| entry);
                self.read_entries(&mut entries, &document.source, &mut stated)?;
            }
            Some(Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_)) | None => {
                return Err(not_a_list());
            }
        }
        Ok(stated)
    }

    fn read_entries(
        &self,
        entries: &mut dyn Iterator<Item = &Node>,
        source: &Source,
        stated: &mut Stated,
    ) -> Result<()> {
        let entries: Vec<(&Node, Option<MatchId>)> =
            entries.map(|entry| (entry, id(entry, source))).collect();
        if !entries.is_empty() && entries.iter().all(|(_, id)| id.is_none()) {
            return Err(TreeError::PointsNowhere {
                source: source.name.clone(),
                key: "id",
                pointer: source.id.to_string(),
            });
        }
        for (entry, id) in entries {
            match id.filter(|id| stated.seen.insert(id.clone())) {
                Some(id) => {
                    let listing = self.listing(entry, source, &id);
                    stated.matches.push((id, listing));
                }
                None => stated.passed_over += 1,
            }
        }
        Ok(())
    }

    /// All is reported anew.
    pub(super) fn load(&mut self, stated: Stated) {
        self.pending.clear();
        self.published.clear();
        self.pending.push_back(ListChange::LoadBegin);
        for (id, listing) in stated.matches {
            self.published.insert(id.clone(), hash(&listing));
            self.pending.push_back(ListChange::Present { id, listing });
        }
        self.pending.push_back(ListChange::LoadEnd);
    }

    /// What is another than before is reported.
    pub(super) fn delta(&mut self, stated: Stated) {
        let mut before = std::mem::take(&mut self.published);
        let mut present = Vec::new();
        for (id, listing) in stated.matches {
            let hash = hash(&listing);
            if before.remove(&id) != Some(hash) {
                present.push(ListChange::Present { id: id.clone(), listing });
            }
            self.published.insert(id, hash);
        }
        let mut gone: Vec<MatchId> = before.into_keys().collect();
        gone.sort_unstable();
        self.pending.extend(gone.into_iter().map(|id| ListChange::Gone { id }));
        self.pending.extend(present);
    }

    /// It is not followed, which ends no match.
    pub(super) fn lost(&mut self) {
        self.pending.clear();
        self.published.clear();
        self.tree = None;
        self.pending.push_back(ListChange::Lost);
    }

    pub(super) fn drain(&mut self, out: &mut Vec<ListChange>) {
        out.extend(self.pending.drain(..self.pending.len().min(MOST)));
    }

    fn listing(&self, entry: &Node, source: &Source, id: &MatchId) -> Listing {
        let reading = &source.reading;
        let at = |pointer: &Option<_>| words(entry, pointer.as_ref());
        let own = |text: &str| text.to_owned();
        let sides = [at(&reading.home), at(&reading.away)];
        let name = at(&reading.title).map(own).or_else(|| joined(sides).map(Cow::into_owned));
        let sport_id = stated(entry, reading.sport.as_ref()).map(|word| sport_id(word).into_owned());
        let score = reading.score.as_ref().and_then(|score| {
            let [home, away] = [&score.home, &score.away].map(|pointer| words(entry, Some(pointer)));
            Some(format!("{}-{}", home?, away?))
        });
        Listing {
            name,
            sport: sport_id.as_deref().and_then(Sport::by_id).map(|sport| sport.name.to_owned()),
            sport_id,
            competition: stated(entry, reading.competition.as_ref()).map(own),
            score,
            period: at(&reading.period).map(own),
            in_play: state(entry, reading).is_some_and(is_in_play),
            starts_at: at(&reading.time).and_then(values::time).map(|micros| micros.div_euclid(1_000_000)),
            attributes: self.names.iter().filter_map(|name| attribute(entry, name, id)).collect(),
        }
    }
}

/// A scalar member of the entry; `ID` is the match's id where it has no such member.
fn attribute(entry: &Node, name: &str, id: &MatchId) -> Option<(String, String)> {
    let stated = entry.member(name).and_then(Node::scalar);
    let value = stated.or_else(|| (name == "ID").then(|| id.as_str()))?;
    Some((name.to_owned(), value.to_owned()))
}

fn id(entry: &Node, source: &Source) -> Option<MatchId> {
    let is_id = |id: &&str| !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control);
    let text = match find::find(entry, &source.id)? {
        Node::Text(text) => text.trim(),
        Node::Number(text) if !text.contains(['.', 'e', 'E']) => text,
        Node::Number(_) | Node::Null | Node::Bool(_) | Node::Array(_) | Node::Object(_) => return None,
    };
    Some(text).filter(is_id).map(MatchId::from)
}

fn is_in_play(status: Status) -> bool {
    match status {
        Status::InPlay | Status::Break | Status::Suspended => true,
        Status::NotStarted | Status::Finished | Status::Abandoned | Status::Unknown => false,
    }
}

fn hash(listing: &Listing) -> u64 {
    FixedState::default().hash_one(listing)
}
