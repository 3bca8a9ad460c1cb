//! What a channel's handles stand for: dense pages of small entries, no map, no text.
//!
//! A worker never uses a handle twice in its generation, so after days they are high numbers, few of them alive. A page whose
//! entries have all ended is given back; that it once was used is remembered, so that a late frame is an error and not a new name.

use touchline_common::model::{Epoch, Handle};

const PAGE: usize = 512;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// It was never named.
    #[default]
    Unnamed,
    /// It was of a match that has ended.
    Ended,
    Match,
    Market,
    Selection,
}

/// What a handle stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    kind: Kind,
    /// Its match's handle.
    pub(super) of: Handle,
    /// Of a match its place among those that are followed, else its number in that match's ledger.
    pub(super) number: u32,
}

const ENDED: Entry = Entry { kind: Kind::Ended, of: Handle(0), number: 0 };

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
    handles: Vec<Handle>,
}

#[derive(Debug, Default)]
pub(super) struct Handles {
    pages: Vec<Page>,
    matches: slab::Slab<Followed>,
}

impl Handles {
    fn get(&self, handle: Handle) -> Entry {
        let number = handle.0 as usize;
        match self.pages.get(number / PAGE) {
            None | Some(Page::Unused) => Entry::default(),
            Some(Page::Retired) => ENDED,
            Some(Page::Live { entries, .. }) => entries.get(number % PAGE).copied().unwrap_or_default(),
        }
    }

    /// What `handle` stands for, which must be of that kind.
    pub(super) fn find(&self, handle: Handle, kind: Kind) -> Result<Entry, String> {
        let found = self.get(handle);
        if found.kind == kind { Ok(found) } else { Err(wrong(handle, found.kind, kind)) }
    }

    /// The match that `handle` stands for.
    pub(super) fn followed(&self, handle: Handle) -> Result<&Followed, String> {
        let found = self.find(handle, Kind::Match)?;
        self.matches.get(found.number as usize).ok_or_else(|| format!("handle {handle} is lost"))
    }

    /// The number of the market or selection of the match `of` that `handle` stands for.
    pub(super) fn part(&self, handle: Handle, kind: Kind, of: Handle) -> Result<u32, String> {
        let found = self.find(handle, kind)?;
        if found.of != of {
            return Err(format!("handle {handle} is {} of another match than {of}", kind.name()));
        }
        Ok(found.number)
    }

    /// Whether `handle` may be named: it is none's, and was not before.
    pub(super) fn check_free(&self, handle: Handle) -> Result<(), String> {
        if handle == Handle(0) {
            return Err("handle 0 stands for nothing and is named".into());
        }
        match self.get(handle).kind {
            Kind::Unnamed => Ok(()),
            Kind::Ended | Kind::Match | Kind::Market | Kind::Selection => {
                Err(format!("handle {handle} is named twice"))
            }
        }
    }

    pub(super) fn name_match(&mut self, handle: Handle, place: usize, epoch: Epoch) {
        let at = self.matches.insert(Followed { place, epoch, handles: vec![handle] });
        let number = u32::try_from(at).unwrap_or(u32::MAX);
        self.set(handle, Entry { kind: Kind::Match, of: handle, number });
    }

    /// Names a free handle as the market or selection of `of`, a match, that has this number.
    pub(super) fn name_part(&mut self, handle: Handle, kind: Kind, of: Handle, number: u32) {
        if let Ok(owner) = self.find(of, Kind::Match)
            && let Some(followed) = self.matches.get_mut(owner.number as usize)
        {
            followed.handles.push(handle);
            self.set(handle, Entry { kind, of, number });
        }
    }

    /// Ends a match and all its handles; its place among the thread's matches.
    pub(super) fn end(&mut self, handle: Handle) -> Option<usize> {
        let found = self.find(handle, Kind::Match).ok()?;
        let followed = self.matches.try_remove(found.number as usize)?;
        followed.handles.iter().for_each(|handle| self.set(*handle, ENDED));
        Some(followed.place)
    }

    /// Forgets everything; the places of the matches that were followed.
    pub(super) fn clear(&mut self) -> Vec<usize> {
        self.pages.clear();
        self.matches.drain().map(|followed| followed.place).collect()
    }

    fn set(&mut self, handle: Handle, entry: Entry) {
        let (number, place) = (handle.0 as usize / PAGE, handle.0 as usize % PAGE);
        if self.pages.len() <= number {
            self.pages.resize_with(number + 1, || Page::Unused);
        }
        let Some(page) = self.pages.get_mut(number) else { return };
        if matches!(page, Page::Unused) {
            *page = Page::Live { entries: Box::new([Entry::default(); PAGE]), alive: 0 };
        }
        let Page::Live { entries, alive } = page else { return };
        let Some(slot) = entries.get_mut(place) else { return };
        *slot = entry;
        if entry != ENDED {
            *alive += 1;
            return;
        }
        *alive -= 1;
        // One that was never named may still come; 0 never does.
        let mut comes = entries.iter().skip(usize::from(number == 0));
        if *alive == 0 && comes.all(|entry| entry.kind != Kind::Unnamed) {
            *page = Page::Retired;
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Unnamed | Kind::Ended => "nothing",
            Kind::Match => "a match",
            Kind::Market => "a market",
            Kind::Selection => "a selection",
        }
    }
}

fn wrong(handle: Handle, found: Kind, wanted: Kind) -> String {
    let found = match found {
        Kind::Unnamed => "was never named".to_owned(),
        Kind::Ended => "is of a match that has ended".to_owned(),
        Kind::Match | Kind::Market | Kind::Selection => format!("is {}", found.name()),
    };
    format!("handle {handle} {found} and is used as {}", wanted.name())
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
            handles.name_part(Handle(handle), Kind::Market, Handle(1), handle);
        }
        assert_eq!(handles.part(Handle(1_400), Kind::Market, Handle(1)), Ok(1_400));
        assert_eq!(handles.end(Handle(1)), Some(7));
        assert!(matches!(handles.pages[..], [Page::Retired, Page::Retired, Page::Live { alive: 0, .. }]));
        assert!(handles.part(Handle(20), Kind::Market, Handle(1)).unwrap_err().contains("has ended"));
        assert!(handles.check_free(Handle(20)).unwrap_err().contains("named twice"));
        assert!(handles.check_free(Handle(1_499)).unwrap_err().contains("named twice"));
        handles.check_free(Handle(1_500)).unwrap();
        handles.name_match(Handle(u32::MAX), 8, Epoch(4));
        assert_eq!(handles.followed(Handle(u32::MAX)).unwrap().place, 8);
        assert_eq!(handles.clear(), [8]);
        assert_eq!(handles.get(Handle(20)), Entry::default());
    }
}
