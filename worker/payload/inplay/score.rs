//! The score's text to numbers, by what it means in the sport.
//!
//! A part that is no whole number from 0 to 99999 makes what is read from it unknown, and nothing else: a text on its way from one
//! form to another must take nothing back.

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
        Scoring::Goals | Scoring::Points | Scoring::Frames => Score { total: pair(ss), ..Score::default() },
        Scoring::Tennis => {
            let sets: Vec<Pair> = sets(ss);
            let over = match course {
                Course::Open => false,
                Course::Finished => sets.last().is_none_or(|last| is_complete(*last)),
            };
            let finished = sets.len().saturating_sub(usize::from(!over));
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

/// A whole number from 0 to 99999, whatever blanks stand around it.
pub(super) fn number(part: &[u8]) -> Option<u32> {
    text::whole(part.trim_ascii(), 5).map(|n| n as u32)
}

/// The points of a tennis game, `A` or `AD` as 50.
pub(super) fn game(xp: &[u8]) -> Option<(u16, u16)> {
    let (home, away) = split_sides(xp)?;
    let points = |part: &[u8]| {
        let is_advantage = part.eq_ignore_ascii_case(b"A") || part.eq_ignore_ascii_case(b"AD");
        if is_advantage { Some(50) } else { number(part).and_then(|n| u16::try_from(n).ok()) }
    };
    Some((points(home)?, points(away)?))
}

/// What stands before and behind the first hyphen, en dash or colon, without blanks.
fn split_sides(text: &[u8]) -> Option<(&[u8], &[u8])> {
    const EN_DASH: [u8; 3] = [0xe2, 0x80, 0x93];
    let at = text.iter().position(|b| matches!(b, b'-' | b':') || *b == EN_DASH[0])?;
    let (home, rest) = text.split_at_checked(at)?;
    let away = match rest {
        [b'-' | b':', away @ ..] => away,
        _ => rest.strip_prefix(&EN_DASH)?,
    };
    Some((home.trim_ascii(), away.trim_ascii()))
}

fn split(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(mark, text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Two numbers, each perhaps with a tie-break in parentheses behind it, which counts for nothing here.
fn pair(text: &[u8]) -> Pair {
    let known = |side: &[u8]| number(without_tie_break(side)?);
    split_sides(text).map_or([None; 2], |(home, away)| [known(home), known(away)])
}

/// `7(5)` and `6 (7-5)` without their parentheses; `None` where those hold anything but numbers.
fn without_tie_break(side: &[u8]) -> Option<&[u8]> {
    let Some((games, rest)) = split(side, b'(') else { return Some(side) };
    let inner = rest.strip_suffix(b")")?;
    let is_read = number(inner).is_some()
        || split_sides(inner).is_some_and(|(home, away)| number(home).is_some() && number(away).is_some());
    is_read.then_some(games)
}

fn sets(text: &[u8]) -> Vec<Pair> {
    if text.is_empty() { Vec::new() } else { text.split(|&b| b == b',').map(pair).collect() }
}

/// Whether a set of tennis was played to its end: with two games ahead (so, too, a tie-break in its place), or by a tie-break. What is
/// unknown counts as complete, and makes unknown what is counted.
fn is_complete([home, away]: Pair) -> bool {
    let (Some(home), Some(away)) = (home, away) else { return true };
    let (more, less) = (home.max(away), home.min(away));
    more >= 6 && more - less >= 2 || (more, less) == (7, 6)
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
        Some((home, away)) => (side(home), side(away)),
        None => (side(ss), (None, None)),
    };
    Score { total: [home.0, away.0], wickets: [home.1, away.1], sets: Vec::new() }
}

/// Runs and wickets of a side: `296 & 136/6` is 432 for 16.
fn side(text: &[u8]) -> (Option<u32>, Option<u32>) {
    let (mut runs, mut wickets) = (Some(0_u32), Some(0_u32));
    let mut parts = text.split(|&b| b == b'&').peekable();
    while let Some(part) = parts.next() {
        let innings = Innings::read(part.trim_ascii());
        let lost = match innings {
            Some(Innings { lost: Some(lost), .. }) => Some(lost),
            Some(Innings { end: End::AllOut, .. }) => Some(10),
            // The next innings has begun: this one ended when all were out.
            Some(Innings { end: End::Unsaid, lost: None, .. }) if parts.peek().is_some() => Some(10),
            // Nine may be out, or all: a number would take wickets back.
            Some(Innings { end: End::Unsaid | End::Declared, .. }) | None => None,
        };
        // Without its runs an innings says nothing of its wickets either.
        wickets = wickets.zip(lost).map(|(sum, n)| sum.saturating_add(n));
        runs = runs.zip(innings).map(|(sum, innings)| sum.saturating_add(innings.runs));
    }
    (runs, wickets)
}

/// One innings: `136/6`, `296/8d`, `250 all out`, `150/3 (f/o)`.
#[derive(Clone, Copy)]
struct Innings {
    runs: u32,
    lost: Option<u32>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Unsaid,
    Declared,
    AllOut,
}

impl Innings {
    /// `None` where anything stands in it that is not known.
    fn read(text: &[u8]) -> Option<Innings> {
        let (runs, rest) = leading_number(text)?;
        let (lost, rest) = match rest.trim_ascii_start().strip_prefix(b"/") {
            Some(rest) => {
                let (lost, rest) = leading_number(rest.trim_ascii_start())?;
                (Some(lost), rest)
            }
            None => (None, rest),
        };
        Some(Innings { runs, lost, end: end_of(rest)? })
    }
}

fn leading_number(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    Some((number(digits)?, rest))
}

/// What the words behind an innings say: declared, all out; a follow-on, an asterisk (it goes on) and whatever stands in parentheses
/// change no number.
fn end_of(mut rest: &[u8]) -> Option<End> {
    let mut end = End::Unsaid;
    loop {
        rest = rest.trim_ascii();
        rest = match rest {
            [] => return Some(end),
            [b'*', rest @ ..] => rest,
            [b'(', inner @ ..] => split(inner, b')')?.1,
            _ => {
                let length = rest.iter().position(|b| b" (*".contains(b)).unwrap_or(rest.len());
                let (word, rest) = rest.split_at_checked(length)?;
                let is = |words: &[&str]| words.iter().any(|one| word.eq_ignore_ascii_case(one.as_bytes()));
                if is(&["d", "d.", "dec", "dec.", "decl", "declared"]) {
                    end = End::Declared;
                } else if is(&["out", "ao"]) {
                    end = End::AllOut;
                } else if !is(&["all", "f/o", "fo"]) {
                    return None;
                }
                rest
            }
        };
    }
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
        assert_eq!(score.wickets, [Some(16), None]);
        assert_eq!(read(Scoring::Cricket, b"20/1", b"", Course::Open).total, [Some(20), None]);
        assert_eq!(read(Scoring::Cricket, b"120/3,x", b"", Course::Open).total, [Some(120), None]);
    }

    /// Home's and away's runs or goals or sets, and wickets; `-` what is unknown.
    fn shown(score: &Score) -> String {
        let pair = |pair: Pair| pair.map(|n| n.map_or("-".to_owned(), |n| n.to_string())).join(" ");
        let sets: Vec<String> = score.sets.iter().map(|set| pair(*set)).collect();
        let wickets = if score.wickets == [None; 2] { String::new() } else { pair(score.wickets) };
        [pair(score.total), wickets, sets.join(", ")].join("; ")
    }

    #[test]
    fn real_texts_of_cricket() {
        for (text, want) in [
            ("0/0", "0 -; 0 -; "),
            ("296/8", "296 -; 8 -; "),
            ("296/8d", "296 -; 8 -; "),
            ("296/8 d", "296 -; 8 -; "),
            ("296/8 dec", "296 -; 8 -; "),
            ("296/8d,0/0", "296 0; 8 0; "),
            ("250/9", "250 -; 9 -; "),
            // All out, but which wickets fell is not said: nothing is taken back.
            ("250", "250 -; ; "),
            ("250 all out", "250 -; 10 -; "),
            ("250 All Out,12/0", "250 12; 10 0; "),
            ("250/10", "250 -; 10 -; "),
            ("250,12/0", "250 12; - 0; "),
            ("250 & 12/0,300/7d", "262 300; 10 7; "),
            ("296d & 10/1", "306 -; ; "),
            ("296/8d & 10/1", "306 -; 9 -; "),
            ("350/6d,120 & 150/3 (f/o)", "350 270; 6 13; "),
            ("350/6d,120 & 0/0 f/o", "350 120; 6 10; "),
            ("136/6* (20.3 ov)", "136 -; 6 -; "),
            ("136 / 6", "136 -; 6 -; "),
            ("136/6 rain", "- -; ; "),
            ("136/", "- -; ; "),
            ("296/8d &,10/1", "- 10; - 1; "),
            ("", "- -; ; "),
        ] {
            let score = read(Scoring::Cricket, text.as_bytes(), b"", Course::Open);
            assert_eq!(shown(&score), want, "{text}");
        }
    }

    #[test]
    fn real_texts_of_tennis() {
        for (text, open, finished) in [
            ("6-4,7-6(5)", "1 0; ; 6 4, 7 6", "2 0; ; 6 4, 7 6"),
            ("6-4, 7-6 (7-5)", "1 0; ; 6 4, 7 6", "2 0; ; 6 4, 7 6"),
            ("6(5)-7,6-6(3-2)", "0 1; ; 6 7, 6 6", "0 1; ; 6 7, 6 6"),
            ("6 - 4 , 3 - 2", "1 0; ; 6 4, 3 2", "1 0; ; 6 4, 3 2"),
            ("6:4,7:5", "1 0; ; 6 4, 7 5", "2 0; ; 6 4, 7 5"),
            ("6\u{2013}4,6\u{2013}0", "1 0; ; 6 4, 6 0", "2 0; ; 6 4, 6 0"),
            // Given up: the set that was not played to its end is nobody's.
            ("6-4,5-4", "1 0; ; 6 4, 5 4", "1 0; ; 6 4, 5 4"),
            ("6-4,3-6,6-5", "1 1; ; 6 4, 3 6, 6 5", "1 1; ; 6 4, 3 6, 6 5"),
            ("6-4,3-6,10-8", "1 1; ; 6 4, 3 6, 10 8", "2 1; ; 6 4, 3 6, 10 8"),
            ("6-4,3-6,9-8", "1 1; ; 6 4, 3 6, 9 8", "1 1; ; 6 4, 3 6, 9 8"),
            ("0-0", "0 0; ; 0 0", "0 0; ; 0 0"),
            ("6-4,ret", "1 0; ; 6 4, - -", "- -; ; 6 4, - -"),
            ("7-6(x),1-0", "- -; ; 7 -, 1 0", "- -; ; 7 -, 1 0"),
            ("", "- -; ; ", "- -; ; "),
        ] {
            for (course, want) in [(Course::Open, open), (Course::Finished, finished)] {
                assert_eq!(shown(&read(Scoring::Tennis, text.as_bytes(), b"", course)), want, "{text}");
            }
        }
        for (text, want) in [
            ("A-40", Some((50, 40))),
            ("40 - Ad", Some((40, 50))),
            ("15:0", Some((15, 0))),
            ("30\u{2013}15", Some((30, 15))),
            ("40", None),
            ("40\u{2014}0", None),
        ] {
            assert_eq!(game(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn real_texts_of_other_sports() {
        for (scoring, ss, xp, want) in [
            (Scoring::Goals, "1-0", "", "1 0; ; "),
            (Scoring::Goals, "1:0", "", "1 0; ; "),
            (Scoring::Goals, "1\u{2013}0", "", "1 0; ; "),
            (Scoring::Goals, " 1 - 0 ", "", "1 0; ; "),
            (Scoring::Goals, "1-1 (4-3)", "", "1 1; ; "),
            (Scoring::Goals, "1-1 pens", "", "1 -; ; "),
            (Scoring::Goals, "1\u{2014}0", "", "- -; ; "),
            (Scoring::Points, "101:99", "", "101 99; ; "),
            (Scoring::Frames, "4-3", "56-12", "4 3; ; "),
            (Scoring::Frames, "2 : 1", "301-180", "2 1; ; "),
            (Scoring::Frames, "", "12-8", "- -; ; "),
            (Scoring::Sets, "3-1", "13-11, 8-11", "1 1; ; 13 11, 8 11, 3 1"),
            (Scoring::Sets, "3:1", "13:11,8:11", "1 1; ; 13 11, 8 11, 3 1"),
            (Scoring::Sets, "0-0", "25-23(1),x", "- -; ; 25 23, - -, 0 0"),
            (Scoring::Text, "1-0", "1-0", "- -; ; "),
        ] {
            let score = read(scoring, ss.as_bytes(), xp.as_bytes(), Course::Open);
            assert_eq!(shown(&score), want, "{ss} {xp}");
        }
    }
}
