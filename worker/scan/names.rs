//! The integer handles of this worker: what each stands for, sent once on each channel before the first frame that uses it.
//!
//! A handle is never used twice. Those of markets and selections hang below their match's and are freed with it, when its end is
//! acknowledged in both streams; until then every new channel gets all of them again. Called by the data link only.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use touchline_common::ipc::encode_frame;
use touchline_common::ipc::messages::data::{Name, Named};
use touchline_common::model::{Epoch, Handle, MatchKey};

/// Names that may live at a time: those of a thousand matches with a thousand selections each.
const MOST: usize = 1 << 20;
const STREAMS: u8 = 2;

/// What lives and what the recorder has yet to be sent.
#[derive(Debug, Default)]
pub struct Names {
    last: u32,
    live: usize,
    most: usize,
    matches: HashMap<Handle, OfMatch, RandomState>,
    /// What the channel has yet to be sent, if there is one,
    frames: Option<Vec<u8>>,
    /// and how much of that it was sent.
    taken: usize,
    refused: bool,
}

/// The names of a match, packed: there are a thousand of them.
#[derive(Debug)]
struct OfMatch {
    key: MatchKey,
    epoch: Epoch,
    /// Handle, whose it is, lengths of key and name (each four bytes), key and name.
    packed: Vec<u8>,
    count: usize,
    ended: u8,
}

impl Names {
    /// None yet.
    pub fn new() -> Names {
        Names { most: MOST, ..Names::default() }
    }

    pub fn add_match(&mut self, key: &MatchKey, epoch: Epoch) -> Handle {
        let Some(handle) = self.next() else { return Handle(0) };
        let held = OfMatch { key: key.clone(), epoch, packed: Vec::new(), count: 1, ended: 0 };
        self.matches.insert(handle, held);
        if let Some(frames) = &mut self.frames {
            write(frames, handle, Named::Match { key: key.clone(), epoch });
        }
        handle
    }

    /// A handle for a market of a match (`of` is the match), or for a selection of one of its markets; 0 if there is none left.
    pub fn add(&mut self, of_match: Handle, of: Handle, key: &[u8], name: &[u8]) -> Handle {
        if !self.matches.contains_key(&of_match) {
            return Handle(0);
        }
        let Some(handle) = self.next() else { return Handle(0) };
        if let Some(held) = self.matches.get_mut(&of_match) {
            held.count += 1;
            for number in [handle.0, of.0, key.len() as u32, name.len() as u32] {
                held.packed.extend_from_slice(&number.to_le_bytes());
            }
            held.packed.extend_from_slice(key);
            held.packed.extend_from_slice(name);
        }
        if let Some(frames) = &mut self.frames {
            write(frames, handle, named(of_match, of, key, name));
        }
        handle
    }

    fn next(&mut self) -> Option<Handle> {
        if self.live >= self.most || self.last == u32::MAX {
            if !std::mem::replace(&mut self.refused, true) {
                log::error!(most = self.most; "worker.names_full");
            }
            return None;
        }
        self.refused = false;
        self.live += 1;
        self.last += 1;
        Some(Handle(self.last))
    }

    /// The end of a match is acknowledged in one of the streams; after both nothing speaks of it any more.
    pub fn ended(&mut self, of_match: Handle) {
        let Some(held) = self.matches.get_mut(&of_match) else { return };
        held.ended += 1;
        if held.ended == STREAMS {
            self.live -= held.count;
            self.matches.remove(&of_match);
        }
    }

    /// A channel is open: it gets all that live.
    pub fn opened(&mut self) {
        let mut frames = Vec::new();
        for (handle, held) in &self.matches {
            let OfMatch { key, epoch, packed, .. } = held;
            write(&mut frames, *handle, Named::Match { key: key.clone(), epoch: *epoch });
            for (own, of, key, name) in Unpacked(packed) {
                write(&mut frames, own, named(*handle, of, key, name));
            }
        }
        (self.frames, self.taken) = (Some(frames), 0);
    }

    /// There is no channel.
    pub fn closed(&mut self) {
        (self.frames, self.taken) = (None, 0);
    }

    /// Appends to `out`, which then holds up to `enough` bytes; whether nothing is left.
    pub fn take(&mut self, out: &mut Vec<u8>, enough: usize) -> bool {
        let Some(frames) = &mut self.frames else { return true };
        let waiting = frames.get(self.taken..).unwrap_or_default();
        let length = waiting.len().min(enough.saturating_sub(out.len()));
        out.extend_from_slice(waiting.get(..length).unwrap_or_default());
        self.taken += length;
        let done = self.taken == frames.len();
        if done {
            frames.clear();
            frames.shrink_to(enough);
            self.taken = 0;
        }
        done
    }
}

