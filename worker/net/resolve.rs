//! From a name to addresses, off the loop: the system's resolver blocks for as long as it likes.
//!
//! One thread per question, and never a second while the first is out: a resolver that hangs costs one thread. Its answer
//! wakes the loop; one that comes after its question was given up serves the next. A number needs no resolver.

use mio::Waker;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;

const MOST: usize = 8;
const STACK: usize = 256 * 1024;

pub type Addresses = io::Result<Vec<SocketAddr>>;

#[derive(Debug)]
pub struct Resolver {
    authority: String,
    lookup: fn(&str) -> Addresses,
    waker: Arc<Waker>,
    answer: Option<Receiver<Addresses>>,
}

impl Resolver {
    /// For `host:port`. `waker` is woken when an answer is there.
    pub fn new(authority: String, waker: Arc<Waker>) -> Resolver {
        Resolver { authority, lookup: system, waker, answer: None }
    }

    /// Asks another resolver than the system's.
    #[cfg(test)]
    pub fn look_up_by(&mut self, lookup: fn(&str) -> Addresses) {
        self.lookup = lookup;
    }

    /// Asks, unless a question is out. A number is its own answer, which is there at once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn ask(&mut self) -> io::Result<()> {
        if self.answer.is_some() {
            return Ok(());
        }
        let (sender, receiver) = sync_channel(1);
        if let Ok(address) = self.authority.parse() {
            let _ = sender.send(Ok(vec![address]));
            self.answer = Some(receiver);
            return Ok(());
        }
        let (authority, lookup, waker) = (self.authority.clone(), self.lookup, Arc::clone(&self.waker));
        thread::Builder::new().name("resolve".to_owned()).stack_size(STACK).spawn(move || {
            // The receiver is gone only when the worker ends.
            let _ = sender.send(lookup(&authority));
            let _ = waker.wake();
        })?;
        self.answer = Some(receiver);
        Ok(())
    }

    /// The answer, once it is there. A name without addresses is an error.
    pub fn answer(&mut self) -> Option<Addresses> {
        let answer = match self.answer.as_ref()?.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(io::Error::other("the resolver ended without an answer")),
        };
        self.answer = None;
        Some(answer.and_then(|mut addresses| {
            addresses.truncate(MOST);
            if addresses.is_empty() {
                return Err(io::Error::new(ErrorKind::NotFound, "the name has no address"));
            }
            Ok(addresses)
        }))
    }
}

fn system(authority: &str) -> Addresses {
    Ok(authority.to_socket_addrs()?.collect())
}
