//! The table of topics: which topic of a branch plays which role, and how its value is read.
//!
//! It is data (`topics.toml`), over which a feed's own file may be laid. Compiled, a topic's name leads to its role and
//! a role to its topics, so that neither direction searches.

use super::value::Form;
use crate::payload::period::{self, MappingError, Period, wrong};
use foldhash::fast::RandomState;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use touchline_common::model::Side;

type Roles = HashMap<Box<[u8]>, Role, RandomState>;

#[derive(Clone, Debug)]
pub(in crate::payload) struct Table {
    roles: Roles,
    sports: BTreeMap<String, String>,
    pub(super) of_match: Match,
    /// Which field of the comment's newest record is its text, from 1.
    pub(super) comment_field: usize,
    pub(super) score: Counted,
    /// In the order of their keys.
    pub(super) statistics: Vec<(String, Counted)>,
    pub(super) periods: Vec<Period>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A part of the head that is read when it is needed.
    Match,
    /// The displayed clock, the period, a suspension: registers may follow.
    Progress,
    Score,
    Statistic(usize),
    Comment,
}

impl Role {
    /// Whether the topic is shown in `extra` all the same.
    pub(super) fn in_extra(self) -> bool {
        match self {
            Role::Comment => true,
            Role::Match | Role::Progress | Role::Score | Role::Statistic(_) => false,
        }
    }
}

/// The topics of the head; empty: none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Match {
    pub(super) period: String,
    pub(super) clock: String,
    pub(super) name: String,
    pub(super) home: String,
    pub(super) away: String,
    pub(super) competition: String,
    pub(super) suspended: String,
}

/// Topics that count something for either side.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub(super) form: Form,
    /// Home's and away's; the same where one value states both.
    pub(super) topics: [Box<[u8]>; 2],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    sports: BTreeMap<String, String>,
    #[serde(rename = "match")]
    of_match: Match,
    comment: Comment,
    score: Count,
    statistics: BTreeMap<String, Count>,
    period: Vec<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Comment {
    topic: String,
    field: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    topic: String,
    value: Form,
}

const SIDE: &str = "{side}";

impl Table {
    /// The built-in table.
    ///
    /// # Errors
    /// None, as a test shows.
    pub(in crate::payload) fn builtin() -> Result<Table, MappingError> {
        Table::compile(period::parse(BUILTIN)?)
    }

    /// The built-in table with a file of the same form laid over it.
    ///
    /// # Errors
    /// A syntax error, an unknown section or value, a topic with two roles.
    pub(in crate::payload) fn overlaid(text: &str) -> Result<Table, MappingError> {
        Table::compile(period::laid_over(period::parse(BUILTIN)?, period::parse(text)?))
    }

    pub(super) fn role(&self, key: &[u8]) -> Option<Role> {
        self.roles.get(key).copied()
    }

    pub(super) fn sport(&self, topic: &str) -> Option<&str> {
        topic.split('/').find_map(|part| self.sports.get(part)).map(String::as_str)
    }

    fn compile(source: toml::Table) -> Result<Table, MappingError> {
        let source: Source =
            source.try_into().map_err(|error: toml::de::Error| wrong("topics", error.message()))?;
        let mut roles = Roles::default();
        let of_match = source.of_match;
        for topic in [&of_match.name, &of_match.home, &of_match.away, &of_match.competition] {
            enter(&mut roles, topic.as_bytes(), Role::Match)?;
        }
        for topic in [&of_match.period, &of_match.clock, &of_match.suspended] {
            enter(&mut roles, topic.as_bytes(), Role::Progress)?;
        }
        let Comment { topic, field: comment_field } = source.comment;
        if comment_field == 0 {
            return Err(wrong("comment.field", "fields count from 1"));
        }
        enter(&mut roles, topic.as_bytes(), Role::Comment)?;
        let score = counted(&source.score, "score")?;
        enter_sides(&mut roles, &score, Role::Score)?;
        let mut statistics = Vec::new();
        for (place, (key, count)) in source.statistics.into_iter().enumerate() {
            let counted = counted(&count, &format!("statistics.{key}"))?;
            enter_sides(&mut roles, &counted, Role::Statistic(place))?;
            statistics.push((key, counted));
        }
        let periods = period::compile_periods(&source.period)?;
        Ok(Table { roles, sports: source.sports, of_match, comment_field, score, statistics, periods })
    }
}

