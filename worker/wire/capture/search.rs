//! The search for the beginning of a WebSocket's frames in a direction whose beginning is not in the capture.
//!
//! A packet that may begin with a frame is held until what follows shows whether it does, at most [`HELD_MAX`] bytes; what
//! turns out to be something else is reported packet by packet, each with its own time. Callers: `conversation`.

use super::conversation::Place;
use crate::wire::websocket::{Beginning, Role, beginning};
use std::collections::VecDeque;

/// Bytes that are held of what may be frames.
const HELD_MAX: usize = 128 * 1024;

/// Why bytes in front of the first known boundary are not decoded.
pub(super) const NOWHERE: &str = "no message begins here, and how far the stream is is not known";

/// The bytes of a packet, and when it was captured.
pub(super) type Piece = (Option<i64>, Vec<u8>);

#[derive(Default)]
pub(super) struct Search {
    bytes: Vec<u8>,
    /// When each packet of `bytes` was captured, and how long it is.
    packets: VecDeque<(Option<i64>, usize)>,
}

impl Search {
    /// Takes the bytes of the next packet. Whose reader the frames are for, once they are found. `known`: the same, if
    /// the other direction is known to be a WebSocket.
    pub(super) fn take(&mut self, bytes: &[u8], known: Option<Role>, place: &mut Place<'_>) -> Option<Role> {
        self.bytes.extend_from_slice(bytes);
        self.packets.push_back((place.at, bytes.len()));
        if let Some(role) = self.look(known, place) {
            return Some(role);
        }
        // What is held only claims to be a frame if another packet begins with whole ones before its end.
        let Beginning::Frames(role) = beginning(bytes, known, HELD_MAX) else { return None };
        while self.packets.len() > 1 {
            self.pass_first(place);
        }
        Some(role)
    }

    /// Looks at what is held, of which more may be known now.
    pub(super) fn look(&mut self, known: Option<Role>, place: &mut Place<'_>) -> Option<Role> {
        while !self.bytes.is_empty() {
            match beginning(&self.bytes, known, HELD_MAX) {
                Beginning::Frames(role) => return Some(role),
                Beginning::Maybe if self.bytes.len() <= HELD_MAX => return None,
                Beginning::Maybe | Beginning::No => self.pass_first(place),
            }
        }
        None
    }

    /// What is held, packet by packet.
    pub(super) fn take_held(&mut self) -> Vec<Piece> {
        let bytes = std::mem::take(&mut self.bytes);
        let mut rest = bytes.as_slice();
        let mut pieces = Vec::new();
        for (at, length) in self.packets.drain(..) {
            let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            pieces.push((at, piece.to_vec()));
            rest = after;
        }
        pieces
    }

    /// Nothing of what is held will be frames.
    pub(super) fn give_up(&mut self, place: &mut Place<'_>) {
        while !self.bytes.is_empty() {
            self.pass_first(place);
        }
    }

    fn pass_first(&mut self, place: &mut Place<'_>) {
        let Some((at, length)) = self.packets.pop_front() else {
            self.bytes.clear();
            return;
        };
        let packet: Vec<u8> = self.bytes.drain(..length.min(self.bytes.len())).collect();
        let now = std::mem::replace(&mut place.at, at);
        place.undecoded(&packet, NOWHERE);
        place.at = now;
    }
}
