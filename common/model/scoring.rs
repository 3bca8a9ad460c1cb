//! What a step of a sport's score means.

use serde::{Deserialize, Serialize};

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
    /// `4-3` frames, legs or maps won, with the points of the current one beside it: each step of one is a `set`.
    Frames,
}

impl Scoring {
    pub const ALL: [Scoring; 7] = [
        Scoring::Goals,
        Scoring::Points,
        Scoring::Tennis,
        Scoring::Sets,
        Scoring::Cricket,
        Scoring::Text,
        Scoring::Frames,
    ];

    /// As a table of names calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Scoring::Goals => "goals",
            Scoring::Points => "points",
            Scoring::Tennis => "tennis",
            Scoring::Sets => "sets",
            Scoring::Cricket => "cricket",
            Scoring::Text => "text",
            Scoring::Frames => "frames",
        }
    }

    /// Whether what is won one by one (sets, frames, legs, maps) stands for the periods.
    pub fn has_sets(self) -> bool {
        match self {
            Scoring::Tennis | Scoring::Sets | Scoring::Frames => true,
            Scoring::Goals | Scoring::Points | Scoring::Cricket | Scoring::Text => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_has_a_name_of_its_own_and_its_place_in_what_is_saved() {
        let names: HashSet<&str> = Scoring::ALL.into_iter().map(Scoring::as_str).collect();
        assert_eq!(names.len(), Scoring::ALL.len());
        // Places count on the wire: a new one comes last.
        for (place, scoring) in Scoring::ALL.into_iter().enumerate() {
            assert_eq!(scoring as usize, place, "{scoring:?}");
        }
    }
}
