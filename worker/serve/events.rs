//! The newest events of the match stream, as they go to clients, for those who come back soon.

use super::frame::Message;
use super::items::{ItemKey, Items};
use crate::record::sink::Row;
use std::collections::VecDeque;
use touchline_common::config::SinkLane;

/// Events that are held at most, and the bytes of their texts.
const EVENTS: usize = 4_096;
const BYTES: usize = 4 * 1024 * 1024;
/// Bytes of those that a client is sent when it comes back, the newest: it is to have room for what happens next.
const MISSED: usize = 128 * 1024;

#[derive(Debug)]
pub(super) struct Event {
    pub seq: i64,
    /// `None`: of a feed that is not configured any more.
    pub key: Option<ItemKey>,
    pub lane: SinkLane,
    pub message: Message,
    bytes: usize,
}

impl Event {
    pub(super) fn new(row: &Row, items: &Items) -> Event {
        let key = items.of_event(&row.feed, &row.id);
        Event { seq: row.seq, key, lane: row.lane, message: Message::event(&row.json), bytes: row.json.len() }
    }

    /// Whether who watches `item` is sent it: all of one match, of the list what is worth a look.
    pub(super) fn is_for(&self, item: &ItemKey) -> bool {
        match item {
            ItemKey::Match(_) => self.key.as_ref() == Some(item),
            ItemKey::List => self.lane == SinkLane::Priority,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Events {
    held: VecDeque<Event>,
    bytes: usize,
    /// Taken since the start.
    pub(super) count: u64,
}

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        self.count += 1;
        self.bytes += event.bytes;
        self.held.push_back(event);
        while (self.held.len() > EVENTS || self.bytes > BYTES)
            && let Some(oldest) = self.held.pop_front()
        {
            self.bytes -= oldest.bytes;
        }
    }

    /// Those above `since` for who watches `item`, in their order: the newest, as many as are sent at once.
    pub(super) fn since(&self, since: i64, item: &ItemKey) -> Vec<&Event> {
        let mut room = MISSED;
        let newest = self.held.iter().rev().take_while(|event| event.seq > since);
        let fitting = newest.filter(|event| event.is_for(item)).take_while(|event| {
            let fits = event.bytes <= room;
            room = room.saturating_sub(event.bytes);
            fits
        });
        let mut missed: Vec<&Event> = fitting.collect();
        missed.reverse();
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::items::tests::{items, message};

    fn row(seq: i64, lane: SinkLane, size: usize) -> Row {
        let json = format!(r#"{{"seq":{seq},"text":"{}"}}"#, "x".repeat(size));
        Row { seq, feed: "inplay".into(), id: "A".into(), kind: "goal".into(), lane, json }
    }

    #[test]
    fn who_comes_back_gets_what_it_missed_as_far_as_there_is_room() {
        let (mut items, mut events) = (items(), Events::default());
        items.apply(&message(1, true, &[("", Some("{}"))]));
        let item = items.of_event("inplay", "A").unwrap();
        for seq in 1..=200 {
            let lane = if seq % 2 == 0 { SinkLane::Priority } else { SinkLane::Normal };
            events.push(Event::new(&row(seq, lane, 1_000), &items));
        }
        let seqs = |since, item: &ItemKey| -> Vec<i64> {
            events.since(since, item).iter().map(|event| event.seq).collect()
        };
        assert_eq!(seqs(197, &item), [198, 199, 200]);
        assert_eq!(seqs(196, &ItemKey::List), [198, 200]);
        assert!(seqs(200, &item).is_empty());
        let all = seqs(0, &item);
        assert!(all.len() > 100 && all.len() < 130 && all.last() == Some(&200) && all.is_sorted(), "{all:?}");
    }

    #[test]
    fn what_is_held_is_bounded() {
        let (items, mut events) = (items(), Events::default());
        for seq in 0..10_000 {
            events.push(Event::new(&row(seq, SinkLane::Normal, if seq < 5_000 { 0 } else { 2_000 }), &items));
        }
        assert!(events.held.len() <= EVENTS && events.bytes <= BYTES);
        assert_eq!((events.count, events.held.back().unwrap().seq), (10_000, 9_999));
        assert_eq!(events.bytes, events.held.iter().map(|event| event.bytes).sum::<usize>());
    }
}
