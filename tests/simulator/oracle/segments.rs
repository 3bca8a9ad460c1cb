//! What must have been recorded in sequence although there were gaps: the stretches between them.
//!
//! Within a stretch the rows follow each other as what happened does, none more and none less. Between two stretches only
//! that may be missing which happened in a gap, or, of registers, before their values settled after it. Times are those of
//! one machine; [`SLACK`] covers what is on its way.

use serde_json::Value;
use std::collections::BTreeSet;

/// Seconds by which the times of what happened and of its event may differ.
const SLACK: i64 = 2;
/// Seconds after a gap in which a register that came back lower is not believed.
const SETTLES: i64 = 2;

/// Whose rows are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Registers,
    Commentary,
}

/// Rows without a gap between them, and when what is missing before the first of them may have happened.
#[derive(Debug, Default)]
pub(super) struct Segment<'a> {
    pub(super) missed: Vec<(i64, i64)>,
    pub(super) rows: Vec<&'a Value>,
}

/// The rows of one match, cut at its gaps.
#[derive(Debug)]
pub(super) struct Segments<'a> {
    of: Of,
    done: Vec<Segment<'a>>,
    now: Segment<'a>,
    gap: Option<i64>,
    last_gap: i64,
    settled: i64,
}

impl<'a> Segments<'a> {
    pub(super) fn new(of: Of) -> Self {
        Segments {
            of,
            done: Vec::new(),
            now: Segment::default(),
            gap: None,
            last_gap: i64::MIN,
            settled: i64::MIN,
        }
    }

    pub(super) fn gap_starts(&mut self, at: i64) {
        self.cut();
        self.gap = Some(at);
        self.last_gap = at;
    }

    pub(super) fn gap_ends(&mut self, at: i64) {
        let settles = match self.of {
            Of::Registers => SETTLES,
            Of::Commentary => 0,
        };
        if let Some(from) = self.gap.take() {
            self.now.missed.push((from - SLACK, at + settles + SLACK));
            self.settled = if self.of == Of::Registers { at + settles } else { i64::MIN };
        }
    }

    pub(super) fn row(&mut self, row: &'a Value, at: i64, recovered: bool) {
        if recovered && self.gap.is_none() {
            // Found lower after the gap, believed only now.
            self.cut();
            self.now.missed.push((self.last_gap - SLACK, at + SLACK));
            self.settled = self.settled.max(at);
        } else if self.gap.is_none() && at > self.settled {
            self.now.rows.push(row);
        }
    }

    fn cut(&mut self) {
        if !self.now.rows.is_empty() {
            self.done.push(std::mem::take(&mut self.now));
        }
    }

    /// All stretches; the last may be empty and says what may be missing at the end.
    pub(super) fn finish(mut self) -> Vec<Segment<'a>> {
        self.cut();
        if let Some(from) = self.gap {
            self.now.missed.push((from - SLACK, i64::MAX));
        }
        self.done.push(self.now);
        self.done
    }
}

/// Where it went wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The place in what happened,
    pub(super) happened: usize,
    /// the stretch, and the place in it.
    pub(super) row: (usize, usize),
}

