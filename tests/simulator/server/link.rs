//! A client's socket with a WebSocket's tunnel over it, where the transport has one.
//!
//! The server speaks DPT to all. What is written for many is written once; a tunnel takes the length and the encoding byte off
//! each message and puts a frame's head before it, compressed where the client takes that.

use super::certificate::Certified;
use super::connection::End;
use super::socket::{Got, Socket};
use crate::options::{Options, Protocol, Transport};
use mio::net::TcpStream;
use rustls::ServerConfig;
use std::io;
use std::sync::Arc;
use touchline_worker::wire::diffusion::FrameBuffer;
use touchline_worker::wire::diffusion::tunnel::{Form, ServerConfig as TunnelConfig, ServerTunnel};
use touchline_worker::wire::websocket::refuse;

/// A tunnel takes so many bytes at once, and the message in which they end.
pub(super) const AT_ONCE: usize = 64 * 1024;

/// How links of this server are made.
pub(super) struct Links {
    tls: Option<Arc<ServerConfig>>,
    tunnel: Option<Tunnels>,
}

#[derive(Clone)]
struct Tunnels {
    form: Form,
    config: TunnelConfig,
}

/// A client's socket.
pub(super) struct Link {
    socket: Socket,
    tunnel: Option<Tunnel>,
}

struct Tunnel {
    /// How this server speaks; a client that speaks otherwise is refused.
    form: Form,
    inner: Box<ServerTunnel>,
}

impl Links {
    /// What connections are made with.
    pub(super) fn new(options: &Options, certified: Option<&Certified>) -> io::Result<Self> {
        let tunnel = match (options.transport, options.protocol) {
            (Transport::Ws | Transport::Wss, Protocol::V4) => Some((Form::V4, 0)),
            // Its servers put what they send at once into one text.
            (Transport::Ws | Transport::Wss, Protocol::Zap) => {
                Some((Form::Zap, TunnelConfig::default().joining))
            }
            (Transport::Dpt | Transport::Dpts, Protocol::V4) => None,
            (Transport::Dpt | Transport::Dpts, Protocol::Zap) => {
                let why = "the protocol zap is spoken over a WebSocket; take the transport ws or wss";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            (Transport::Tcp, Protocol::V4 | Protocol::Zap) => {
                let why = "the transport tcp is for rooms; take dpt, dpts, ws or wss";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        };
        let tunnels =
            |(form, joining)| Tunnels { form, config: TunnelConfig { joining, ..TunnelConfig::default() } };
        Ok(Self {
            tls: certified.map(|certified| Arc::clone(&certified.config)),
            tunnel: tunnel.map(tunnels),
        })
    }

    /// A link over an accepted socket.
    pub(super) fn make(&self, stream: TcpStream) -> io::Result<Link> {
        let tunnel = self
            .tunnel
            .clone()
            .map(|Tunnels { form, config }| Tunnel { form, inner: Box::new(ServerTunnel::new(config)) });
        Ok(Link { socket: Socket::new(stream, self.tls.as_ref())?, tunnel })
    }
}

impl Link {
    pub(super) fn stream(&mut self) -> &mut TcpStream {
        self.socket.stream()
    }

    /// Reads once into `input`. Whether there may be more.
    ///
    /// # Errors
    /// [`End::Left`], [`End::Bad`].
    pub(super) fn read(&mut self, input: &mut FrameBuffer) -> Result<bool, End> {
        let Some(tunnel) = &mut self.tunnel else {
            let got = self.socket.read(input.spare()).map_err(|_| End::Left)?;
            return got.count().map(|count| {
                input.filled(count);
                count > 0
            });
        };
        let mut more = true;
        if tunnel.inner.is_drained() {
            let got = self.socket.read(tunnel.inner.spare()).map_err(|_| End::Left)?;
            let count = got.count()?;
            tunnel.inner.filled(count);
            more = count > 0;
        }
        match tunnel.pull(input) {
            Ok(()) => Ok(more),
            Err(end) => {
                self.refuse_another_form();
                Err(end)
            }
        }
    }

    /// A client that speaks the other form gets that in HTTP, instead of an answer that it would not understand.
    fn refuse_another_form(&mut self) {
        if self.tunnel.as_ref().is_some_and(Tunnel::is_of_another_form) {
            self.tunnel = None;
            let mut answer = Vec::new();
            refuse(400, "Bad Request", &mut answer);
            let _ = self.socket.write(&answer, &mut 0);
        }
    }

    /// Whether something waits here for the kernel.
    pub(super) fn has_to_send(&self) -> bool {
        self.waiting() > 0 || self.socket.has_to_send()
    }

    /// Bytes that wait in the tunnel.
    pub(super) fn waiting(&self) -> usize {
        self.tunnel.as_ref().map_or(0, |tunnel| tunnel.inner.output().len())
    }

    /// Whether [`Link::write`] takes nothing but whole messages, the first [`AT_ONCE`] bytes of which are enough.
    pub(super) fn wants_whole(&self) -> bool {
        self.tunnel.is_some()
    }

    /// Hands to the kernel what waits here; adds to `taken` what it took.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if it did not take all of it.
    pub(super) fn send(&mut self, taken: &mut u64) -> io::Result<()> {
        self.socket.send(taken)?;
        if let Some(tunnel) = &mut self.tunnel {
            while !tunnel.inner.output().is_empty() {
                let count = self.socket.write(tunnel.inner.output(), taken)?;
                tunnel.inner.output_sent(count);
                self.socket.send(taken)?;
            }
        }
        Ok(())
    }

    /// Takes DPT bytes, when nothing waits here; how many.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub(super) fn write(&mut self, bytes: &[u8], taken: &mut u64) -> io::Result<usize> {
        match &mut self.tunnel {
            Some(tunnel) => Ok(tunnel.inner.push(bytes)),
            None => self.socket.write(bytes, taken),
        }
    }

    /// The end, sent as far as that goes at once.
    pub(super) fn farewell(&mut self) {
        let _ = self.send(&mut 0);
        self.socket.farewell();
    }
}

impl Tunnel {
    fn pull(&mut self, input: &mut FrameBuffer) -> Result<(), End> {
        let pulled = self.inner.pull(input.spare());
        if self.is_of_another_form() {
            return Err(End::Bad);
        }
        match pulled {
            Ok(count) => {
                input.filled(count);
                Ok(())
            }
            Err(touchline_worker::wire::diffusion::tunnel::TunnelError::Closed { .. }) => Err(End::Left),
            Err(error) => {
                log::debug!("simulator.tunnel {error}");
                Err(End::Bad)
            }
        }
    }

    fn is_of_another_form(&self) -> bool {
        self.inner.form().is_some_and(|form| form != self.form)
    }
}

impl Got {
    fn count(self) -> Result<usize, End> {
        match self {
            Self::Bytes(count) => Ok(count),
            Self::Nothing => Ok(0),
            Self::End => Err(End::Left),
        }
    }
}
