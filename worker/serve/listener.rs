//! An address at which clients connect: readers' or publishers'.

use super::ServeError;
use super::http::Side;
use super::run::{LISTENER, PUBLISHERS};
use mio::net::TcpListener;
use mio::{Interest, Poll};
use std::net::SocketAddr;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Listener {
    /// `None` once it leaves.
    pub(super) socket: Option<TcpListener>,
    pub(super) waiting: bool,
    /// No connection is taken before that.
    pub(super) pause: Option<Instant>,
    /// Whether it was said that none could be taken, since one was.
    pub(super) is_told: bool,
}

impl Listener {
    /// # Errors
    /// [`ServeError::Listen`], [`ServeError::Config`].
    pub(super) fn open(listen: &str, side: Side, poll: &Poll) -> Result<(Listener, SocketAddr), ServeError> {
        let (key, token) = match side {
            Side::Readers => ("listen", LISTENER),
            Side::Publishers => ("pub_listen", PUBLISHERS),
        };
        let wanted: SocketAddr = listen
            .parse()
            .map_err(|_| ServeError::Config { what: format!("[gateway] {key} is no address") })?;
        let failed = |source| ServeError::Listen { address: listen.to_owned(), source };
        let mut socket = TcpListener::bind(wanted).map_err(failed)?;
        poll.registry().register(&mut socket, token, Interest::READABLE).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok((Listener { socket: Some(socket), waiting: true, pause: None, is_told: false }, address))
    }

    pub(super) fn close(&mut self) {
        (self.socket, self.waiting) = (None, false);
    }
}
