//! The pool's counter of epochs, given out in blocks that are on the disk before one of them is used.
//!
//! Invariant: what [`Epochs::mint`] gives rises strictly, is at most what was reserved, and lies above everything
//! that the saved state and the recorder ever named.

use touchline_common::model::Epoch;

pub(in crate::pool) const BLOCK: u64 = 1_000;
/// A new block is asked for when fewer than this are left.
const LOW_WATER: u64 = 200;

#[derive(Debug)]
pub(in crate::pool) struct Epochs {
    next: u64,
    reserved: u64,
    requested: u64,
}

impl Epochs {
    /// Goes on above `highest`, none of which is to be used again.
    pub(in crate::pool) fn new(highest: u64) -> Self {
        Epochs { next: highest.saturating_add(1), reserved: highest, requested: highest }
    }

    /// A child has seen `highest`: go on above it.
    pub(in crate::pool) fn stay_above(&mut self, highest: Epoch) {
        self.next = self.next.max(highest.0.saturating_add(1));
    }

    /// The next epoch, if one is reserved.
    pub(in crate::pool) fn mint(&mut self) -> Option<Epoch> {
        (self.next <= self.reserved).then(|| {
            let epoch = Epoch(self.next);
            self.next += 1;
            epoch
        })
    }

    pub(in crate::pool) fn has(&self, count: u64) -> bool {
        self.next.saturating_add(count) <= self.reserved.saturating_add(1)
    }

    /// What must be reserved so that `wanted` more can be given out, if that is not asked for already.
    pub(in crate::pool) fn shortage(&mut self, wanted: usize) -> Option<Epoch> {
        let last = self.next.saturating_sub(1).saturating_add(wanted as u64);
        if last.saturating_add(LOW_WATER) <= self.requested {
            return None;
        }
        let base = self.requested.max(self.next - 1);
        let blocks = last.saturating_add(LOW_WATER).saturating_sub(base).div_ceil(BLOCK).max(1);
        self.requested = base.saturating_add(blocks.saturating_mul(BLOCK));
        Some(Epoch(self.requested))
    }

    pub(in crate::pool) fn reserved(&mut self, up_to: Epoch) {
        self.reserved = self.reserved.max(up_to.0.min(self.requested));
    }

    pub(in crate::pool) fn refused(&mut self) {
        self.requested = self.reserved;
    }

    /// What the saved state must name.
    pub(in crate::pool) fn highest_possible(&self) -> u64 {
        self.requested.max(self.reserved)
    }

    pub(in crate::pool) fn highest(&self) -> Epoch {
        Epoch(self.next - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_used_before_its_block_is_on_the_disk() {
        let mut epochs = Epochs::new(3000);
        assert_eq!(epochs.mint(), None);
        assert_eq!(epochs.shortage(1), Some(Epoch(4000)));
        assert_eq!(epochs.shortage(1), None, "asked for already");
        assert_eq!(epochs.mint(), None);
        epochs.reserved(Epoch(4000));
        assert_eq!(epochs.mint(), Some(Epoch(3001)));
    }

    #[test]
    fn a_block_is_asked_for_before_the_last_is_used_up() {
        let mut epochs = Epochs::new(0);
        assert_eq!(epochs.shortage(0), Some(Epoch(1000)));
        epochs.reserved(Epoch(1000));
        for n in 1..=800 {
            assert_eq!(epochs.mint(), Some(Epoch(n)));
            assert_eq!(epochs.shortage(0), None, "{n}");
        }
        epochs.mint();
        assert_eq!(epochs.shortage(0), Some(Epoch(2000)));
    }

    #[test]
    fn many_at_once_take_as_many_blocks() {
        let mut epochs = Epochs::new(0);
        assert_eq!(epochs.shortage(9_900), Some(Epoch(11_000)));
    }

    #[test]
    fn the_recorder_may_have_seen_more_than_was_saved() {
        let mut epochs = Epochs::new(1000);
        epochs.shortage(1);
        epochs.reserved(Epoch(2000));
        epochs.stay_above(Epoch(5_555));
        assert_eq!(epochs.mint(), None);
        assert_eq!(epochs.shortage(1), Some(Epoch(6_555)));
        epochs.reserved(Epoch(6_555));
        assert_eq!(epochs.mint(), Some(Epoch(5_556)));
    }

    #[test]
    fn a_failed_reservation_is_asked_for_again() {
        let mut epochs = Epochs::new(0);
        assert_eq!(epochs.shortage(1), Some(Epoch(1000)));
        epochs.refused();
        assert_eq!(epochs.mint(), None);
        assert_eq!(epochs.shortage(1), Some(Epoch(1000)));
    }
}
