//! What the recorder has not acknowledged of one stream: the worker's bounded memory of observations.
//!
//! Frames are numbered when they are sent, densely, and kept until they are acknowledged; after the recorder's
//! restart those above its `resume_after` go out again under their old numbers. At the bound a match's unsent
//! frames are dropped and counted; once half of the room is free its values are sent again (`Base`). Lines of chat stand for no
//! value that could be sent again: what waits of them stays, those that come are dropped and counted until half of the room is
//! free, and are a gap. There is one for each stream. Pure: the data link writes what [`Outbox::take`] hands out.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use touchline_common::ipc::messages::data::{Lost, stamp_number};
use touchline_common::model::Handle;

/// Frames that wait for the recorder.
#[derive(Debug)]
pub struct Outbox {
    limit: usize,
    window: usize,
    bytes: usize,
    /// Sent, not acknowledged.
    sent: VecDeque<Frame>,
    /// The number of the last one that was sent.
    last_number: u64,
    /// Of `sent`, how many at the back have to go out again first.
    again: usize,
    unsent: VecDeque<Frame>,
    /// Of the unsent frames, bytes.
    unsent_bytes: usize,
    unsent_ends: usize,
    overflowed: HashMap<Handle, Lost, RandomState>,
    dropped: u64,
    /// Rooms of which lines were dropped, which nobody was told yet.
    unheard: HashMap<Handle, Lost, RandomState>,
    lines_dropped: u64,
}

/// A frame and what is to be known of it without decoding it.
#[derive(Debug)]
struct Frame {
    handle: Handle,
    part: Part,
    bytes: Box<[u8]>,
    /// When its changes were seen, wall clock in microseconds.
    at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// So many changes; dropped at the bound.
    Changes(u32),
    /// What nothing that comes later stands for.
    Lines,
    End,
    /// The answer to a question, of no match.
    Answer,
}

/// Whether a match's values can be sent anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// They can, and this was dropped before.
    Free(Option<Lost>),
    None,
}

impl Outbox {
    /// An outbox that keeps at most `limit` bytes, of which at most `window` are sent and not acknowledged: a recorder
    /// that lags behind with one stream must still get the other and renderings on the same channel.
    pub fn new(limit: usize, window: usize) -> Outbox {
        Outbox {
            limit,
            window,
            bytes: 0,
            sent: VecDeque::new(),
            last_number: 0,
            again: 0,
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            unsent_ends: 0,
            overflowed: HashMap::default(),
            dropped: 0,
            unheard: HashMap::default(),
            lines_dropped: 0,
        }
    }

    /// Takes an encoded frame of a match that holds `changes` changes, seen at `at` (wall clock, microseconds). At the bound the match's
    /// unsent frames are dropped with this one, and so is everything of it until [`Outbox::room`] gave it room.
    pub fn push(&mut self, handle: Handle, bytes: Box<[u8]>, changes: u32, at: i64) {
        if let Some(dropped) = self.overflowed.get_mut(&handle) {
            dropped.count += u64::from(changes);
            self.dropped += u64::from(changes);
        } else if self.bytes + bytes.len() > self.limit {
            self.overflow(handle, changes, at);
        } else {
            self.keep(Frame { handle, part: Part::Changes(changes), bytes, at });
        }
    }

    /// Takes an encoded frame of `lines` lines of chat of a match, seen at `at` (wall clock, microseconds). At the bound it is dropped, and
    /// so is all chat of the match until [`Outbox::unheard`] told of it.
    pub fn push_chat(&mut self, handle: Handle, bytes: Box<[u8]>, lines: u32, at: i64) {
        let is_full = self.bytes + bytes.len() > self.limit;
        if !is_full && !self.unheard.contains_key(&handle) {
            return self.keep(Frame { handle, part: Part::Lines, bytes, at });
        }
        let lost = self.unheard.entry(handle).or_insert(Lost { count: 0, since: at });
        lost.count += u64::from(lines);
        lost.since = lost.since.min(at);
        self.lines_dropped += u64::from(lines);
    }

    /// The chat of a match that was dropped, once, when half of the room is free: what comes from now on is taken again.
    pub fn unheard(&mut self, handle: Handle) -> Option<Lost> {
        if self.unheard.is_empty() || self.bytes > self.limit / 2 {
            return None;
        }
        self.unheard.remove(&handle)
    }

    fn keep(&mut self, frame: Frame) {
        self.bytes += frame.bytes.len();
        self.unsent_bytes += frame.bytes.len();
        self.unsent_ends += usize::from(frame.part == Part::End);
        self.unsent.push_back(frame);
    }

