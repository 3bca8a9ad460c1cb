//! What the sites of a run came to, in one table, one line of figures and one summary.
//!
//! Pure. A site hands a [`Part`] to who started it, as a line of JSON; [`merge`] adds them up. A site without one makes the run bad.
//! Callers: the program beside this, and a short run among the end-to-end tests.

use super::plan::Fault;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What a site reports while it runs; as a process of its own, a line of JSON each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Progress {
    /// It is about to start everything; its log and its store will be in this folder.
    Began(PathBuf),
    /// A line for people: a fault is over.
    Line(String),
    /// Its outcome.
    Done(Box<Part>),
}

/// What one site came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its seed.
    pub seed: u64,
    /// Every fault, in its order.
    pub taken: Vec<Taken>,
    /// What is added up.
    pub figures: Figures,
    /// What is wrong, a line each; empty: nothing.
    pub wrong: Vec<String>,
}

/// A fault and what it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// What.
    pub fault: Fault,
    /// Until all was live again.
    pub again: Duration,
    /// How long a match was not followed, at the longest,
    pub unfollowed: Duration,
    /// and how long it may be.
    pub limit: Duration,
    /// How much of it the server took.
    pub server: Duration,
}

/// Counts of a site, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // Their names are those of the line of figures.
pub struct Figures {
    pub lost: u64,
    pub doubled: u64,
    pub leftovers: u64,
    pub leaked: u64,
    pub published: u64,
    pub unknown: u64,
    pub registers: u64,
    pub commentary: u64,
    pub odds: u64,
    pub odds_not_kept: u64,
    pub matches: u64,
    pub with_gaps: u64,
    pub ended_unseen: u64,
    pub first_loads_lost: u64,
    pub lines: u64,
    pub lines_excused: u64,
    pub broken: u64,
}

impl Figures {
    fn add(&mut self, other: &Figures) {
        let Figures {
            lost,
            doubled,
            leftovers,
            leaked,
            published,
            unknown,
            registers,
            commentary,
            odds,
            odds_not_kept,
            matches,
            with_gaps,
            ended_unseen,
            first_loads_lost,
            lines,
            lines_excused,
            broken,
        } = other;
        self.lost += lost;
        self.doubled += doubled;
        self.leftovers += leftovers;
        self.leaked += leaked;
        self.published += published;
        self.unknown += unknown;
        self.registers += registers;
        self.commentary += commentary;
        self.odds += odds;
        self.odds_not_kept += odds_not_kept;
        self.matches += matches;
        self.with_gaps += with_gaps;
        self.ended_unseen += ended_unseen;
        self.first_loads_lost += first_loads_lost;
        self.lines += lines;
        self.lines_excused += lines_excused;
        self.broken += broken;
    }
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The last line: the figures.
    pub summary: String,
    /// A table by kind of fault, and a line of figures.
    pub table: Vec<String>,
    /// What is wrong, a line each; empty: nothing.
    pub wrong: Vec<String>,
}

