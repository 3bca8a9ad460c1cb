//! The last message of each room and channel that was published to be kept: whoever joins later is sent it.

use crate::serve::engine_io::Frame;
use crate::serve::rooms::RoomName;
use hashbrown::HashMap;
use std::collections::VecDeque;

/// Messages that are kept at most, and bytes of them; the oldest go first.
const MESSAGES: usize = 20_000;
const BYTES: usize = 32 * 1024 * 1024;

#[derive(Debug, Default)]
pub(in crate::serve) struct Retained {
    /// Counts the times from which on nothing is missed.
    time: u64,
    rooms: HashMap<RoomName, Vec<Kept>>,
    /// In the order in which they came; those that were replaced since are left out as they are passed.
    order: VecDeque<(RoomName, u64)>,
    count: u64,
    kept: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    channel: String,
    number: u64,
    /// When it came.
    time: u64,
    frames: Vec<Frame>,
}

impl Retained {
    /// What is held may be old: messages may have been missed until now.
    pub(in crate::serve) fn outdate(&mut self) {
        self.time += 1;
    }

    /// Keeps what is retained elsewhere, unless something newer came since; whether it is another than was held.
    pub(in crate::serve) fn take_up(&mut self, room: &RoomName, channel: &str, frames: &[Frame]) -> bool {
        let held =
            self.rooms.get(room).and_then(|of_room| of_room.iter().find(|kept| kept.channel == channel));
        if held.is_some_and(|kept| kept.time == self.time) {
            return false;
        }
        let is_other = held.is_none_or(|kept| kept.frames != frames);
        self.keep(room, channel, frames);
        is_other
    }

    /// `frames`: the message as it is sent.
    pub(in crate::serve) fn keep(&mut self, room: &RoomName, channel: &str, frames: &[Frame]) {
        self.count += 1;
        // Who joins later is not part of how old a message is when it is written.
        let frames = frames.iter().map(|frame| frame.clone().received_at(None)).collect();
        let kept = Kept { channel: channel.to_owned(), number: self.count, time: self.time, frames };
        self.bytes += kept.size();
        self.order.push_back((room.clone(), self.count));
        let of_room = self.rooms.entry(room.clone()).or_default();
        match of_room.iter_mut().find(|known| known.channel == channel) {
            Some(known) => self.bytes -= std::mem::replace(known, kept).size(),
            None => {
                of_room.push(kept);
                self.kept += 1;
            }
        }
        self.forget();
    }

    fn forget(&mut self) {
        // Without the second rule messages that replace each other would fill the order.
        while self.kept > MESSAGES || self.bytes > BYTES || self.order.len() > 2 * MESSAGES {
            let Some((room, number)) = self.order.pop_front() else { return };
            let Some(of_room) = self.rooms.get_mut(&room) else { continue };
            if let Some(at) = of_room.iter().position(|kept| kept.number == number) {
                self.bytes -= of_room.swap_remove(at).size();
                self.kept -= 1;
                if of_room.is_empty() {
                    self.rooms.remove(&room);
                }
            }
        }
    }

    /// What was kept for a room, one message a channel, the oldest first.
    pub(in crate::serve) fn of(&self, room: &RoomName) -> Vec<Vec<Frame>> {
        let mut kept: Vec<&Kept> = self.rooms.get(room).into_iter().flatten().collect();
        kept.sort_by_key(|kept| kept.number);
        kept.into_iter().map(|kept| kept.frames.clone()).collect()
    }

    pub(in crate::serve) fn len(&self) -> usize {
        self.kept
    }
}

impl Kept {
    fn size(&self) -> usize {
        self.channel.len() + self.frames.iter().map(Frame::size).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(retained: &Retained, room: &RoomName) -> Vec<Vec<u8>> {
        let of_room = retained.of(room);
        of_room.into_iter().map(|mut frames| frames.remove(0).websocket()[2..].to_vec()).collect()
    }

    #[test]
    fn the_last_of_each_channel_is_kept() {
        let (mut retained, room) = (Retained::default(), RoomName::new("a").unwrap());
        for (channel, text) in [("bid", "1"), ("clock", "2"), ("bid", "3")] {
            retained.keep(&room, channel, &[Frame::text(text)]);
        }
        assert_eq!(texts(&retained, &room), [b"2", b"3"]);
        assert_eq!(retained.len(), 2);
        assert!(retained.of(&RoomName::new("b").unwrap()).is_empty());
    }

    #[test]
    fn what_is_retained_elsewhere_replaces_what_may_be_old_and_nothing_newer() {
        let (mut retained, room) = (Retained::default(), RoomName::new("a").unwrap());
        retained.keep(&room, "bid", &[Frame::text("1")]);
        retained.keep(&room, "clock", &[Frame::text("8")]);
        retained.outdate();
        retained.keep(&room, "bid", &[Frame::text("3")]);
        assert!(!retained.take_up(&room, "bid", &[Frame::text("2")]), "it came before");
        assert!(!retained.take_up(&room, "clock", &[Frame::text("8")]), "it is no news");
        retained.outdate();
        assert!(retained.take_up(&room, "clock", &[Frame::text("9")]));
        assert!(retained.take_up(&room, "end", &[Frame::text("0")]));
        assert_eq!(texts(&retained, &room), [b"3", b"9", b"0"]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut retained = Retained::default();
        for n in 0..50_000 {
            let room = RoomName::new(&format!("{}", n % 25_000)).unwrap();
            retained.keep(&room, "bid", &[Frame::text(&n.to_string())]);
        }
        assert!(retained.len() <= MESSAGES && retained.order.len() <= 2 * MESSAGES);
        assert_eq!(texts(&retained, &RoomName::new("24999").unwrap()), [b"49999"]);
        let large = [Frame::text(&"x".repeat(1_000_000))];
        for n in 0..100 {
            retained.keep(&RoomName::new(&format!("large {n}")).unwrap(), "bid", &large);
        }
        assert!(retained.bytes <= BYTES, "{}", retained.bytes);
        let sizes: usize = retained.rooms.values().flatten().map(Kept::size).sum();
        assert_eq!(retained.bytes, sizes);
    }
}
