//! WebSocket outside, a byte stream in DPT form inside.
//!
//! A session speaks the byte stream's form only; where the transport is WebSocket, a tunnel stands between it and the socket.
//! What the socket reads goes in ([`ClientTunnel::spare`], [`ClientTunnel::filled`]) and comes out as DPT bytes
//! ([`ClientTunnel::pull`]); the session's DPT bytes go in ([`ClientTunnel::push`]) and come out as what the socket writes
//! ([`ClientTunnel::output`]). [`ServerTunnel`] is the counterpart for a server that speaks DPT inside. No sockets, no clocks.
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
pub use server::{Joining, ServerConfig, ServerTunnel};

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
