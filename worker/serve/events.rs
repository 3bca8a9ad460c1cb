//! The newest events of the match stream, as they go to clients, for those who come back soon.

use super::frame::Message;
use super::items::{ItemKey, Items};
use crate::record::sink::Row;
use std::collections::VecDeque;
use touchline_common::config::SinkLane;

/// Events that are held at most, and the bytes of their texts.
const EVENTS: usize = 4_096;
const BYTES: usize = 4 * 1024 * 1024;

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

    /// Those above `since` for who watches `item`, in their order.
    pub(super) fn since<'e>(&'e self, since: i64, item: &'e ItemKey) -> impl Iterator<Item = &'e Event> {
        self.held.iter().filter(move |event| event.seq > since && event.is_for(item))
    }
}
