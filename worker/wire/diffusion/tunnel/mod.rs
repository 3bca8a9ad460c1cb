//! WebSocket outside, a byte stream in DPT form inside.
//!
//! A session speaks the byte stream's form only; where the transport is WebSocket, a tunnel stands between it and the socket.
//! What the socket reads goes in ([`Tunnel::spare`], [`Tunnel::filled`]) and comes out as DPT bytes ([`Tunnel::pull`]); the
//! session's DPT bytes go in ([`Tunnel::push`]) and come out as what the socket writes ([`Tunnel::output`]).
//! [`ServerTunnel`] is the counterpart for a server that speaks DPT inside. No sockets, no clocks.
//!
//! On the WebSocket a message has neither length nor, towards the client, an encoding byte; several stand in one text with
//! MD between (protocol text form). The first texts are the handshake.

mod client;
mod error;
mod pipe;
mod query;
mod server;
#[cfg(test)]
mod tests;

pub use client::{ClientTunnel, TunnelConfig};
pub use error::TunnelError;
pub use pipe::Tunnel;
pub use server::{ServerConfig, ServerTunnel};

use super::message::decimal;
use super::{ConnectResponse, ResponseCode, Split};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Version 4: the connect request is the query of the upgrade.
    V4,
    /// The text form of version 3: the connect request is the first text, and the client's messages have an encoding byte.
    Zap,
}

pub const ZAP_PROTOCOL: &str = "zap-protocol-v1";

impl Form {
    /// Where a server is asked, unless the address says otherwise.
    pub const fn default_path(self) -> &'static str {
        match self {
            Form::V4 => "/diffusion",
            Form::Zap => "/zap/",
        }
    }

    pub const fn subprotocol(self) -> Option<&'static str> {
        match self {
            Form::V4 => None,
            Form::Zap => Some(ZAP_PROTOCOL),
        }
    }
}

/// The answer to a handshake as a text has it: `code FD id`, behind the version where that is stated.
pub(in crate::wire) fn response(version: u8, mut fields: Split<'_>) -> Option<ConnectResponse<'_>> {
    let code = ResponseCode::from_byte(number(fields.next()?)?);
    if code.is_accepted() {
        Some(ConnectResponse::Accepted { version, code, client_id: fields.next()? })
    } else {
        Some(ConnectResponse::Refused { version, code })
    }
}

pub(in crate::wire) fn number(text: &[u8]) -> Option<u8> {
    decimal(text).and_then(|number| u8::try_from(number).ok())
}
