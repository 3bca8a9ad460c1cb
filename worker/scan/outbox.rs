//! What the recorder has not acknowledged: the worker's bounded memory of observations.
//!
//! Frames are numbered when they are sent, densely, and kept until they are acknowledged; after the recorder's
//! restart those above its `resume_after` go out again under their old numbers. At the bound a match's unsent
//! frames are dropped and counted; once there is room again the caller tells its registers anew (`Lost`, then `Base`).
//! Pure: the data link writes what [`Outbox::take`] hands out.

use hashbrown::HashMap;
use std::collections::VecDeque;
use touchline_common::ipc::messages::data::stamp_number;

/// A match at this worker, by its place.
pub type Place = u32;

/// Frames that wait for the recorder.
#[derive(Debug)]
pub struct Outbox {
    limit: usize,
    window: usize,
    bytes: usize,
    last_number: u64,
    /// Sent, not acknowledged; numbers rise by one from front to back.
    sent: VecDeque<(u64, Box<[u8]>)>,
    /// Of `sent`, how many at the back have to go out again first.
    again: usize,
    unsent: VecDeque<Unsent>,
    /// Of the unsent frames, bytes.
    unsent_bytes: usize,
    overflowed: HashMap<Place, Dropped, foldhash::fast::RandomState>,
    dropped: u64,
}

/// A frame that was not sent yet.
#[derive(Debug)]
struct Unsent {
    /// `None`: of a match that is followed no more.
    place: Option<Place>,
    frame: Box<[u8]>,
    /// When what it tells was seen, wall clock in microseconds.
    at: i64,
}

/// What was dropped of one match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Frames.
    pub count: u64,
    /// Wall clock of the first, microseconds since 1970 UTC.
    pub since: i64,
}

impl Outbox {
    /// An outbox that keeps at most `limit` bytes, of which at most `window` are sent and not acknowledged: a recorder
    /// that lags behind with events must still get renderings on the same channel.
    pub fn new(limit: usize, window: usize) -> Outbox {
        Outbox {
            limit,
            window,
            bytes: 0,
            last_number: 0,
            sent: VecDeque::new(),
            again: 0,
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            overflowed: HashMap::default(),
            dropped: 0,
        }
    }

    /// Takes an encoded frame of the match at `place`, seen at `at` (wall clock, microseconds). At the bound the match's unsent frames are
    /// dropped with this one, and so is everything of it until [`Outbox::recover`] names it.
    pub fn push(&mut self, place: Place, frame: Box<[u8]>, at: i64) {
        if let Some(dropped) = self.overflowed.get_mut(&place) {
            dropped.count += 1;
            self.dropped += 1;
        } else if self.bytes + frame.len() > self.limit {
            self.overflow(place, at);
        } else {
            self.keep(Unsent { place: Some(place), frame, at });
        }
    }

    fn keep(&mut self, unsent: Unsent) {
        self.bytes += unsent.frame.len();
        self.unsent_bytes += unsent.frame.len();
        self.unsent.push_back(unsent);
    }

    fn overflow(&mut self, place: Place, at: i64) {
        let before = self.unsent.len();
        let (mut freed, mut since) = (0, at);
        self.unsent.retain(|unsent| {
            let drop = unsent.place == Some(place);
            if drop {
                freed += unsent.frame.len();
                since = since.min(unsent.at);
            }
            !drop
        });
        self.bytes -= freed;
        self.unsent_bytes -= freed;
        let count = (before - self.unsent.len()) as u64 + 1;
        self.dropped += count;
        self.overflowed.insert(place, Dropped { count, since });
    }

    /// A match whose frames were dropped and that may be told anew, because half of the room is free.
    pub fn recover(&mut self) -> Option<(Place, Dropped)> {
        if self.bytes > self.limit / 2 {
            return None;
        }
        let place = *self.overflowed.keys().next()?;
        self.overflowed.remove_entry(&place)
    }

