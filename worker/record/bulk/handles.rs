//! What a channel's handles stand for: dense pages of small entries, no map, no text.
//!
//! A worker never uses a handle twice in its generation, so after days they are high numbers, few of them alive. A page whose
//! entries have all ended is given back; that it once was used is remembered, so that a late frame is an error and not a new name.

use touchline_common::model::{Epoch, Handle};

const PAGE: usize = 512;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Entry {
    /// It was never named.
    #[default]
    Unnamed,
    Ended,
    Match(u32),
    /// A market: its match's handle, and its number in that match's ledger.
    Market(u32, u32),
    /// A selection, likewise.
    Selection(u32, u32),
}

#[derive(Debug)]
enum Page {
    Unused,
    Live { entries: Box<[Entry; PAGE]>, alive: usize },
    Retired,
}

/// A match as a channel's worker follows it.
#[derive(Debug)]
pub(super) struct Followed {
    /// Its place among the thread's matches.
    pub(super) place: usize,
    pub(super) epoch: Epoch,
    handles: Vec<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Handles {
    pages: Vec<Page>,
    matches: slab::Slab<Followed>,
}

impl Handles {
    /// What `handle` stands for.
    pub(super) fn get(&self, handle: Handle) -> Entry {
        let number = handle.0 as usize;
        match self.pages.get(number / PAGE) {
            None | Some(Page::Unused) => Entry::Unnamed,
            Some(Page::Retired) => Entry::Ended,
            Some(Page::Live { entries, .. }) => entries.get(number % PAGE).copied().unwrap_or_default(),
        }
    }

    /// The match that `handle` stands for.
    pub(super) fn followed(&self, handle: Handle) -> Result<&Followed, String> {
        match self.get(handle) {
            Entry::Match(at) => {
                self.matches.get(at as usize).ok_or_else(|| format!("handle {handle} is lost"))
            }
            other @ (Entry::Unnamed | Entry::Ended | Entry::Market(..) | Entry::Selection(..)) => {
                Err(wrong(handle, other, "a match"))
            }
        }
    }

    /// The market of the match `of` that `handle` stands for.
    pub(super) fn market(&self, handle: Handle, of: Handle) -> Result<u32, String> {
        match self.get(handle) {
            Entry::Market(owner, market) if owner == of.0 => Ok(market),
            Entry::Market(..) => Err(format!("handle {handle} is a market of another match than {of}")),
            other @ (Entry::Unnamed | Entry::Ended | Entry::Match(_) | Entry::Selection(..)) => {
                Err(wrong(handle, other, "a market"))
            }
        }
    }

    /// The match's handle and the number of the market that `handle` stands for.
    pub(super) fn any_market(&self, handle: Handle) -> Result<(Handle, u32), String> {
        match self.get(handle) {
            Entry::Market(owner, market) => Ok((Handle(owner), market)),
            other @ (Entry::Unnamed | Entry::Ended | Entry::Match(_) | Entry::Selection(..)) => {
                Err(wrong(handle, other, "a market"))
            }
        }
    }

    /// The selection of the match `of` that `handle` stands for.
    pub(super) fn selection(&self, handle: Handle, of: Handle) -> Result<u32, String> {
        match self.get(handle) {
            Entry::Selection(owner, selection) if owner == of.0 => Ok(selection),
            Entry::Selection(..) => Err(format!("handle {handle} is a selection of another match than {of}")),
            other @ (Entry::Unnamed | Entry::Ended | Entry::Match(_) | Entry::Market(..)) => {
                Err(wrong(handle, other, "a selection"))
            }
        }
    }

    /// Whether `handle` may be named: it is none's, and was not before.
    pub(super) fn check_free(&self, handle: Handle) -> Result<(), String> {
        match self.get(handle) {
            _ if handle.0 == 0 => Err("handle 0 stands for nothing and is named".into()),
            Entry::Unnamed => Ok(()),
            Entry::Ended | Entry::Match(_) | Entry::Market(..) | Entry::Selection(..) => {
                Err(format!("handle {handle} is named twice"))
            }
        }
    }

