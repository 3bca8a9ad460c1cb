//! Scores as each sport keeps them, the texts the feed writes of them, and what those texts mean.

use touchline_common::model::Side;

/// One for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair<T> {
    pub(crate) home: T,
    pub(crate) away: T,
}

impl<T> Pair<T> {
    pub(crate) fn get(&self, side: Side) -> &T {
        match side {
            Side::Home => &self.home,
            Side::Away => &self.away,
        }
    }

    pub(crate) fn get_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Home => &mut self.home,
            Side::Away => &mut self.away,
        }
    }

    pub(crate) fn map<U>(&self, f: impl Fn(&T) -> U) -> Pair<U> {
        Pair { home: f(&self.home), away: f(&self.away) }
    }
}

impl Pair<u32> {
    pub(crate) fn sum(&self) -> u32 {
        self.home + self.away
    }
}

/// A side's turn at the bat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Innings {
    pub(crate) runs: u32,
    pub(crate) wickets: u32,
    /// Whether it is written without its wickets, as an innings is in which all were out.
    pub(crate) bare: bool,
}

/// The score of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Score {
    /// Goals or points.
    Plain(Pair<u32>),
    /// Games of each set, the last one being played; the game's points as steps: 0, 15, 30, 40, advantage.
    Tennis { sets: Vec<Pair<u32>>, points: Pair<u32> },
    /// Points of each finished set and, until the end, of the current one.
    Sets { done: Vec<Pair<u32>>, current: Option<Pair<u32>> },
    /// Each side's innings.
    Cricket(Pair<Vec<Innings>>),
}

/// The texts of a game's points.
const POINTS: [&str; 5] = ["0", "15", "30", "40", "A"];

impl Score {
    /// What the attribute `SS` says.
    pub(crate) fn text(&self) -> String {
        match self {
            Score::Plain(score) => dash(score),
            Score::Tennis { sets, .. } => joined(sets),
            Score::Sets { current, .. } => current.as_ref().map(dash).unwrap_or_default(),
            Score::Cricket(sides) if sides.away.is_empty() => innings(&sides.home),
            Score::Cricket(sides) => format!("{},{}", innings(&sides.home), innings(&sides.away)),
        }
    }

    /// What the attribute `XP` says.
    pub(crate) fn points_text(&self) -> String {
        match self {
            Score::Plain(_) | Score::Cricket(_) => String::new(),
            Score::Tennis { points, .. } => {
                let word = |step: u32| POINTS.get(step as usize).copied().unwrap_or("0");
                format!("{}-{}", word(points.home), word(points.away))
            }
            Score::Sets { done, .. } => joined(done),
        }
    }

    /// What a document calls the points: of the game in tennis, of the set in the other sports of sets.
    pub(crate) fn document_points(&self) -> String {
        match self {
            Score::Plain(_) | Score::Cricket(_) => String::new(),
            Score::Tennis { .. } => self.points_text(),
            Score::Sets { .. } => self.text(),
        }
    }

    /// Goals, points, runs or sets won; none where the text does not say.
    pub(crate) fn totals(&self, over: Over) -> Pair<Option<u32>> {
        match self {
            Score::Plain(score) => score.map(|n| Some(*n)),
            Score::Tennis { sets, .. } => {
                let counts_last = over == Over::Yes && sets.last().is_none_or(is_complete);
                let counted = sets.len().saturating_sub(usize::from(!counts_last));
                won(sets.iter().take(counted))
            }
            Score::Sets { done, .. } => won(done.iter()),
            Score::Cricket(sides) => {
                sides.map(|all| (!all.is_empty()).then(|| all.iter().map(|one| one.runs).sum()))
            }
        }
    }

    /// Each set, where the score itself says it.
    pub(crate) fn sets(&self) -> Vec<Pair<u32>> {
        match self {
            Score::Plain(_) | Score::Cricket(_) => Vec::new(),
            Score::Tennis { sets, .. } => sets.clone(),
            Score::Sets { done, current } => done.iter().chain(current).copied().collect(),
        }
    }
}

/// Whether a match is over: the last set of a tennis score counts as won only then, and only if it was played to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Yes,
    No,
}

fn won<'a>(sets: impl Iterator<Item = &'a Pair<u32>> + Clone) -> Pair<Option<u32>> {
    Pair {
        home: Some(sets.clone().filter(|set| set.home > set.away).count() as u32),
        away: Some(sets.filter(|set| set.away > set.home).count() as u32),
    }
}

/// Two games ahead, or by a tie-break.
fn is_complete(set: &Pair<u32>) -> bool {
    let (more, less) = (set.home.max(set.away), set.home.min(set.away));
    (more >= 6 && more - less >= 2) || (more, less) == (7, 6)
}

fn dash(pair: &Pair<u32>) -> String {
    format!("{}-{}", pair.home, pair.away)
}

fn joined(sets: &[Pair<u32>]) -> String {
    sets.iter().map(dash).collect::<Vec<_>>().join(",")
}

fn innings(all: &[Innings]) -> String {
    let one = |one: &Innings| {
        if one.bare { one.runs.to_string() } else { format!("{}/{}", one.runs, one.wickets) }
    };
    all.iter().map(one).collect::<Vec<_>>().join(" & ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(home: u32, away: u32) -> Pair<u32> {
        Pair { home, away }
    }

    #[test]
    fn a_tennis_score_counts_the_last_set_only_at_the_end() {
        let score = Score::Tennis { sets: vec![pair(6, 4), pair(5, 6)], points: pair(3, 4) };
        assert_eq!((score.text().as_str(), score.points_text().as_str()), ("6-4,5-6", "40-A"));
        assert_eq!(score.totals(Over::No), Pair { home: Some(1), away: Some(0) });
        assert_eq!(score.totals(Over::Yes), Pair { home: Some(1), away: Some(0) }, "given up");
        for set in [pair(5, 7), pair(6, 7), pair(4, 6)] {
            let score = Score::Tennis { sets: vec![pair(6, 4), set], points: pair(0, 0) };
            assert_eq!(score.totals(Over::Yes), Pair { home: Some(1), away: Some(1) });
        }
    }

    #[test]
    fn a_score_of_sets_keeps_the_current_one_apart() {
        let score =
            Score::Sets { done: vec![pair(13, 11), pair(8, 11), pair(11, 7)], current: Some(pair(3, 1)) };
        assert_eq!((score.text().as_str(), score.points_text().as_str()), ("3-1", "13-11,8-11,11-7"));
        assert_eq!(score.totals(Over::No), Pair { home: Some(2), away: Some(1) });
        assert_eq!(score.sets().len(), 4);
    }

    #[test]
    fn a_cricket_score_adds_the_innings_of_a_side() {
        let one = |runs, wickets, bare| Innings { runs, wickets, bare };
        let sides =
            Pair { home: vec![one(296, 10, true), one(136, 6, false)], away: vec![one(210, 10, false)] };
        let score = Score::Cricket(sides);
        assert_eq!(score.text(), "296 & 136/6,210/10");
        assert_eq!(score.totals(Over::No), Pair { home: Some(432), away: Some(210) });
        let first = Score::Cricket(Pair { home: vec![one(12, 1, false)], away: vec![] });
        assert_eq!(first.text(), "12/1");
        assert_eq!(first.totals(Over::No), Pair { home: Some(12), away: None });
    }
}
