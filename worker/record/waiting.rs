//! The document of a match that waits for a place: all that the match list knows, as head and tail.

use super::documents::push_text;
use crate::payload::rules::split_name;
use touchline_common::model::Listing;

pub(super) fn parts(listing: &Listing) -> (String, &'static str) {
    (head(listing), r#"{"market_order":[]}"#)
}

fn head(listing: &Listing) -> String {
    let mut out = String::from("{");
    let name = listing.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let (home, away) = name.and_then(split_name).unzip();
    let members = [
        ("sport", listing.sport.as_deref()),
        ("sport_id", listing.sport_id.as_deref()),
        ("competition", listing.competition.as_deref()),
        ("name", name),
        ("home", home.as_deref()),
        ("away", away.as_deref()),
        ("period", listing.period.as_deref()),
    ];
    for (key, value) in members {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            push_text(&mut out, key);
            out.push(':');
            push_text(&mut out, value);
            out.push(',');
        }
    }
    if let Some(score) = listing.score.as_deref().filter(|score| !score.is_empty()) {
        out.push_str("\"score\":{\"text\":");
        push_text(&mut out, score);
        out.push_str("},");
    }
    let status = if listing.in_play { "in_play" } else { "not_started" };
    out.push_str("\"status\":");
    push_text(&mut out, status);
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_json_of_what_is_known() {
        let listing = Listing {
            name: Some(" A \"x\" v B ".into()),
            sport_id: Some("1".into()),
            sport: Some("soccer".into()),
            in_play: true,
            ..Listing::default()
        };
        let head: serde_json::Value = serde_json::from_str(&head(&listing)).unwrap();
        assert_eq!(
            head,
            serde_json::json!({"sport":"soccer","sport_id":"1","name":"A \"x\" v B","home":"A \"x\"","away":"B",
                "status":"in_play"})
        );
    }
}
