//! The score's text to numbers, by what it means in the sport.
//!
//! A part that is no whole number from 0 to 99999 makes what is read from it unknown, and nothing else.

use super::text;
use touchline_common::model::Scoring;

/// A pair, home first; each may be unknown.
pub(super) type Pair = [Option<u32>; 2];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Score {
    /// Goals, points, runs or sets won.
    pub(super) total: Pair,
    /// Finished and current sets, in order; empty where the sport has none.
    pub(super) sets: Vec<Pair>,
    /// Cricket: wickets lost.
    pub(super) wickets: Pair,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// The last set is still being played.
    Open,
    Finished,
}

/// Reads the score `ss` and what stands beside it, `xp`.
pub(super) fn read(scoring: Scoring, ss: &[u8], xp: &[u8], course: Course) -> Score {
    match scoring {
        Scoring::Goals | Scoring::Points => Score { total: pair(ss), ..Score::default() },
        Scoring::Tennis => {
            let sets: Vec<Pair> = sets(ss);
            let finished = match course {
                Course::Open => sets.len().saturating_sub(1),
                Course::Finished => sets.len(),
            };
            let total = if ss.is_empty() { [None; 2] } else { won(sets.get(..finished).unwrap_or_default()) };
            Score { total, sets, ..Score::default() }
        }
        Scoring::Sets => {
            let mut sets = sets(xp);
            let total = if ss.is_empty() && xp.is_empty() { [None; 2] } else { won(&sets) };
            if course == Course::Open && !ss.is_empty() {
                sets.push(pair(ss));
            }
            Score { total, sets, ..Score::default() }
        }
        Scoring::Cricket => cricket(ss),
        Scoring::Text => Score::default(),
    }
}

/// A whole number from 0 to 99999.
pub(super) fn number(part: &[u8]) -> Option<u32> {
    text::whole(part, 5).map(|n| n as u32)
}

/// The points of a tennis game, `A` as 50.
pub(super) fn game(xp: &[u8]) -> Option<(u16, u16)> {
    let (home, away) = split(xp, b'-')?;
    let points =
        |part: &[u8]| if part == b"A" { Some(50) } else { number(part).and_then(|n| u16::try_from(n).ok()) };
    Some((points(home)?, points(away)?))
}

fn split(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(mark, text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn pair(text: &[u8]) -> Pair {
    split(text, b'-').map_or([None; 2], |(home, away)| [number(home), number(away)])
}

fn sets(text: &[u8]) -> Vec<Pair> {
    if text.is_empty() { Vec::new() } else { text.split(|&b| b == b',').map(pair).collect() }
}

fn won(sets: &[Pair]) -> Pair {
    let mut total = [0, 0];
    for set in sets {
        let [Some(home), Some(away)] = *set else { return [None; 2] };
        let [h, a] = &mut total;
        *h += u32::from(home > away);
        *a += u32::from(away > home);
    }
    total.map(Some)
}

fn cricket(ss: &[u8]) -> Score {
    // Without a comma only the side named first has batted.
    let (home, away) = match split(ss, b',') {
        Some((home, away)) => (innings(home), innings(away)),
        None => (innings(ss), (None, None)),
    };
    Score { total: [home.0, away.0], wickets: [home.1, away.1], sets: Vec::new() }
}

/// Runs and wickets of a side: `296 & 136/6` is 432 for 16.
fn innings(text: &[u8]) -> (Option<u32>, Option<u32>) {
    let (mut runs, mut wickets) = (Some(0_u32), Some(0_u32));
    let mut parts = text.split(|&b| b == b'&').peekable();
    while let Some(part) = parts.next() {
        let part = part.trim_ascii();
        let (scored, lost) = match split(part, b'/') {
            Some((scored, lost)) => (scored, number(lost)),
            None => (part, Some(if parts.peek().is_some() { 10 } else { 0 })),
        };
        let scored = number(scored);
        // Without its runs an innings says nothing of its wickets either.
        wickets = wickets.zip(lost).zip(scored).map(|((sum, n), _)| sum.saturating_add(n));
        runs = runs.zip(scored).map(|(sum, n)| sum.saturating_add(n));
    }
    (runs, wickets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(home: u32, away: u32) -> Pair {
        [Some(home), Some(away)]
    }

    #[test]
    fn goals_are_two_numbers() {
        let total = |ss: &[u8]| read(Scoring::Goals, ss, b"", Course::Open).total;
        assert_eq!(total(b"1-3"), known(1, 3));
        assert_eq!(total(b"1-x"), [Some(1), None]);
        for odd in [&b""[..], b"1", b"-", b"100000-123456"] {
            assert_eq!(total(odd), [None, None]);
        }
    }

    #[test]
    fn tennis_counts_finished_sets() {
        let score = read(Scoring::Tennis, b"6-4,3-6,5-5", b"40-0", Course::Open);
        assert_eq!((score.total, score.sets.len()), (known(1, 1), 3));
        assert_eq!(read(Scoring::Tennis, b"6-4,6-3", b"", Course::Finished).total, known(2, 0));
        assert_eq!(read(Scoring::Tennis, b"2-1", b"", Course::Open).total, known(0, 0));
        assert_eq!(read(Scoring::Tennis, b"6-x,1-0", b"", Course::Open).total, [None, None]);
        assert_eq!(read(Scoring::Tennis, b"", b"", Course::Open).total, [None, None]);
        assert_eq!(game(b"A-40"), Some((50, 40)));
        assert_eq!(game(b"7-6"), Some((7, 6)));
        assert_eq!(game(b"B-40"), None);
    }

    #[test]
    fn sets_stand_beside_the_current_one() {
        let score = read(Scoring::Sets, b"3-1", b"13-11,8-11,11-7", Course::Open);
        assert_eq!((score.total, score.sets.last()), (known(2, 1), Some(&known(3, 1))));
        let over = read(Scoring::Sets, b"11-7", b"13-11,11-7", Course::Finished);
        assert_eq!((over.total, over.sets.len()), (known(2, 0), 2));
        assert_eq!(read(Scoring::Sets, b"3-1", b"", Course::Open).total, known(0, 0));
    }

    #[test]
    fn cricket_sums_innings() {
        let score = read(Scoring::Cricket, b"296 & 136/6,210 & 469", b"", Course::Open);
        assert_eq!(score.total, known(432, 679));
        assert_eq!(score.wickets, known(16, 10));
        assert_eq!(read(Scoring::Cricket, b"20/1", b"", Course::Open).total, [Some(20), None]);
        assert_eq!(read(Scoring::Cricket, b"120/3,x", b"", Course::Open).total, [Some(120), None]);
    }
}
