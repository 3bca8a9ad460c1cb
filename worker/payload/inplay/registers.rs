//! A match's registers from its trees, in the order of `Register`; what is unknown is not there.

use super::mapping::Role;
use super::reading::{Reading, Statistic};
use super::rules::{both, of_statistic};
use super::{score, text};
use touchline_common::model::{Phase, Register, Scoring, Side};

/// Sets that have registers: no match has more, however long a hostile score is.
const MOST_SETS: usize = 99;

/// Fills `out` with all registers that are known; `statistics` are those of the reading.
pub(super) fn read(reading: &Reading<'_>, statistics: &[Statistic<'_>], out: &mut Vec<(Register, i64)>) {
    read_event(reading, out);
    for (key, values) in statistics {
        let counts = values.map(|value| text::whole(value?, 15).map(|count| count as i64));
        both(out, counts, |side| of_statistic(key, side));
    }
    out.sort_unstable_by_key(|(register, _)| *register);
}

/// As [`read`], without those of statistics: looking at every line of a scoreboard costs more than all the rest.
pub(super) fn read_event(reading: &Reading<'_>, out: &mut Vec<(Register, i64)>) {
    out.clear();
    let progress = reading.progress();
    let score = reading.score(progress.phase);
    for (place, set) in score.sets.iter().enumerate().take(MOST_SETS) {
        both(out, *set, |side| Some(Register::Set { set: (place + 1) as u8, side }));
    }
    both(out, score.total, |side| Some(Register::Score(side)));
    both(out, score.wickets, |side| Some(Register::Wickets(side)));
    if reading.scoring == Scoring::Tennis
        && let Some((home, away)) = reading.value(Role::Points).and_then(score::game)
    {
        out.push((Register::Points, Register::pack_points(home, away)));
    }
    out.extend(progress.phase.map(|Phase(phase)| (Register::Phase, phase)));
    out.extend(progress.suspended.map(|suspended| (Register::Suspended, i64::from(suspended))));
    out.sort_unstable_by_key(|(register, _)| *register);
}

pub(super) fn is_register(key: &str, side: Side, value: &[u8]) -> bool {
    of_statistic(key, side).is_some() && text::whole(value, 15).is_some()
}