fn named<'a>(of_match: Handle, of: Handle, key: &'a [u8], name: &'a [u8]) -> Named<'a> {
    let (key, name) = (String::from_utf8_lossy(key), String::from_utf8_lossy(name));
    if of == of_match { Named::Market { of, key, name } } else { Named::Selection { of, key, name } }
}

fn write(frames: &mut Vec<u8>, handle: Handle, named: Named<'_>) {
    if let Err(error) = encode_frame(&Name { handle, named }, 0, 0, frames) {
        log::error!(error:% = error; "worker.not_reported");
    }
}

/// Reads what [`Names::add`] packed.
struct Unpacked<'a>(&'a [u8]);

impl<'a> Iterator for Unpacked<'a> {
    type Item = (Handle, Handle, &'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut number = || {
            let (number, rest) = self.0.split_first_chunk::<4>()?;
            self.0 = rest;
            Some(u32::from_le_bytes(*number))
        };
        let (handle, of, key, name) = (number()?, number()?, number()?, number()?);
        let (key, rest) = self.0.split_at_checked(key as usize)?;
        let (name, rest) = rest.split_at_checked(name as usize)?;
        self.0 = rest;
        Some((Handle(handle), Handle(of), key, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use touchline_common::ipc::{FrameReader, decode_borrowed};
    use touchline_common::model::FeedId;

    fn key(id: &str) -> MatchKey {
        MatchKey { feed: FeedId(0), id: id.into() }
    }

    fn sent(names: &mut Names) -> Vec<String> {
        let mut out = Vec::new();
        while !names.take(&mut out, usize::MAX) {}
        let mut reader = FrameReader::new(1 << 20);
        reader.extend(&out);
        let mut sent = Vec::new();
        while let Some((header, body)) = reader.next_frame().unwrap() {
            let Name { handle, named } = decode_borrowed(&header, body).unwrap();
            sent.push(match named {
                Named::Match { key, epoch } => format!("{handle}: {} {epoch}", key.id),
                Named::Market { of, key, name } => format!("{handle}: market {of} {key} {name}"),
                Named::Selection { of, key, name } => format!("{handle}: selection {of} {key} {name}"),
            });
        }
        sent
    }

    #[test]
    fn each_name_is_reported_once_on_each_channel_until_both_ends_are_acknowledged() {
        let mut names = Names::new();
        let a = names.add_match(&key("a"), Epoch(7));
        let market = names.add(a, a, b"m", b"Result");
        names.add(a, market, b"s", b"");
        assert_eq!(sent(&mut names), [""; 0], "there is no channel");
        names.opened();
        let all = ["1: a 7", "2: market 1 m Result", "3: selection 2 s "];
        assert_eq!(sent(&mut names), all);
        let b = names.add_match(&key("b"), Epoch(8));
        assert_eq!(sent(&mut names), ["4: b 8"]);
        names.ended(a);
        names.closed();
        names.opened();
        let mut again = sent(&mut names);
        again.sort_unstable();
        assert_eq!(again, [&all[..], &["4: b 8"]].concat());
        names.ended(a);
        names.opened();
        assert_eq!(sent(&mut names), ["4: b 8"]);
        assert_eq!(names.add(a, market, b"s", b""), Handle(0), "its match is gone");
        assert_eq!((names.live, names.add(b, b, b"x", b"")), (1, Handle(5)), "none is used twice");
    }

    #[test]
    fn there_is_an_end_to_them() {
        let mut names = Names { most: 2, ..Names::new() };
        let a = names.add_match(&key("a"), Epoch(1));
        assert_ne!(names.add(a, a, b"m", b""), Handle(0));
        assert_eq!(names.add(a, a, b"n", b""), Handle(0));
        assert_eq!(names.add_match(&key("b"), Epoch(2)), Handle(0));
        names.ended(a);
        names.ended(a);
        assert_ne!(names.add_match(&key("b"), Epoch(2)), Handle(0));
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(texts in prop::collection::vec((".{0,9}", ".{0,9}"), 0..20), chunk in 1_usize..90) {
            let mut names = Names::new();
            let a = names.add_match(&key("a"), Epoch(1));
            for (key, name) in &texts {
                names.add(a, a, key.as_bytes(), name.as_bytes());
            }
            names.opened();
            let (mut out, mut part) = (Vec::new(), Vec::new());
            while !names.take(&mut part, chunk) {
                prop_assert!(part.len() <= chunk);
                out.append(&mut part);
            }
            out.append(&mut part);
            let mut whole = Vec::new();
            names.opened();
            names.take(&mut whole, usize::MAX);
            prop_assert_eq!(out, whole);
            names.opened();
            prop_assert_eq!(sent(&mut names).len(), texts.len() + 1);
        }
    }
}