    /// What was dropped of the match at `place`, which is followed no more: its place may be another's soon.
    pub fn forget(&mut self, place: Place) -> Option<Dropped> {
        for unsent in self.unsent.iter_mut().filter(|unsent| unsent.place == Some(place)) {
            unsent.place = None;
        }
        self.overflowed.remove(&place)
    }

    /// Takes the last frames of a match that is followed no more even at the bound, up to an eighth above it: they are small, and who
    /// never hears of the end of a match waits for it.
    pub fn push_last(&mut self, frame: Box<[u8]>) {
        if self.bytes + frame.len() > self.limit + self.limit / 8 {
            self.dropped += 1;
        } else {
            self.keep(Unsent { place: None, frame, at: i64::MAX });
        }
    }

    /// Appends frames to `out` until it holds `enough` bytes or nothing is left; what goes out again comes first.
    pub fn take(&mut self, out: &mut Vec<u8>, enough: usize) {
        while self.again > 0 && out.len() < enough {
            if let Some((_, frame)) = self.sent.get(self.sent.len() - self.again) {
                out.extend_from_slice(frame);
            }
            self.again -= 1;
        }
        while out.len() < enough && self.bytes - self.unsent_bytes < self.window {
            let Some(Unsent { mut frame, .. }) = self.unsent.pop_front() else { return };
            self.last_number += 1;
            self.unsent_bytes -= frame.len();
            stamp_number(&mut frame, self.last_number);
            out.extend_from_slice(&frame);
            self.sent.push_back((self.last_number, frame));
        }
    }

    /// Everything up to number `n` is committed.
    pub fn acknowledge(&mut self, n: u64) {
        while let Some((first, frame)) = self.sent.front() {
            if *first > n {
                break;
            }
            self.bytes -= frame.len();
            self.sent.pop_front();
        }
        self.again = self.again.min(self.sent.len());
    }

    /// A new channel to the recorder, which has committed up to `resume_after`: the rest goes out again.
    pub fn resume(&mut self, resume_after: u64) {
        self.acknowledge(resume_after);
        self.again = self.sent.len();
    }

