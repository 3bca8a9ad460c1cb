//! The parts of one document under one epoch: head, tail, markets. A part has the same place for as long as the content lives.

use crate::record::store::schema::{HEAD, MARKET, TAIL};
use hashbrown::HashMap;
use std::sync::Arc;

/// A part by its place, so that no name is looked up when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId(pub(super) u32);

impl PartId {
    pub const HEAD: PartId = PartId(0);
    pub const TAIL: PartId = PartId(1);
}

#[derive(Debug)]
struct Part {
    /// As in the store.
    name: Arc<str>,
    /// Shared with the store's thread while it saves; `None` if the document has no such part.
    text: Option<Arc<String>>,
    saved: bool,
}

#[derive(Debug)]
pub(super) struct Content {
    /// The head, the tail, then the markets.
    parts: Vec<Part>,
    places: HashMap<Arc<str>, PartId, foldhash::fast::RandomState>,
}

impl Default for Content {
    fn default() -> Content {
        let mut content = Content { parts: Vec::new(), places: HashMap::default() };
        for name in [HEAD, TAIL] {
            content.place(&Arc::from(name), PartId::HEAD);
        }
        content
    }
}

impl Content {
    pub(super) fn restored(sections: Vec<(String, String)>) -> Content {
        let mut content = Content::default();
        for (name, text) in sections {
            if [HEAD, TAIL].contains(&&*name) || name.starts_with(MARKET) {
                let place = content.place(&Arc::from(name), PartId::HEAD);
                if let Some(part) = content.part_mut(place) {
                    part.text = Some(Arc::new(text));
                }
            }
        }
        content
    }

    /// Where the part of this name stands, which was `hint` when it was last asked for in this content or another.
    pub(super) fn place(&mut self, name: &Arc<str>, hint: PartId) -> PartId {
        if self.part(hint).is_some_and(|part| part.name == *name) {
            return hint;
        }
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = PartId(self.parts.len() as u32);
        self.parts.push(Part { name: Arc::clone(name), text: None, saved: true });
        self.places.insert(Arc::clone(name), place);
        place
    }

    /// Sets a part; `None` removes it.
    pub(super) fn set(&mut self, id: PartId, text: Option<&str>) {
        if let Some(part) = self.part_mut(id) {
            part.set(text);
        }
    }

    pub(super) fn clear(&mut self) {
        self.parts.iter_mut().filter(|part| part.text.is_some()).for_each(|part| part.set(None));
    }

    /// Forgets which of the parts are saved, since the store holds those of `former`.
    pub(super) fn replaces(&mut self, former: &Content) {
        for part in former.parts.iter().filter(|part| part.text.is_some()) {
            // Where this one has no such part, the store deletes it.
            self.place(&part.name, PartId::HEAD);
        }
        self.parts.iter_mut().for_each(|part| part.saved = false);
    }

    pub(super) fn text(&self, id: PartId) -> Option<&str> {
        self.part(id)?.text.as_deref().map(String::as_str)
    }

    pub(super) fn name(&self, id: PartId) -> &str {
        self.part(id).map_or(HEAD, |part| &part.name)
    }

    pub(super) fn markets(&self) -> impl Iterator<Item = (&str, &str)> {
        let held = self.parts.iter();
        held.filter_map(|part| Some((part.name.strip_prefix(MARKET)?, part.text.as_deref()?.as_str())))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text(PartId::HEAD).is_none()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = PartId> + use<> {
        (0..self.parts.len() as u32).map(PartId)
    }

    /// Takes what is not saved, by name; a part that is gone has no text.
    pub(super) fn take_unsaved(&mut self) -> Vec<(Arc<str>, Option<Arc<String>>)> {
        let unsaved = self.parts.iter_mut().filter(|part| !part.saved);
        unsaved
            .map(|part| {
                part.saved = true;
                (Arc::clone(&part.name), part.text.clone())
            })
            .collect()
    }

    fn part(&self, id: PartId) -> Option<&Part> {
        self.parts.get(id.0 as usize)
    }

    fn part_mut(&mut self, id: PartId) -> Option<&mut Part> {
        self.parts.get_mut(id.0 as usize)
    }
}

impl Part {
    fn set(&mut self, text: Option<&str>) {
        self.saved = false;
        match (text, self.text.as_mut().and_then(Arc::get_mut)) {
            // Only this content reads it: its room is used again.
            (Some(text), Some(held)) => {
                held.clear();
                held.push_str(text);
            }
            (text, _) => self.text = text.map(|text| Arc::new(text.to_owned())),
        }
    }
}
