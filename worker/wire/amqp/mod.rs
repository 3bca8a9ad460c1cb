//! AMQP 0-9-1 as far as a publisher needs it: frames, the methods from a connection's start to a confirmed message, a content's header.
//!
//! [`Frames`] takes what a socket reads and gives frames, each within a bound; [`Method`], [`Content`], [`body`] and [`heartbeat`] append
//! frames to the caller's buffer. Both directions are here, so that tests play the broker with the same code. A method that
//! nothing here asks for is a value ([`Method::Other`]), what breaks the framing is an error. Caller: the RabbitMQ sink of `record`.

mod content;
mod error;
mod fields;
mod frame;
mod method;
mod text;

#[cfg(test)]
mod tests;

pub use content::{Content, PERSISTENT, Properties};
pub use error::AmqpError;
pub use frame::{Frame, Frames, HEAD, MIN_FRAME, PROTOCOL, body, heartbeat};
pub use method::{Closing, Declare, Method, Table, Tuning};
pub use text::Short;
