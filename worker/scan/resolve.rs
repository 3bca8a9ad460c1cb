//! Names of servers without standing still: a thread asks the system, which may take longer than a loop may stand, and
//! the loop looks whether it has answered.
//!
//! At most one thread asks at a time: one that is given up on is asked again for its answer, not joined by another. Called by `upstream`.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

/// A question about one name, and whoever answers it.
#[derive(Debug, Default)]
pub struct Resolver {
    asked: Option<Receiver<io::Result<Vec<SocketAddr>>>>,
}

impl Resolver {
    /// Asks for the addresses of `host:port`, unless that was asked before and is not answered yet.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn ask(&mut self, authority: &str) -> io::Result<()> {
        if self.asked.is_some() {
            return Ok(());
        }
        let (tell, asked) = sync_channel(1);
        let authority = authority.to_owned();
        std::thread::Builder::new().name("resolve".into()).spawn(move || {
            // Nobody listens any more once the worker leaves.
            let _ = tell.send(authority.to_socket_addrs().map(Iterator::collect));
        })?;
        self.asked = Some(asked);
        Ok(())
    }

    /// The answer, once: `None` while there is none.
    pub fn look(&mut self) -> Option<io::Result<Vec<SocketAddr>>> {
        let answer = match self.asked.as_ref()?.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(io::Error::other("the question was not answered")),
        };
        self.asked = None;
        Some(answer)
    }

    /// One whose answer never comes, as long as what it gives is kept.
    #[cfg(test)]
    pub fn silent() -> (Resolver, impl Sized) {
        let (tell, asked) = sync_channel(1);
        (Resolver { asked: Some(asked) }, tell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use touchline_harness::wait;

    #[test]
    fn a_name_is_answered_once_and_can_be_asked_again() {
        let mut resolver = Resolver::default();
        assert!(resolver.look().is_none(), "nothing was asked");
        for _ in 0..2 {
            resolver.ask("localhost:8080").unwrap();
            let addresses = wait::until("an answer", Duration::from_secs(10), || resolver.look()).unwrap();
            assert!(addresses.iter().any(|address| address.ip().is_loopback() && address.port() == 8080));
            assert!(resolver.look().is_none());
        }
    }
}
