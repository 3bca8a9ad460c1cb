//! A feed of live rooms: one socket a room, over TCP or WebSocket, hundreds of them in one loop.
//!
//! `source` holds the rooms and drives them: `room` is the life of one (pure), `link` its connection, `lost` why that ended; `table`
//! finds a room by name and by socket, `line` says whose turn it is to connect (pure), `timers` who is due, `polled` asks which rooms
//! there are. It is made from a `plan`. What a room costs at rest is its entry and the socket: no buffer of its own, but 4 KiB over
//! WebSocket. Rooms share the buffer that is read into, and are read in turn.

mod line;
mod link;
mod lost;
mod plan;
mod room;
mod source;
mod table;
mod timers;

#[cfg(test)]
mod tests;

pub use plan::Plan;
pub use source::Rooms;
