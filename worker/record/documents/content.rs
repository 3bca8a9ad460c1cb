//! The parts of one document under one epoch: head, tail, markets. A market has the same place for as long as the content lives.

use crate::record::store::schema::{HEAD, MARKET, TAIL};
use hashbrown::HashMap;
use std::sync::Arc;

/// A part by its place, so that no name is looked up when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartId {
    Head,
    Tail,
    Market(u32),
}

#[derive(Debug)]
struct Part {
    /// Shared with the store's thread while it saves; `None` if the document has no such part.
    text: Option<Arc<String>>,
    saved: bool,
}

impl Default for Part {
    fn default() -> Part {
        Part { text: None, saved: true }
    }
}

#[derive(Debug)]
struct Market {
    name: Arc<str>,
    part: Part,
}

#[derive(Debug, Default)]
pub(super) struct Content {
    head: Part,
    tail: Part,
    markets: Vec<Market>,
    places: HashMap<Arc<str>, u32, foldhash::fast::RandomState>,
}

impl Content {
    pub(super) fn restored(sections: Vec<(String, String)>) -> Content {
        let mut content = Content::default();
        for (name, text) in sections {
            let part = match (name.as_str(), name.strip_prefix(MARKET)) {
                (HEAD, _) => PartId::Head,
                (TAIL, _) => PartId::Tail,
                (_, Some(_)) => PartId::Market(content.place(&Arc::from(name.as_str()), 0)),
                (_, None) => continue,
            };
            if let Some(part) = content.part_mut(part) {
                *part = Part { text: Some(Arc::new(text)), saved: true };
            }
        }
        content
    }

    /// Where the market of this name stands, which was `hint` when it was last asked for in this content or another.
    pub(super) fn place(&mut self, name: &Arc<str>, hint: u32) -> u32 {
        if self.markets.get(hint as usize).is_some_and(|market| market.name == *name) {
            return hint;
        }
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.markets.len() as u32;
        self.markets.push(Market { name: Arc::clone(name), part: Part::default() });
        self.places.insert(Arc::clone(name), place);
        place
    }

    /// Sets a part; `None` removes it.
    pub(super) fn set(&mut self, id: PartId, text: Option<&str>) {
        let Some(part) = self.part_mut(id) else { return };
        part.saved = false;
        match (text, part.text.as_mut().and_then(Arc::get_mut)) {
            // Only this content reads it: its room is used again.
            (Some(text), Some(held)) => {
                held.clear();
                held.push_str(text);
            }
            (text, _) => part.text = text.map(|text| Arc::new(text.to_owned())),
        }
    }

    pub(super) fn clear(&mut self) {
        for id in self.ids() {
            if self.text(id).is_some() {
                self.set(id, None);
            }
        }
    }

    /// Forgets which of the parts are saved, since the store holds those of `former`.
    pub(super) fn replaces(&mut self, former: &Content) {
        for id in self.ids() {
            if let Some(part) = self.part_mut(id) {
                part.saved = false;
            }
        }
        for market in former.markets.iter().filter(|market| market.part.text.is_some()) {
            // Its place has no part: the store deletes it.
            let place = self.place(&market.name, 0);
            if let Some(part) = self.part_mut(PartId::Market(place)) {
                part.saved = false;
            }
        }
    }

    pub(super) fn text(&self, id: PartId) -> Option<&str> {
        self.part(id)?.text.as_deref().map(String::as_str)
    }

    pub(super) fn name(&self, id: PartId) -> &str {
        match id {
            PartId::Head => HEAD,
            PartId::Tail => TAIL,
            PartId::Market(place) => self.markets.get(place as usize).map_or(HEAD, |market| &market.name),
        }
    }

    pub(super) fn markets(&self) -> impl Iterator<Item = (&str, &str)> {
        let held = self.markets.iter();
        held.filter_map(|market| {
            Some((market.name.strip_prefix(MARKET)?, market.part.text.as_deref()?.as_str()))
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.text.is_none()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = PartId> + use<> {
        let markets = (0..self.markets.len() as u32).map(PartId::Market);
        [PartId::Head, PartId::Tail].into_iter().chain(markets)
    }

    /// Takes what is not saved, by name; a part that is gone has no text.
    pub(super) fn take_unsaved(&mut self) -> Vec<(String, Option<Arc<String>>)> {
        let mut unsaved = Vec::new();
        for id in self.ids() {
            let Some(part) = self.part_mut(id).filter(|part| !part.saved) else { continue };
            part.saved = true;
            let text = part.text.clone();
            unsaved.push((self.name(id).to_owned(), text));
        }
        unsaved
    }

    fn part(&self, id: PartId) -> Option<&Part> {
        match id {
            PartId::Head => Some(&self.head),
            PartId::Tail => Some(&self.tail),
            PartId::Market(place) => self.markets.get(place as usize).map(|market| &market.part),
        }
    }

    fn part_mut(&mut self, id: PartId) -> Option<&mut Part> {
        match id {
            PartId::Head => Some(&mut self.head),
            PartId::Tail => Some(&mut self.tail),
            PartId::Market(place) => self.markets.get_mut(place as usize).map(|market| &mut market.part),
        }
    }
}
