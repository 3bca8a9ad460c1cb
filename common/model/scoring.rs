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
}
