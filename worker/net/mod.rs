//! Sockets as every kind of feed needs them.
//!
//! `resolve` turns a name into addresses off the loop, `connect` tries them in turn and gives a `socket`, plain or TLS (`tls` says
//! whom to trust); `reconnect` says when the next attempt may be made, and whether an open connection can be relied on;
//! `watch` is what a poll watches a socket for. Nothing of these knows a protocol; `http` asks many HTTP servers at once, with
//! sockets of its own. Callers: `feed`, and the loops for `watch`.

mod connect;
pub mod http;
mod reconnect;
mod resolve;
mod socket;
mod tls;
mod watch;

pub use connect::{Connector, Progress, RESOLVE_DEADLINE};
pub use reconnect::{Due, End, Health, Reconnect, Refusal, Retry, Stage, wait_after};
pub use resolve::{Addresses, Resolver};
pub use socket::{Broken, Got, Readiness, Rest, Socket};
pub use tls::{TlsPlan, Trust};
pub use watch::Watch;
