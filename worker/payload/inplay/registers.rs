//! A match's registers from its trees, in the order of `Register`; what is unknown is not there.

use super::mapping::Role;
use super::reading::Reading;
use super::rules::of_statistic;
use super::score::{self, Course, Pair};
use super::text;
use touchline_common::model::{Phase, Register, Scoring, Side};

/// Sets that have registers: no match has more, however long a hostile score is.
const MOST_SETS: usize = 99;

/// Fills `out` with all registers that are known.
pub(super) fn read(reading: &Reading<'_>, out: &mut Vec<(Register, i64)>) {
    out.clear();
    let progress = reading.progress();
    let course = if progress.phase == Some(Phase::FINISHED) { Course::Finished } else { Course::Open };
    let ss = reading.value(Role::Score).unwrap_or_default();
    let xp = reading.value(Role::Points).unwrap_or_default();
    let score = score::read(reading.scoring(), ss, xp, course);
    for (place, set) in score.sets.iter().enumerate().take(MOST_SETS) {
        both(out, *set, |side| Register::Set { set: (place + 1) as u8, side });
    }
    both(out, score.total, Register::Score);
    both(out, score.wickets, Register::Wickets);
    if reading.scoring() == Scoring::Tennis
        && let Some((home, away)) = score::game(xp)
    {
        out.push((Register::Points, Register::pack_points(home, away)));
    }
    for (key, values) in reading.statistics() {
        for (side, value) in Side::BOTH.into_iter().zip(values) {
            if let (Some(register), Some(value)) =
                (of_statistic(&key, side), value.and_then(|v| text::whole(v, 15)))
            {
                out.push((register, value as i64));
            }
        }
    }
    if let Some(Phase(phase)) = progress.phase {
        out.push((Register::Phase, phase));
    }
    out.extend(progress.suspended.map(|suspended| (Register::Suspended, i64::from(suspended))));
    out.sort_unstable_by_key(|(register, _)| *register);
}

fn both(out: &mut Vec<(Register, i64)>, values: Pair, register: impl Fn(Side) -> Register) {
    for (side, value) in Side::BOTH.into_iter().zip(values) {
        if let Some(value) = value {
            out.push((register(side), i64::from(value)));
        }
    }
}

pub(super) fn is_register(key: &str, side: Side, value: &[u8]) -> bool {
    of_statistic(key, side).is_some() && text::whole(value, 15).is_some()
}
