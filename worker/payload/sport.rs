//! The feed's numbers of sports: each one's name in documents and events, and what a step of its score means.

use super::text;
use touchline_common::model::{Facts, Scoring};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sport {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) scoring: Scoring,
}

impl Sport {
    /// The sport with the feed's number `id`, if it is a known one.
    pub(super) fn by_id(id: &str) -> Option<&'static Sport> {
        SPORTS.iter().find(|sport| sport.id == id)
    }

    /// The number of the sport that a table of names calls so: by its name, or any number.
    pub(super) fn id_of(named: &str) -> Option<&str> {
        let by_name = SPORTS.iter().find(|sport| sport.name == named).map(|sport| sport.id);
        by_name.or_else(|| text::whole(named.as_bytes(), 9).map(|_| named))
    }

    /// The names of all that are known.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        SPORTS.iter().map(|sport| sport.name)
    }

    /// What follows from the sport of a match, if that is a known one.
    pub(super) fn facts(sport: Option<&Sport>) -> Facts {
        let scoring = sport.map_or(Scoring::Text, |sport| sport.scoring);
        Facts { sport: sport.map(|sport| sport.name.to_owned()), scoring }
    }
}

const fn sport(id: &'static str, name: &'static str, scoring: Scoring) -> Sport {
    Sport { id, name, scoring }
}

const SPORTS: &[Sport] = &[
    sport("1", "soccer", Scoring::Goals),
    sport("2", "horse_racing", Scoring::Text),
    sport("3", "cricket", Scoring::Cricket),
    sport("4", "greyhounds", Scoring::Text),
    sport("7", "golf", Scoring::Text),
    sport("8", "rugby_union", Scoring::Points),
    sport("9", "boxing", Scoring::Text),
    sport("12", "american_football", Scoring::Points),
    sport("13", "tennis", Scoring::Tennis),
    sport("14", "snooker", Scoring::Frames),
    sport("15", "darts", Scoring::Frames),
    sport("16", "baseball", Scoring::Points),
    sport("17", "ice_hockey", Scoring::Goals),
    sport("18", "basketball", Scoring::Points),
    sport("19", "rugby_league", Scoring::Points),
    sport("36", "aussie_rules", Scoring::Points),
    sport("38", "cycling", Scoring::Text),
    sport("66", "bowls", Scoring::Text),
    sport("78", "handball", Scoring::Goals),
    sport("83", "futsal", Scoring::Goals),
    sport("84", "field_hockey", Scoring::Goals),
    sport("91", "volleyball", Scoring::Sets),
    sport("92", "table_tennis", Scoring::Sets),
    sport("94", "badminton", Scoring::Sets),
    sport("95", "beach_volleyball", Scoring::Sets),
    sport("98", "curling", Scoring::Text),
    sport("151", "esports", Scoring::Frames),
];
