//! What a worker follows of its feed: a [`Source`] that owns the sockets, and the neutral [`Event`]s that it gives.
//!
//! Each kind of feed is a folder here, over a codec of `wire` and the sockets of `net`; it is chosen where `source` makes a plan.
//! A source has no thread and no clock: the loop passes in what is ready and what time it is. It reconnects by itself; the loop
//! gets an event, and asks for what is followed on the new connection. Caller: `scan`.

pub mod diffusion;
mod error;
mod event;
pub mod poll;
mod polled;
pub mod push;
pub mod rooms;
mod source;

pub use error::{FollowError, TOPIC_MAX};
pub use event::{Cause, ConnectionEvent, Event, Loss, SessionKind};
pub use source::{Plan, Source};
