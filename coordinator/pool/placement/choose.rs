//! Which worker a match goes to, and which topics it needs. Pure.
//!
//! Least loaded first: subscriptions with what is reserved, then the busy ratio, then the slot's number, so that equal
//! inputs give equal places.

use std::borrow::Cow;
use touchline_common::config::Template;
use touchline_common::config::WaitingKey;
use touchline_common::model::{Listing, MatchId, SlotId};

/// Subscriptions that one connection may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct SlotCap(pub(in crate::pool) u32);

/// A worker as placement sees it.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct Offer {
    pub(in crate::pool) slot: SlotId,
    /// Subscriptions held, reserved, and not yet release.
    pub(in crate::pool) load: u32,
    /// Subscriptions that it takes more.
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
    /// It is kept free for a crash.
    Spare,
    /// Its connection is down.
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

/// The topics of a match by its feed's templates: `{NAME}` is the listing's attribute of that name, `{ID}` without
/// such an attribute the match id.
///
/// # Errors
/// The name that the listing does not give.
pub(in crate::pool) fn topics<'t>(
    templates: &'t [Template],
    id: &MatchId,
    listing: &Listing,
) -> Result<Vec<String>, &'t str> {
    let value = |name: &str| {
        let given = listing.attributes.iter().find(|(known, _)| known == name);
        let value = given.map(|(_, value)| value.as_str()).or_else(|| (name == "ID").then_some(id.as_str()));
        value.map(Cow::Borrowed)
    };
    templates.iter().map(|template| template.fill(value)).collect()
}

/// The place of a waiting match in the line: the lower the earlier.
pub(in crate::pool) type WaitKey = [i64; 2];

/// By `waiting_order`, as configured.
pub(in crate::pool) fn wait_key(order: &[WaitingKey], listing: &Listing) -> WaitKey {
    let rank = |order: &WaitingKey| match order {
        WaitingKey::InPlay => i64::from(!listing.in_play),
        WaitingKey::Start => listing.starts_at.unwrap_or(i64::MAX),
    };
    let mut ranks = order.iter().map(rank);
    [ranks.next().unwrap_or(0), ranks.next().unwrap_or(0)]
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

    #[test]
    fn templates_take_attributes_and_the_id() {
        let listing = Listing { attributes: vec![("CL.ID".into(), "7".into())], ..Listing::default() };
        let templates =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Template>>();
        let id = MatchId::from("90");
        assert_eq!(
            topics(&templates(&["6V{ID}", "x{CL.ID}-{ID}y"]), &id, &listing).unwrap(),
            ["6V90", "x7-90y"]
        );
        assert_eq!(topics(&templates(&["{EV.ID}"]), &id, &listing), Err("EV.ID"));
    }

    #[test]
    fn in_play_waits_first_then_the_earliest_start() {
        let order = [WaitingKey::InPlay, WaitingKey::Start];
        let key =
            |in_play, starts_at| wait_key(&order, &Listing { in_play, starts_at, ..Listing::default() });
        assert!(key(true, None) < key(false, Some(1)));
        assert!(key(true, Some(1)) < key(true, Some(2)));
        assert!(key(true, Some(2)) < key(true, None));
    }
}