/// Lays the stretches over what happened, given by its times; `same` compares a happening with a row. How many agree.
/// Every place where a stretch fits is followed up: what repeats itself fits more than once.
pub(super) fn lay(
    segments: &[Segment<'_>],
    times: &[i64],
    same: &mut dyn FnMut(usize, &Value) -> bool,
) -> Result<usize, Wrong> {
    let mut ends = BTreeSet::from([0]);
    let mut agreed = 0;
    for (n, segment) in segments.iter().enumerate() {
        let is_last = n + 1 == segments.len();
        let may_miss = |time: i64| segment.missed.iter().any(|(from, to)| (*from..=*to).contains(&time));
        let (Some(first), Some(last)) = (ends.first().copied(), ends.last().copied()) else { break };
        let mut best = Wrong { happened: first, row: (n, 0) };
        let (mut after, mut reached) = (BTreeSet::new(), false);
        for at in first..=times.len() {
            reached |= ends.contains(&at);
            if !reached && at > last {
                break;
            }
            if reached {
                let here = agrees(segment, at, times.len(), same);
                let fits = here == segment.rows.len() && (!is_last || at + here == times.len());
                if fits {
                    after.insert(at + here);
                } else if here >= best.row.1 {
                    best = Wrong { happened: at + here, row: (n, here) };
                }
            }
            reached &= times.get(at).is_some_and(|time| may_miss(*time));
        }
        if after.is_empty() {
            return Err(best);
        }
        ends = after;
        agreed += segment.rows.len();
    }
    Ok(agreed)
}

fn agrees(
    segment: &Segment<'_>,
    at: usize,
    happened: usize,
    same: &mut dyn FnMut(usize, &Value) -> bool,
) -> usize {
    let mut agreed = 0;
    while let Some(row) = segment.rows.get(agreed) {
        if at + agreed >= happened || !same(at + agreed, row) {
            break;
        }
        agreed += 1;
    }
    agreed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What happened: its name and its time.
    const HAPPENED: [(&str, i64); 8] =
        [("a", 10), ("b", 20), ("c", 30), ("d", 31), ("e", 40), ("a", 50), ("b", 60), ("f", 70)];

    fn laid(parts: &[&str]) -> Result<usize, Wrong> {
        let values: Vec<Value> = parts.iter().map(|part| json!(part)).collect();
        let mut segments = Segments::new(Of::Commentary);
        for (value, part) in values.iter().zip(parts) {
            match part.split_once(' ') {
                Some(("gap", time)) => segments.gap_starts(time.parse().unwrap()),
                Some(("end", time)) => segments.gap_ends(time.parse().unwrap()),
                _ => segments.row(value, 0, false),
            }
        }
        let times: Vec<i64> = HAPPENED.iter().map(|(_, time)| *time).collect();
        lay(&segments.finish(), &times, &mut |n, row| HAPPENED[n].0 == row)
    }

    #[test]
    fn what_happened_in_a_gap_may_miss_and_nothing_else() {
        assert_eq!(laid(&["a", "b", "c", "d", "e", "a", "b", "f"]), Ok(8));
        assert_eq!(laid(&["a", "b", "gap 29", "end 33", "e", "a", "b", "f"]), Ok(6));
        assert_eq!(
            laid(&["a", "b", "gap 29", "end 33", "d", "e", "a", "b", "f"]),
            Ok(7),
            "some of it was recorded"
        );
        assert!(laid(&["a", "b", "gap 29", "end 33", "a", "b", "f"]).is_err(), "e was after the gap");
        assert!(laid(&["a", "gap 29", "end 33", "e", "a", "b", "f"]).is_err(), "b was before it");
        assert!(laid(&["a", "b", "gap 29", "end 33", "e", "a", "b"]).is_err(), "f misses at the end");
        assert_eq!(laid(&["a", "b", "gap 29", "end 33", "e", "a", "b", "gap 69"]), Ok(5));
    }

    #[test]
    fn nothing_is_there_twice_or_out_of_order() {
        let wrong = laid(&["a", "b", "gap 29", "end 33", "e", "e", "a", "b", "f"]).unwrap_err();
        assert_eq!(wrong, Wrong { happened: 5, row: (1, 1) });
        assert!(laid(&["a", "b", "c", "gap 31", "end 32", "c", "e", "a", "b", "f"]).is_err(), "c twice");
        assert!(laid(&["b", "a", "c", "d", "e", "a", "b", "f"]).is_err());
    }

    #[test]
    fn a_stretch_that_fits_early_but_not_to_its_end_is_looked_for_later() {
        // `a b` is at the start, too.
        assert_eq!(laid(&["gap 0", "end 48", "a", "b", "f"]), Ok(3));
        assert_eq!(laid(&["gap 0", "end 48", "a", "b", "gap 69", "end 80"]), Ok(2));
        assert!(laid(&["gap 0", "end 30", "a", "b", "gap 69", "end 80"]).is_err(), "e was after the gap");
    }
}