fn enter_sides(roles: &mut Roles, counted: &Counted, role: Role) -> Result<(), MappingError> {
    let [home, away] = &counted.topics;
    enter(roles, home, role)?;
    if home == away { Ok(()) } else { enter(roles, away, role) }
}

/// A topic without a name plays no role.
fn enter(roles: &mut Roles, topic: &[u8], role: Role) -> Result<(), MappingError> {
    if !topic.is_empty() && roles.insert(topic.into(), role).is_some() {
        return Err(wrong(String::from_utf8_lossy(topic), "the topic has another role already"));
    }
    Ok(())
}

const BUILTIN: &str = include_str!("topics.toml");

fn counted(count: &Count, at: &str) -> Result<Counted, MappingError> {
    let has_sides = count.topic.contains(SIDE);
    match (count.value, has_sides) {
        (Form::HomePercent, true) => {
            return Err(wrong(format!("{at}.topic"), "one topic tells both sides' part: no `{side}` in it"));
        }
        (Form::Incidents | Form::Number, false) if !count.topic.is_empty() => {
            return Err(wrong(format!("{at}.topic"), "expected `{side}` in it"));
        }
        (Form::Incidents | Form::Number | Form::HomePercent, _) => {}
    }
    let topic = |side: Side| count.topic.replace(SIDE, side.as_str()).into_bytes().into();
    Ok(Counted { form: count.value, topics: Side::BOTH.map(topic) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_has_a_role_for_every_topic_that_is_known() {
        let table = Table::builtin().unwrap();
        let role = |topic: &str| table.role(topic.as_bytes());
        assert_eq!(role("stats/home/goals"), Some(Role::Score));
        assert_eq!(role("stats/away/goals"), Some(Role::Score));
        assert_eq!(role("stats/time"), Some(Role::Progress));
        assert_eq!(role("i18n/en-gb/commentary"), Some(Role::Comment));
        for topic in ["corners", "freeKicks", "penalties", "substitutions", "throwIns", "cards/red"] {
            assert!(matches!(role(&format!("stats/home/{topic}")), Some(Role::Statistic(_))), "{topic}");
        }
        assert_eq!(role("stats/home/unheard"), None);
        assert_eq!(role(""), None);
        assert_eq!(table.sport("sportsbook/football/123//"), Some("1"));
        assert_eq!(table.sport("sportsbook/quidditch/123//"), None);
    }

    #[test]
    fn a_file_laid_over_it_replaces_what_it_names() {
        let table = Table::overlaid(
            "[score]\ntopic = \"{side}/score\"\nvalue = \"number\"\n[match]\nclock = \"clock\"\n\
             [statistics.aces]\ntopic = \"{side}/aces\"\nvalue = \"number\"\n[sports]\ncalcio = \"1\"",
        )
        .unwrap();
        assert_eq!(table.role(b"stats/home/goals"), None);
        assert_eq!(table.role(b"away/score"), Some(Role::Score));
        assert_eq!(table.role(b"clock"), Some(Role::Progress));
        assert_eq!(table.role(b"stats/period"), Some(Role::Progress), "not named, so kept");
        assert_eq!(table.sport("x/calcio/1"), Some("1"));
        for wrong in [
            "[score]\ntopic = \"goals\"\nvalue = \"number\"",
            "[score]\ntopic = \"{side}/g\"\nvalue = \"anything\"",
            "[statistics.a]\ntopic = \"{side}/p\"\nvalue = \"home_percent\"",
            "[statistics.a]\ntopic = \"stats/{side}/corners\"\nvalue = \"incidents\"",
            "[comment]\ntopic = \"c\"\nfield = 0",
            "[other]\nx = 1",
            "[match]\nkick_off = \"x\"",
            "[[period]]\nnames = []",
            "not toml",
        ] {
            assert!(Table::overlaid(wrong).is_err(), "{wrong}");
        }
    }
}
