//! A feed of a server that sends JSON over a WebSocket: one connection a worker, everything of it by configuration.
//!
//! `session` is the state machine of a connection (pure), with `dialect` for what messages mean, `search` for where things are in them,
//! `order` for what of a topic is applied, `subscriptions` for what is asked and how fast, `unpack` for binary frames. `link` puts a session
//! on a socket, `connection` makes one link after the other; `lost` and `skip` say what was wrong. It is made from a `plan`.

mod connection;
mod dialect;
mod link;
mod lost;
mod order;
mod plan;
mod search;
mod session;
mod skip;
mod subscriptions;
mod unpack;

#[cfg(test)]
mod tests;

pub use connection::Connection;
pub use plan::Plan;
pub use search::find;