impl Outcome {
    /// Whether every promise was kept.
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// Adds up what the sites came to, in their order; one that has no outcome has a reason. `seed` is the run's.
pub fn merge(seed: u64, sites: &[Result<Part, String>]) -> Outcome {
    let mut figures = Figures::default();
    let mut wrong = Vec::new();
    let mut taken: BTreeMap<Fault, Vec<&Taken>> = BTreeMap::new();
    for (site, came_to) in sites.iter().enumerate() {
        let who = if sites.len() > 1 { format!("site {site}: ") } else { String::new() };
        match came_to {
            Ok(part) => {
                figures.add(&part.figures);
                wrong.extend(part.wrong.iter().map(|line| format!("{who}{line}")));
                part.taken.iter().for_each(|one| taken.entry(one.fault).or_default().push(one));
            }
            Err(why) => wrong.push(format!("{who}{why}")),
        }
    }
    let longest = taken.values().flatten().map(|one| one.unfollowed).max().unwrap_or_default();
    let faults: usize = taken.values().map(Vec::len).sum();
    let mut table = table(&taken);
    table.push(line_of(seed, sites.len(), &figures));
    let Figures { lost, doubled, leftovers, leaked, .. } = figures;
    let summary = format!(
        "faults={faults} lost={lost} doubled={doubled} leftovers={leftovers} leaked_fds={leaked} longest_unfollowed_ms={}",
        longest.as_millis(),
    );
    Outcome { summary, table, wrong }
}

fn line_of(seed: u64, sites: usize, figures: &Figures) -> String {
    format!(
        "seed={seed} sites={sites} published={} unknown={} register_events={} commentary={} odds_rows={} odds_not_kept={} matches={} with_gaps={} ended_unseen={} first_loads_lost={} lines={} lines_excused={} broken={}",
        figures.published,
        figures.unknown,
        figures.registers,
        figures.commentary,
        figures.odds,
        figures.odds_not_kept,
        figures.matches,
        figures.with_gaps,
        figures.ended_unseen,
        figures.first_loads_lost,
        figures.lines,
        figures.lines_excused,
        figures.broken,
    )
}

/// A line for each kind of fault: how often, how long until all was live, how long matches were not followed, and how long they may be.
fn table(taken: &BTreeMap<Fault, Vec<&Taken>>) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<24} {:>6} {:>10} {:>10} {:>14} {:>9} {:>10}",
        "fault", "count", "median ms", "max ms", "unfollowed ms", "limit ms", "server ms"
    )];
    for (fault, all) in taken {
        let mut times: Vec<u128> = all.iter().map(|one| one.again.as_millis()).collect();
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or(0);
        let most = times.last().copied().unwrap_or(0);
        let server = all.iter().map(|one| one.server.as_millis()).max().unwrap_or(0);
        // The one that came closest to its limit.
        let ratio = |one: &Taken| one.unfollowed.as_secs_f64() / one.limit.as_secs_f64().max(0.001);
        let worst = all.iter().max_by(|one, other| ratio(one).total_cmp(&ratio(other)));
        let (took, limit) = worst.map_or((0, 0), |one| (one.unfollowed.as_millis(), one.limit.as_millis()));
        lines.push(format!(
            "{:<24} {:>6} {median:>10} {most:>10} {took:>14} {limit:>9} {server:>10}",
            fault.name(),
            all.len()
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stall;

    fn taken(fault: Fault, again: u64, unfollowed: u64, limit: u64) -> Taken {
        let ms = Duration::from_millis;
        Taken {
            fault,
            again: ms(again),
            unfollowed: ms(unfollowed),
            limit: ms(limit),
            server: ms(again / 10),
        }
    }

    fn part(seed: u64, taken: Vec<Taken>) -> Part {
        let figures = Figures {
            lost: 1,
            doubled: 2,
            leftovers: 3,
            leaked: 4,
            published: 5,
            unknown: 6,
            registers: 7,
            commentary: 8,
            odds: 15,
            odds_not_kept: 9,
            matches: 10,
            with_gaps: 11,
            ended_unseen: 12,
            first_loads_lost: 13,
            lines: 16,
            lines_excused: 17,
            broken: 14,
        };
        Part { seed, taken, figures, wrong: Vec::new() }
    }

    #[test]
    fn sites_add_up_to_one_table_one_line_of_figures_and_one_summary() {
        let hung = Fault::WorkerStop(Stall::Hung);
        let one = part(7, vec![taken(Fault::WorkerKill, 50, 50, 100), taken(hung, 2_900, 2_900, 3_000)]);
        let other =
            part(9, vec![taken(Fault::WorkerKill, 90, 90, 300), taken(Fault::WorkerKill, 10, 10, 100)]);
        let merged = merge(7, &[Ok(one), Ok(other)]);
        assert!(merged.is_good());
        assert_eq!(
            merged.summary,
            "faults=4 lost=2 doubled=4 leftovers=6 leaked_fds=8 longest_unfollowed_ms=2900"
        );
        let words = |line: &String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = merged.table.iter().map(words).collect();
        let expected = [
            "fault count median ms max ms unfollowed ms limit ms server ms",
            // The closest to its own limit, which is not the longest.
            "worker kill -9 3 50 90 50 100 9",
            "worker stopped > 10 s 1 2900 2900 2900 3000 290",
            "seed=7 sites=2 published=10 unknown=12 register_events=14 commentary=16 odds_rows=30 odds_not_kept=18 matches=20 with_gaps=22 \
             ended_unseen=24 first_loads_lost=26 lines=32 lines_excused=34 broken=28",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_is_wrong_anywhere_is_wrong_and_says_where() {
        let bad = Part { wrong: vec!["event differs: x".into()], ..part(1, Vec::new()) };
        let alone = merge(1, &[Ok(bad.clone())]);
        assert_eq!(alone.wrong, ["event differs: x"]);
        let silent = || Err("it ended without its outcome".to_owned());
        let merged = merge(1, &[Ok(part(1, Vec::new())), Ok(bad), silent()]);
        assert!(!merged.is_good());
        assert_eq!(merged.wrong, ["site 1: event differs: x", "site 2: it ended without its outcome"]);
        assert!(!merge(1, &[silent()]).is_good());
    }

    #[test]
    fn a_part_survives_the_way_to_who_adds_it_up() {
        let hung = Fault::RecorderStop(Stall::Hung);
        let sent = Progress::Done(Box::new(part(u64::MAX, vec![taken(hung, 1, 2, 3)])));
        let line = serde_json::to_string(&sent).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Progress>(&line).unwrap(), sent);
    }
}