    pub(super) fn name_match(&mut self, handle: Handle, place: usize, epoch: Epoch) {
        let at = self.matches.insert(Followed { place, epoch, handles: vec![handle.0] });
        self.set(handle.0, Entry::Match(u32::try_from(at).unwrap_or(u32::MAX)));
    }

    /// Names a free handle as a market or selection of `of`, which is a match.
    pub(super) fn name_part(&mut self, handle: Handle, of: Handle, entry: Entry) {
        if let Entry::Match(at) = self.get(of)
            && let Some(followed) = self.matches.get_mut(at as usize)
        {
            followed.handles.push(handle.0);
            self.set(handle.0, entry);
        }
    }

    /// Ends a match and all its handles; its place among the thread's matches.
    pub(super) fn end(&mut self, handle: Handle) -> Option<usize> {
        let Entry::Match(at) = self.get(handle) else { return None };
        let followed = self.matches.try_remove(at as usize)?;
        followed.handles.iter().for_each(|handle| self.set(*handle, Entry::Ended));
        Some(followed.place)
    }

    /// Forgets everything; the places of the matches that were followed.
    pub(super) fn clear(&mut self) -> Vec<usize> {
        self.pages.clear();
        self.matches.drain().map(|followed| followed.place).collect()
    }

    fn set(&mut self, handle: u32, entry: Entry) {
        let (page, place) = (handle as usize / PAGE, handle as usize % PAGE);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || Page::Unused);
        }
        let Some(page) = self.pages.get_mut(page) else { return };
        if matches!(page, Page::Unused) {
            *page = Page::Live { entries: Box::new([Entry::Unnamed; PAGE]), alive: 0 };
        }
        let Page::Live { entries, alive } = page else { return };
        let Some(slot) = entries.get_mut(place) else { return };
        *slot = entry;
        if entry != Entry::Ended {
            *alive += 1;
            return;
        }
        *alive -= 1;
        // One that was never named may still come.
        if *alive == 0
            && !entries
                .iter()
                .skip(usize::from(handle as usize / PAGE == 0))
                .any(|entry| *entry == Entry::Unnamed)
        {
            *page = Page::Retired;
        }
    }
}

fn wrong(handle: Handle, found: Entry, wanted: &str) -> String {
    let found = match found {
        Entry::Unnamed => return format!("handle {handle} was never named and is used as {wanted}"),
        Entry::Ended => {
            return format!("handle {handle} is of a match that has ended and is used as {wanted}");
        }
        Entry::Match(_) => "a match",
        Entry::Market(..) => "a market",
        Entry::Selection(..) => "a selection",
    };
    format!("handle {handle} is {found} and is used as {wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_ended_handles_are_given_back_and_remembered() {
        let mut handles = Handles::default();
        handles.name_match(Handle(1), 7, Epoch(3));
        for handle in 2..1_500 {
            handles.check_free(Handle(handle)).unwrap();
            handles.name_part(Handle(handle), Handle(1), Entry::Market(1, handle));
        }
        assert_eq!(handles.market(Handle(1_400), Handle(1)), Ok(1_400));
        assert_eq!(handles.end(Handle(1)), Some(7));
        assert!(matches!(handles.pages[..], [Page::Retired, Page::Retired, Page::Live { alive: 0, .. }]));
        assert!(handles.market(Handle(20), Handle(1)).unwrap_err().contains("has ended"));
        assert!(handles.check_free(Handle(20)).unwrap_err().contains("named twice"));
        assert!(handles.check_free(Handle(1_499)).unwrap_err().contains("named twice"));
        handles.check_free(Handle(1_500)).unwrap();
        handles.name_match(Handle(u32::MAX), 8, Epoch(4));
        assert_eq!(handles.followed(Handle(u32::MAX)).unwrap().place, 8);
        assert_eq!(handles.clear(), [8]);
        assert_eq!(handles.get(Handle(20)), Entry::Unnamed);
    }
}
