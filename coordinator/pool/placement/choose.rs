//! Which worker a match goes to. Pure.
//!
//! Least loaded first: subscriptions with what is reserved, then the busy ratio, then the slot's number, so that equal
//! inputs give equal places.

use touchline_common::model::SlotId;

#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct Offer {
    pub(in crate::pool) slot: SlotId,
    /// Subscriptions held, reserved, and not yet release.
    pub(in crate::pool) load: u32,
    pub(in crate::pool) room: u32,
    /// Thousandths of the last second that it worked.
    pub(in crate::pool) busy: u32,
    /// What is against it: such a worker is taken when no other has room.
    pub(in crate::pool) reluctance: Reluctance,
}

/// Why a worker is not the first choice. Ordered, the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::pool) enum Reluctance {
    /// Nothing.
    None,
    Spare,
    Down,
}

/// The place for `topics` more subscriptions, if there is one.
pub(in crate::pool) fn choose(offers: &[Offer], topics: u32, not: Option<SlotId>) -> Option<SlotId> {
    offers
        .iter()
        .filter(|offer| offer.room >= topics && Some(offer.slot) != not)
        .min_by_key(|offer| (offer.reluctance, offer.load, offer.busy, offer.slot))
        .map(|offer| offer.slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(slot: u16, load: u32, room: u32, busy: u32) -> Offer {
        Offer { slot: SlotId(slot), load, room, busy, reluctance: Reluctance::None }
    }

    #[test]
    fn least_loaded_then_least_busy_then_lowest() {
        let full = offer(1, 0, 0, 0);
        assert_eq!(choose(&[full, offer(2, 5, 5, 0), offer(3, 4, 6, 900)], 1, None), Some(SlotId(3)));
        assert_eq!(choose(&[offer(2, 5, 5, 10), offer(3, 5, 5, 9)], 1, None), Some(SlotId(3)));
        assert_eq!(choose(&[offer(3, 5, 5, 9), offer(2, 5, 5, 9)], 1, None), Some(SlotId(2)));
        assert_eq!(choose(&[offer(2, 5, 5, 9)], 6, None), None);
        assert_eq!(choose(&[offer(2, 5, 5, 9)], 1, Some(SlotId(2))), None);
        let spare = Offer { reluctance: Reluctance::Spare, ..offer(1, 0, 50, 0) };
        assert_eq!(choose(&[spare, offer(2, 49, 1, 0)], 1, None), Some(SlotId(2)));
        assert_eq!(choose(&[spare, offer(2, 49, 1, 0)], 2, None), Some(SlotId(1)));
    }
}
