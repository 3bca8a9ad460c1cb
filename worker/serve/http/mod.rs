//! HTTP/1.1 as far as the gateway speaks it, pure: bytes to a [`Request`], a request to a [`Route`], an [`Answer`] to bytes.
//!
//! Whatever two servers could read differently (two lengths, a bare line feed, a folded header) is refused, and the connection closed:
//! none of it comes from a browser. A request may have a body where its route says so ([`body_limit`]).

mod answer;
mod body;
mod date;
pub(super) mod openapi;
mod reading;
mod request;
mod route;
#[cfg(test)]
mod tests;

pub(super) use answer::{Answer, Body, ContentType, For, Status, stream_head};
pub(super) use body::{BodyLength, BodyReader};
pub(super) use date::Clock;
pub use reading::{Reading, read_in_pieces};
pub(super) use request::{BadRequest, HEAD_LIMIT, Method, Request, decode_form, parse};
pub(super) use route::{PageFile, Publisher, Route, Side, Wanted, body_limit, publisher_route, route};
