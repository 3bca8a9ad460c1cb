//! What a mio token stands for, in the one poll of the coordinator. A token is never given twice, so an event that comes late for something that is
//! closed finds nothing, instead of its successor in the same place.

use crate::pool::Child;
use mio::Token;
use slab::Slab;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Signals,
    Saver,
    Listener,
    Channel(Child),
    Process(u32),
    Client(u32),
}

#[derive(Debug)]
pub struct Tokens<T> {
    slab: Slab<(u32, T)>,
    stamp: u32,
}

impl<T> Default for Tokens<T> {
    fn default() -> Tokens<T> {
        Tokens { slab: Slab::new(), stamp: 0 }
    }
}

impl<T> Tokens<T> {
    /// Gives `what` a token.
    pub fn insert(&mut self, what: T) -> Token {
        self.stamp = self.stamp.wrapping_add(1);
        let key = self.slab.insert((self.stamp, what));
        Token((self.stamp as usize) << 32 | key)
    }

    /// What the token stands for, if it still does.
    pub fn get(&self, token: Token) -> Option<&T> {
        match self.slab.get(token.0 & 0xffff_ffff) {
            Some((stamp, what)) if *stamp as usize == token.0 >> 32 => Some(what),
            _ => None,
        }
    }

    pub fn remove(&mut self, token: Token) {
        if self.get(token).is_some() {
            self.slab.remove(token.0 & 0xffff_ffff);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_something_closed_finds_nothing() {
        let mut tokens = Tokens::default();
        let first = tokens.insert('a');
        tokens.remove(first);
        let second = tokens.insert('b');
        assert_eq!((tokens.get(first), tokens.get(second)), (None, Some(&'b')));
        tokens.remove(first);
        assert_eq!(tokens.get(second), Some(&'b'));
    }
}
