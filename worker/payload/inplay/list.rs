//! The match list: from an overview's tree to what the coordinator gets of it.
//!
//! Each event node is a match. Changes are collected per node and reported at the next drain, so that a match that
//! changes often in one read is reported once, and only if what the list knows of it really differs.

use super::forest::Forest;
use super::json_text::lossy;
use super::mapping::{Class, Role};
use super::store::{NIL, NodeId, TreeId};
use super::text;
use crate::payload::sport::Sport;
use foldhash::quality::FixedState;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use touchline_common::config::Template;
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Listing, MatchId};

#[derive(Debug)]
pub(super) struct List {
    pub(super) tree: TreeId,
    id: Template,
    names: Vec<String>,
    news: News,
    /// Event nodes that changed, in order, each once.
    changed: Vec<NodeId>,
    waiting: HashSet<NodeId>,
    /// Matches of which an event node is gone; another may be there.
    gone: Vec<MatchId>,
    /// What was reported of each event node; of what the list knew the hash, so that two that differ are the same to us once
    /// in 2^64.
    published: HashMap<NodeId, (MatchId, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Changes,
    Load,
    Loading,
    Lost,
}

/// Matches of a load reported in one drain: a list may have ten thousand, and their texts are all made for that.
const MOST: usize = 512;

impl List {
    pub(super) fn new(tree: TreeId, id: Template, topics: &[Template]) -> Self {
        let mut seen = HashSet::new();
        let names = topics.iter().flat_map(Template::names).filter(|name| seen.insert(*name));
        Self {
            tree,
            id,
            names: names.map(str::to_owned).collect(),
            news: News::Changes,
            changed: Vec::new(),
            waiting: HashSet::new(),
            gone: Vec::new(),
            published: HashMap::new(),
        }
    }

    fn mark(&mut self, id: NodeId) {
        if self.waiting.insert(id) {
            self.changed.push(id);
        }
    }

    fn begin(&mut self, news: News) {
        self.news = news;
        self.changed.clear();
        self.waiting.clear();
        self.gone.clear();
        self.published.clear();
    }

    fn forget(&mut self, id: NodeId) {
        self.waiting.remove(&id);
        self.gone.extend(self.published.remove(&id).map(|(key, _)| key));
    }
}

impl Forest {
    /// Appends what changed in a list since the last call, in order; of a load a part, which is followed by the rest with the next
    /// calls, until one appends nothing.
    pub(super) fn drain(&self, list: &mut List, out: &mut Vec<ListChange>) {
        let news = list.news;
        match news {
            News::Load => {
                out.push(ListChange::LoadBegin);
                list.news = News::Loading;
            }
            News::Lost => {
                out.push(ListChange::Lost);
                list.news = News::Changes;
            }
            News::Loading | News::Changes => {}
        }
        let at_once = if list.news == News::Loading { MOST } else { usize::MAX };
        let mut present = Vec::new();
        let changed: Vec<NodeId> = list.changed.drain(..list.changed.len().min(at_once)).collect();
        for id in changed {
            // Deleted again before the drain.
            if list.waiting.remove(&id) {
                self.look(list, id, &mut present);
            }
        }
        let gone = std::mem::take(&mut list.gone);
        if news == News::Changes && !gone.is_empty() {
            let mut known: HashSet<&MatchId> = list.published.values().map(|(id, _)| id).collect();
            out.extend(
                gone.iter().filter(|id| known.insert(id)).map(|id| ListChange::Gone { id: id.clone() }),
            );
        }
        out.append(&mut present);
        if list.news == News::Loading && list.changed.is_empty() {
            out.push(ListChange::LoadEnd);
            list.news = News::Changes;
        }
    }

    /// Reports an event node if its listing differs from what was reported.
    fn look(&self, list: &mut List, id: NodeId, out: &mut Vec<ListChange>) {
        let Ok(key) = list.id.fill(|name| self.list_value(id, name)).map(MatchId::from) else {
            list.forget(id);
            return;
        };
        let listing = self.listing_of(list, id);
        let hash = FixedState::default().hash_one(&listing);
        if let Some((last_key, before)) = list.published.get(&id) {
            if *last_key == key && *before == hash {
                return;
            }
            if *last_key != key {
                list.forget(id);
            }
        }
        list.published.insert(id, (key.clone(), hash));
        out.push(ListChange::Present { id: key, listing });
    }

