//! Which topics a match needs, and its turn among those that wait. Pure.

use std::borrow::Cow;
use touchline_common::config::{Template, WaitingKey};
use touchline_common::model::{Listing, MatchId};

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