    fn overflow(&mut self, handle: Handle, changes: u32, at: i64) {
        let (mut freed, mut since, mut count) = (0, at, u64::from(changes));
        self.unsent.retain(|frame| {
            let Part::Changes(changes) = frame.part else { return true };
            let drop = frame.handle == handle;
            if drop {
                freed += frame.bytes.len();
                since = since.min(frame.at);
                count += u64::from(changes);
            }
            !drop
        });
        self.bytes -= freed;
        self.unsent_bytes -= freed;
        self.dropped += count;
        self.overflowed.insert(handle, Lost { count, since });
    }

    /// Whether all values of a match can be sent: always, unless some of it was dropped and not yet half of the room is free. What was
    /// dropped is given once.
    pub fn room(&mut self, handle: Handle) -> Room {
        if self.overflowed.is_empty() || !self.overflowed.contains_key(&handle) {
            return Room::Free(None);
        }
        if self.bytes > self.limit / 2 {
            return Room::None;
        }
        Room::Free(self.overflowed.remove(&handle))
    }

    /// Matches of which frames or lines were dropped and for which there is room now.
    pub fn recoverable(&self) -> Vec<Handle> {
        if self.overflowed.len() + self.unheard.len() == 0 || self.bytes > self.limit / 2 {
            return Vec::new();
        }
        self.overflowed.keys().chain(self.unheard.keys()).copied().collect()
    }

    /// What was dropped of a match of which nothing more comes.
    pub fn forget(&mut self, handle: Handle) -> Option<Lost> {
        self.overflowed.remove(&handle)
    }

    /// The chat that was dropped of a match of which nothing more comes.
    pub fn forget_chat(&mut self, handle: Handle) -> Option<Lost> {
        self.unheard.remove(&handle)
    }

    /// Takes the last frame of a match even at the bound, up to an eighth above it: it is small, and who never learns of the end of a
    /// match waits for it. Whether it was taken.
    pub fn push_end(&mut self, handle: Handle, bytes: Box<[u8]>) -> bool {
        let fits = self.bytes + bytes.len() <= self.limit + self.limit / 8;
        if fits {
            self.keep(Frame { handle, part: Part::End, bytes, at: i64::MAX });
        } else {
            self.dropped += 1;
        }
        fits
    }

    /// Takes an answer whatever waits: until the recorder has it, it asks nothing else, and what it asked for waits. A later one answers
    /// what an earlier one does, so that no more than one waits to be sent.
    pub fn push_answer(&mut self, bytes: Box<[u8]>) {
        let earlier = self.unsent.iter().rposition(|frame| frame.part == Part::Answer);
        if let Some(earlier) = earlier.and_then(|place| self.unsent.remove(place)) {
            self.bytes -= earlier.bytes.len();
            self.unsent_bytes -= earlier.bytes.len();
        }
        self.keep(Frame { handle: Handle(0), part: Part::Answer, bytes, at: i64::MAX });
    }

    /// Appends frames to `out` until it holds `enough` bytes or nothing is left; what goes out again comes first.
    pub fn take(&mut self, out: &mut Vec<u8>, enough: usize) {
        while self.again > 0 && out.len() < enough {
            if let Some(frame) = self.sent.get(self.sent.len() - self.again) {
                out.extend_from_slice(&frame.bytes);
            }
            self.again -= 1;
        }
        while out.len() < enough && self.is_window_open() {
            let Some(mut frame) = self.unsent.pop_front() else { return };
            self.last_number += 1;
            self.unsent_bytes -= frame.bytes.len();
            self.unsent_ends -= usize::from(frame.part == Part::End);
            stamp_number(&mut frame.bytes, self.last_number);
            out.extend_from_slice(&frame.bytes);
            self.sent.push_back(frame);
        }
    }

    /// Everything up to number `n` is committed; `ended` is called with each match whose end is among it.
    pub fn acknowledge(&mut self, n: u64, mut ended: impl FnMut(Handle)) {
        // What was never sent cannot be committed.
        let above = self.last_number.saturating_sub(n);
        while self.sent.len() as u64 > above {
            let Some(frame) = self.sent.pop_front() else { break };
            self.bytes -= frame.bytes.len();
            if frame.part == Part::End {
                ended(frame.handle);
            }
        }
        self.again = self.again.min(self.sent.len());
    }

    /// A new channel to the recorder, which has committed up to `resume_after`: the rest goes out again.
    pub fn resume(&mut self, resume_after: u64, ended: impl FnMut(Handle)) {
        self.acknowledge(resume_after, ended);
        self.again = self.sent.len();
    }

    /// Whether the end of a match waits to be sent for the first time, and the window lets something through.
    pub fn has_unsent_end(&self) -> bool {
        self.unsent_ends > 0 && self.is_window_open()
    }

    fn is_window_open(&self) -> bool {
        self.bytes - self.unsent_bytes < self.window
    }

