//! The kinds of nodes that rules know, where each may stand, and the roles that attributes play.

use serde::Deserialize;
use touchline_common::model::Side;

/// As the table of names calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub(super) enum Class {
    Sport,
    Competition,
    Event,
    MarketGroup,
    Market,
    Column,
    Selection,
    TeamGroup,
    Team,
    Scores,
    ScoreColumn,
    ScoreLine,
    StatGroup,
    StatLine,
    /// No type word: whatever no other has.
    #[serde(skip)]
    Other,
    /// The artificial root of a topic.
    #[serde(skip)]
    Root,
}

/// What an attribute means, as the table of names calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub(super) enum Role {
    Id,
    Order,
    Name,
    Suspended,
    Odds,
    Handicap,
    Sport,
    Competition,
    Score,
    Points,
    Serving,
    Period,
    Half,
    InPlay,
    Minutes,
    Seconds,
    Running,
    Down,
    At,
    Comment,
    Start,
    Value,
    Stat1,
    Stat2,
    Stat3,
    Stat4,
    Stat5,
    Stat6,
    Stat7,
    Stat8,
    /// The node's own topic id, the same attribute in every kind.
    #[serde(skip)]
    Topic,
}

/// Whether a node stands in `extra.nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Never,
    /// When it holds an attribute that no rule uses.
    WithExtra,
    /// Always, with everything but its topic id.
    Always,
}

impl Class {
    pub(super) const COUNT: usize = Class::Root as usize + 1;

    /// The kinds under which this one may stand in a load; `None` for one that goes under whatever is open last.
    pub(super) fn parents(self) -> Option<&'static [Class]> {
        match self {
            Class::Sport => Some(&[]),
            Class::Competition => Some(&[Class::Sport]),
            Class::Event => Some(&[Class::Competition, Class::Sport]),
            Class::MarketGroup | Class::TeamGroup | Class::StatGroup | Class::Scores => Some(&[Class::Event]),
            Class::Market => Some(&[Class::MarketGroup, Class::Event]),
            Class::Column => Some(&[Class::Market]),
            Class::Selection => Some(&[Class::Column, Class::Market]),
            Class::Team => Some(&[Class::TeamGroup]),
            Class::StatLine => Some(&[Class::StatGroup]),
            Class::ScoreColumn => Some(&[Class::Scores]),
            Class::ScoreLine => Some(&[Class::ScoreColumn]),
            Class::Other | Class::Root => None,
        }
    }

    pub(super) fn is_odds(self) -> bool {
        self == Class::Market || self == Class::Selection
    }

    /// Whether and how `extra.nodes` shows it.
    pub(super) fn listed(self) -> Listed {
        match self {
            Class::Event | Class::Market | Class::Selection | Class::Root => Listed::Never,
            Class::TeamGroup
            | Class::Team
            | Class::Scores
            | Class::ScoreColumn
            | Class::ScoreLine
            | Class::MarketGroup
            | Class::Column => Listed::WithExtra,
            Class::Sport | Class::Competition | Class::StatGroup | Class::StatLine | Class::Other => {
                Listed::Always
            }
        }
    }
}

impl Role {
    pub(super) const COUNT: usize = Role::Topic as usize + 1;

    /// The statistics' attributes, in order.
    pub(super) const STATS: [Role; 8] = [
        Role::Stat1,
        Role::Stat2,
        Role::Stat3,
        Role::Stat4,
        Role::Stat5,
        Role::Stat6,
        Role::Stat7,
        Role::Stat8,
    ];

    /// Whether an attribute of this role is nonetheless shown in `extra`: it is read for observations or the list.
    pub(super) fn in_extra(self) -> bool {
        self == Role::Comment || self == Role::Start
    }

    /// Whether registers are read from an attribute of this role (of an event or a team).
    pub(super) fn moves_registers(self) -> bool {
        match self {
            Role::Order
            | Role::Suspended
            | Role::Sport
            | Role::Score
            | Role::Points
            | Role::Period
            | Role::Half
            | Role::InPlay
            | Role::Minutes
            | Role::Seconds
            | Role::Running
            | Role::Stat1
            | Role::Stat2
            | Role::Stat3
            | Role::Stat4
            | Role::Stat5
            | Role::Stat6
            | Role::Stat7
            | Role::Stat8 => true,
            Role::Id
            | Role::Name
            | Role::Odds
            | Role::Handicap
            | Role::Competition
            | Role::Serving
            | Role::Down
            | Role::At
            | Role::Comment
            | Role::Start
            | Role::Value
            | Role::Topic => false,
        }
    }
}

/// A team by its place: 0 is home, 1 away.
pub(super) fn side_of(order: &[u8]) -> Option<Side> {
    match order {
        b"0" => Some(Side::Home),
        b"1" => Some(Side::Away),
        _ => None,
    }
}