    /// Bytes that wait to be sent, for the first time or again.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        let again: usize = self.sent.iter().rev().take(self.again).map(|(_, frame)| frame.len()).sum();
        self.unsent_bytes + again
    }

    /// Bytes that are not acknowledged, sent or not.
    pub fn unacknowledged(&self) -> usize {
        self.bytes
    }

    /// Frames dropped in all.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame whose payload is its serial number, long enough to be stamped.
    fn frame(serial: u8) -> Box<[u8]> {
        let mut bytes = vec![0; 40];
        bytes[39] = serial;
        bytes.into()
    }

    fn read(bytes: &[u8]) -> Vec<(u64, u8)> {
        bytes.chunks(40).map(|f| (u64::from_le_bytes(f[20..28].try_into().unwrap()), f[39])).collect()
    }

    #[test]
    fn numbers_are_dense_and_what_is_not_acknowledged_goes_out_again_under_its_number() {
        let mut outbox = Outbox::new(1000, 1000);
        for serial in 1..=4 {
            outbox.push(0, frame(serial), 0);
        }
        let mut out = Vec::new();
        outbox.take(&mut out, 100);
        assert_eq!(read(&out), [(1, 1), (2, 2), (3, 3)], "whole frames until enough");
        outbox.acknowledge(1);
        outbox.resume(2);
        let mut out = Vec::new();
        outbox.take(&mut out, 1000);
        assert_eq!(read(&out), [(3, 3), (4, 4)]);
        outbox.acknowledge(4);
        assert_eq!((outbox.unacknowledged(), outbox.waiting()), (0, 0));
    }

    #[test]
    fn at_the_bound_one_match_is_dropped_whole_and_told_anew_later() {
        let mut outbox = Outbox::new(200, 200);
        for serial in 1..=5 {
            outbox.push(u32::from(serial % 2), frame(serial), i64::from(serial));
        }
        outbox.push(1, frame(6), 6);
        outbox.push(1, frame(7), 7);
        assert_eq!(outbox.recover(), Some((1, Dropped { count: 5, since: 1 })), "the first of what waited");
        assert_eq!(outbox.dropped(), 5);
        let mut out = Vec::new();
        outbox.take(&mut out, 1000);
        assert_eq!(read(&out), [(1, 2), (2, 4)], "the other match is unharmed and numbers have no hole");
    }

    #[test]
    fn the_end_of_a_match_that_overflowed_is_told_with_what_was_lost() {
        let mut outbox = Outbox::new(400, 1000);
        for serial in 1..=11 {
            outbox.push(u32::from(serial % 2), frame(serial), i64::from(serial));
        }
        assert_eq!(outbox.forget(1), Some(Dropped { count: 6, since: 1 }));
        assert_eq!(outbox.forget(1), None);
        for serial in 12..=18 {
            outbox.push_last(frame(serial));
        }
        let mut out = Vec::new();
        outbox.take(&mut out, 1000);
        let serials: Vec<u8> = read(&out).into_iter().map(|(_, serial)| serial).collect();
        assert_eq!(serials, [2, 4, 6, 8, 10, 12, 13, 14, 15, 16, 17], "450 bytes at most");
        assert_eq!(outbox.dropped(), 7);
    }

    #[test]
    fn what_overflows_takes_nothing_of_the_match_along_whose_place_it_has() {
        let mut outbox = Outbox::new(160, 160);
        outbox.push(1, frame(1), 1);
        assert_eq!(outbox.forget(1), None);
        outbox.push_last(frame(2));
        for serial in 3..=5 {
            outbox.push(1, frame(serial), i64::from(serial));
        }
        let mut out = Vec::new();
        outbox.take(&mut out, 1000);
        assert_eq!(read(&out), [(1, 1), (2, 2)]);
        outbox.acknowledge(2);
        assert_eq!(outbox.recover(), Some((1, Dropped { count: 3, since: 3 })));
    }

    #[test]
    fn no_more_is_under_way_than_the_window() {
        let mut outbox = Outbox::new(1000, 80);
        for serial in 1..=4 {
            outbox.push(0, frame(serial), 0);
        }
        let mut out = Vec::new();
        outbox.take(&mut out, 1000);
        assert_eq!(read(&out), [(1, 1), (2, 2)]);
        outbox.acknowledge(1);
        let mut out = Vec::new();
        outbox.take(&mut out, 1000);
        assert_eq!(read(&out), [(3, 3)]);
    }

    proptest! {
        #[test]
        fn every_kept_frame_arrives_once_in_order(ops in prop::collection::vec((0u8..4, 0u32..3), 1..200)) {
            let mut outbox = Outbox::new(600, 600);
            let (mut serial, mut seen, mut committed) = (0u8, Vec::new(), 0u64);
            for (op, place) in ops {
                match op {
                    0 => { serial = serial.wrapping_add(1); outbox.push(place, frame(serial), 0); }
                    1 => {
                        let mut out = Vec::new();
                        outbox.take(&mut out, 100);
                        seen.extend(read(&out).into_iter().map(|(n, _)| n));
                    }
                    2 => { committed = seen.iter().copied().max().unwrap_or(0); outbox.acknowledge(committed); }
                    _ => { outbox.resume(committed); seen.retain(|n| *n <= committed); }
                }
                prop_assert!(outbox.unacknowledged() <= 600);
            }
            let mut out = Vec::new();
            outbox.take(&mut out, usize::MAX);
            seen.extend(read(&out).into_iter().map(|(n, _)| n));
            let want: Vec<u64> = (1..=seen.len() as u64).collect();
            prop_assert_eq!(seen, want);
        }
    }
}
