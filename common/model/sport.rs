//! The feed's numbers of sports, and what a step of the score means in each.

use serde::{Deserialize, Serialize};

/// What a step of the score means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scoring {
    /// `1-0`: each step of one is a `goal`.
    Goals,
    /// `37-52`: each change of a side is one `score_change`, whatever its size.
    Points,
    /// `6-4,5-5` games per set, with the game's points beside it: `game`, `set`, `point`.
    Tennis,
    /// Finished sets apart from the points of the current one: `point`, `set`.
    Sets,
    /// `296 & 136/6,210 & 469`: runs are `score_change`, wickets `wicket`.
    Cricket,
    /// No rule: the score is text.
    #[default]
    Text,
}

/// A sport by the feed's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sport {
    pub id: &'static str,
    pub name: &'static str,
    pub scoring: Scoring,
}

impl Sport {
    /// The sport with the feed's number `id`, if it is a known one.
    pub fn by_id(id: &str) -> Option<&'static Sport> {
        SPORTS.iter().find(|sport| sport.id == id)
    }
}

const fn sport(id: &'static str, name: &'static str, scoring: Scoring) -> Sport {
    Sport { id, name, scoring }
}

/// Every sport with a known number.
pub const SPORTS: &[Sport] = &[
    sport("1", "soccer", Scoring::Goals),
    sport("2", "horse_racing", Scoring::Text),
    sport("3", "cricket", Scoring::Cricket),
    sport("4", "greyhounds", Scoring::Text),
    sport("7", "golf", Scoring::Text),
    sport("8", "rugby_union", Scoring::Points),
    sport("9", "boxing", Scoring::Text),
    sport("12", "american_football", Scoring::Points),
    sport("13", "tennis", Scoring::Tennis),
    sport("14", "snooker", Scoring::Text),
    sport("15", "darts", Scoring::Text),
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
    sport("151", "esports", Scoring::Text),
];