    /// The value that a template's name has at an event node: `KEY` of the node, `TYPE.KEY` of an ancestor.
    fn list_value(&self, event: NodeId, name: &str) -> Option<Cow<'_, str>> {
        let (id, key) = match name.split_once('.') {
            None => (event, name),
            Some((kind, key)) => {
                let is_kind = |id: &NodeId| text::type_word(self.store.text(*id)) == kind.as_bytes();
                (self.store.upwards(event).skip(1).find(is_kind).unwrap_or(NIL), key)
            }
        };
        let text = self.store.text(id);
        let (start, end) = text::find_name(text, key.as_bytes())?;
        text.get(start..end).filter(|value| !value.is_empty()).map(lossy)
    }

    fn listing_of(&self, list: &List, event: NodeId) -> Listing {
        let attribute = |id: NodeId, class: Class, role: Role| {
            let value = self.store.attribute(id, self.mapping.key(class, role))?.trim_ascii();
            (!value.is_empty()).then(|| lossy(value).into_owned())
        };
        let above = |class: Class, role: Role| attribute(self.store.nearest(event, class), class, role);
        let own = |role| attribute(event, Class::Event, role);
        let attributes = list.names.iter().filter_map(|name| {
            let value = self.list_value(event, name)?;
            Some((name.clone(), value.into_owned()))
        });
        let sport_id = own(Role::Sport).or_else(|| above(Class::Sport, Role::Id));
        Listing {
            name: own(Role::Name),
            sport: sport_id.as_deref().and_then(Sport::by_id).map(|sport| sport.name.to_owned()),
            sport_id,
            competition: own(Role::Competition).or_else(|| above(Class::Competition, Role::Name)),
            score: own(Role::Score),
            period: own(Role::Period),
            in_play: own(Role::InPlay).as_deref() == Some("1"),
            starts_at: own(Role::Start)
                .and_then(|text| text::whole(text.as_bytes(), 15))
                .map(|n| n as i64)
                .filter(|n| *n > 0),
            attributes: attributes.collect(),
        }
    }

    // --- what the trees report ---

    fn list_of(&mut self, tree: TreeId) -> Option<&mut List> {
        self.lists.iter_mut().find(|list| list.tree == tree)
    }

    /// A list's load: all is reported anew.
    pub(super) fn list_loaded(&mut self, tree: TreeId) {
        let events: Vec<NodeId> = self.store.outlined(tree, Class::Event).collect();
        let Some(list) = self.list_of(tree) else { return };
        list.begin(News::Load);
        for id in events {
            list.mark(id);
        }
    }

    /// The server ended the list's topic: it is not followed, which ends no match.
    pub(super) fn list_lost(&mut self, tree: TreeId) {
        if let Some(list) = self.list_of(tree) {
            list.begin(News::Lost);
        }
    }

    /// A node came, or its attributes changed: an event's own, or those of a node above events.
    pub(super) fn list_changed(&mut self, tree: TreeId, top: NodeId) {
        let Some(list) = self.lists.iter_mut().find(|list| list.tree == tree) else { return };
        let mut id = top;
        while id != NIL {
            let class = self.store.node(id).class;
            if class == Class::Event {
                list.mark(id);
            }
            // Nothing below a market is an event.
            id = if class.is_odds() { self.store.after_subtree(top, id) } else { self.store.after(top, id) };
        }
    }

    pub(super) fn list_deleted(&mut self, tree: TreeId, top: NodeId) {
        let Some(list) = self.lists.iter_mut().find(|list| list.tree == tree) else { return };
        for id in self.store.subtree(top).filter(|id| self.store.node(*id).class == Class::Event) {
            list.forget(id);
        }
    }
}