    /// Bytes that are not acknowledged, sent or not.
    pub fn unacknowledged(&self) -> usize {
        self.bytes
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Lines of chat that were dropped.
    pub fn lines_dropped(&self) -> u64 {
        self.lines_dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use touchline_common::ipc::frame::HEADER_LEN;

    const A: Handle = Handle(1);
    const B: Handle = Handle(2);

    /// A frame whose payload is its serial number, long enough to be stamped.
    fn frame(serial: u8) -> Box<[u8]> {
        let mut bytes = vec![0; 40];
        bytes[39] = serial;
        bytes.into()
    }

    fn read(bytes: &[u8]) -> Vec<(u64, u8)> {
        let number = |f: &[u8]| u64::from_le_bytes(f[HEADER_LEN..HEADER_LEN + 8].try_into().unwrap());
        bytes.chunks(40).map(|f| (number(f), f[39])).collect()
    }

    fn taken(outbox: &mut Outbox, enough: usize) -> Vec<(u64, u8)> {
        let mut out = Vec::new();
        outbox.take(&mut out, enough);
        read(&out)
    }

    fn none(handle: Handle) {
        panic!("{handle} has not ended");
    }

    #[test]
    fn numbers_are_dense_and_what_is_not_acknowledged_goes_out_again_under_its_number() {
        let mut outbox = Outbox::new(1000, 1000);
        for serial in 1..=4 {
            outbox.push(A, frame(serial), 1, 0);
        }
        assert_eq!(taken(&mut outbox, 100), [(1, 1), (2, 2), (3, 3)], "whole frames until enough");
        outbox.acknowledge(1, none);
        outbox.resume(2, none);
        assert_eq!(taken(&mut outbox, 1000), [(3, 3), (4, 4)]);
        outbox.acknowledge(4, none);
        outbox.acknowledge(9, none);
        assert_eq!(outbox.unacknowledged(), 0);
        outbox.push(A, frame(5), 1, 0);
        assert_eq!(taken(&mut outbox, 1000), [(5, 5)]);
    }

    #[test]
    fn at_the_bound_the_unsent_part_of_one_match_is_dropped_and_counted() {
        let mut outbox = Outbox::new(240, 40);
        outbox.push(A, frame(0), 1, 0);
        assert_eq!(taken(&mut outbox, 1000), [(1, 0)]);
        for serial in 1..=5 {
            outbox.push(if serial % 2 == 1 { A } else { B }, frame(serial), 2, i64::from(serial));
        }
        outbox.push(A, frame(6), 2, 6);
        outbox.push(A, frame(7), 2, 7);
        assert_eq!(outbox.room(B), Room::Free(None));
        assert_eq!(outbox.recoverable(), [A], "half of the room is free");
        assert_eq!(
            outbox.room(A),
            Room::Free(Some(Lost { count: 10, since: 1 })),
            "the first of what waited"
        );
        assert_eq!((outbox.room(A), outbox.dropped()), (Room::Free(None), 10));
        outbox.acknowledge(1, none);
        assert_eq!(taken(&mut outbox, 1000), [(2, 2)], "the window is full");
        outbox.acknowledge(2, none);
        assert_eq!(
            taken(&mut outbox, 1000),
            [(3, 4)],
            "the other match is unharmed and numbers have no hole"
        );
    }

    #[test]
    fn there_is_no_room_until_half_is_free() {
        let mut outbox = Outbox::new(160, 160);
        for serial in 1..=4 {
            outbox.push(B, frame(serial), 1, 0);
        }
        outbox.push(A, frame(5), 1, 5);
        assert_eq!((outbox.room(A), outbox.recoverable()), (Room::None, vec![]));
        taken(&mut outbox, 1000);
        outbox.acknowledge(2, none);
        assert_eq!(outbox.recoverable(), [A]);
        assert_eq!(outbox.room(A), Room::Free(Some(Lost { count: 1, since: 5 })));
    }

    #[test]
    fn an_end_is_taken_beyond_the_bound_and_known_when_it_is_acknowledged() {
        let mut outbox = Outbox::new(400, 1000);
        for serial in 1..=11 {
            outbox.push(if serial % 2 == 1 { A } else { B }, frame(serial), 1, i64::from(serial));
        }
        assert_eq!(outbox.forget(A), Some(Lost { count: 6, since: 1 }));
        assert_eq!(outbox.forget(A), None);
        for serial in 12..=18 {
            assert_eq!(outbox.push_end(A, frame(serial)), serial < 18, "450 bytes at most");
        }
        assert!(outbox.has_unsent_end());
        let serials: Vec<u8> = taken(&mut outbox, 1000).into_iter().map(|(_, serial)| serial).collect();
        assert_eq!(serials, [2, 4, 6, 8, 10, 12, 13, 14, 15, 16, 17]);
        assert!(!outbox.has_unsent_end());
        assert_eq!(outbox.dropped(), 7);
        outbox.acknowledge(5, none);
        let mut ended = Vec::new();
        outbox.acknowledge(7, |handle| ended.push(handle));
        assert_eq!(ended, [A, A]);
    }

    #[test]
    fn an_answer_is_taken_whatever_waits_and_of_those_that_wait_the_newest() {
        let mut outbox = Outbox::new(80, 40);
        outbox.push(A, frame(1), 1, 0);
        assert!(outbox.push_end(A, frame(2)) && !outbox.push_end(A, frame(3)));
        outbox.push_answer(frame(4));
        outbox.push_answer(frame(5));
        assert_eq!((outbox.unacknowledged(), outbox.dropped()), (120, 1), "the end that was not taken");
        for n in 1..=3 {
            let serial = [1, 2, 5][n as usize - 1];
            assert_eq!(taken(&mut outbox, 1000), [(n, serial)]);
            outbox.acknowledge(n, |_| {});
        }
        assert_eq!(outbox.unacknowledged(), 0);
    }

    #[test]
    fn chat_that_waits_stays_and_what_comes_is_dropped_until_half_is_free() {
        let mut outbox = Outbox::new(200, 1000);
        (1..=3).for_each(|serial| outbox.push_chat(A, frame(serial), 2, i64::from(serial)));
        outbox.push(A, frame(4), 1, 4);
        outbox.push(A, frame(5), 1, 5);
        // Odds of the match make room for themselves with odds alone.
        outbox.push(A, frame(6), 1, 6);
        assert_eq!((outbox.dropped(), outbox.lines_dropped()), (3, 0));
        outbox.push(B, frame(7), 1, 7);
        outbox.push(B, frame(8), 1, 8);
        (9..=10).for_each(|serial| outbox.push_chat(A, frame(serial), 2, i64::from(serial)));
        assert_eq!((outbox.dropped(), outbox.lines_dropped()), (3, 4));
        assert_eq!((outbox.unheard(A), outbox.recoverable()), (None, vec![]), "there is no room yet");
        let serials: Vec<u8> = taken(&mut outbox, 1000).into_iter().map(|(_, serial)| serial).collect();
        assert_eq!(serials, [1, 2, 3, 7, 8]);
        outbox.acknowledge(3, none);
        outbox.push_chat(A, frame(11), 1, 11);
        assert_eq!(outbox.recoverable(), [A, A], "of both");
        assert_eq!(outbox.unheard(A), Some(Lost { count: 5, since: 9 }));
        assert_eq!((outbox.unheard(A), outbox.forget_chat(A)), (None, None), "it is told once");
        outbox.push_chat(A, frame(12), 1, 12);
        assert_eq!(taken(&mut outbox, 1000), [(6, 12)]);
    }

    proptest! {
        #[test]
        fn every_kept_frame_arrives_once_in_order(
            ops in prop::collection::vec((0_u8..9, 1_u32..4), 1..200),
            window in prop::sample::select(vec![80_usize, 600]),
        ) {
            let mut outbox = Outbox::new(600, window);
            let (mut serial, mut seen, mut committed) = (0_u8, Vec::new(), 0_u64);
            let (mut ends, mut ended, mut answer) = (0, 0, None);
            for (op, handle) in ops {
                let handle = Handle(handle);
                serial = serial.wrapping_add(1);
                match op {
                    0 | 1 => if outbox.room(handle) != Room::None {
                        outbox.push(handle, frame(serial), 1, 0);
                    },
                    2 => seen.extend(taken(&mut outbox, 100)),
                    3 => {
                        committed = seen.last().map_or(committed, |(n, _)| *n);
                        outbox.acknowledge(committed, |_| ended += 1);
                    }
                    4 => ends += usize::from(outbox.push_end(handle, frame(serial))),
                    5 => {
                        outbox.push_answer(frame(serial));
                        answer = Some(serial);
                    }
                    6 => outbox.push_chat(handle, frame(serial), 1, 0),
                    7 => _ = outbox.unheard(handle),
                    _ => {
                        outbox.resume(committed, |_| ended += 1);
                        seen.retain(|(n, _)| *n <= committed);
                    }
                }
                prop_assert!(outbox.unacknowledged() <= 675 + 40, "an eighth, and an answer");
            }
            outbox.acknowledge(seen.last().map_or(0, |(n, _)| *n), |_| ended += 1);
            loop {
                let more = taken(&mut outbox, 100);
                let Some((last, _)) = more.last().copied() else { break };
                seen.extend(more);
                outbox.acknowledge(last, |_| ended += 1);
            }
            let numbers: Vec<u64> = seen.iter().map(|(n, _)| *n).collect();
            prop_assert_eq!(numbers, (1..=seen.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!((outbox.unacknowledged(), ends), (0, ended));
            prop_assert!(answer.is_none_or(|answer| seen.iter().any(|(_, serial)| *serial == answer)));
        }
    }
}
