//! The kinds of nodes that rules know, where each may stand, and the roles that attributes play.

use touchline_common::model::Side;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub(in crate::payload) enum $name { $($variant),+ }

        impl $name {
            /// All, in order.
            pub(in crate::payload) const ALL: &'static [$name] = &[$($name::$variant),+];

            pub(in crate::payload) fn name(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }
    };
}

named! {
    Class {
        Sport = "sport",
        Competition = "competition",
        Event = "event",
        MarketGroup = "market_group",
        Market = "market",
        Column = "column",
        Selection = "selection",
        TeamGroup = "team_group",
        Team = "team",
        Scores = "scores",
        ScoreColumn = "score_column",
        ScoreLine = "score_line",
        StatGroup = "stat_group",
        StatLine = "stat_line",
        // No type word: whatever no other has; and the artificial root of a topic.
        Other = "other",
        Root = "root",
    }
}

named! {
    Role {
        Id = "id",
        Order = "order",
        Name = "name",
        Suspended = "suspended",
        Odds = "odds",
        Handicap = "handicap",
        Sport = "sport",
        Competition = "competition",
        Score = "score",
        Points = "points",
        Serving = "serving",
        Period = "period",
        Half = "half",
        InPlay = "in_play",
        Minutes = "minutes",
        Seconds = "seconds",
        Running = "running",
        Down = "down",
        At = "at",
        Comment = "comment",
        Start = "start",
        Value = "value",
        Stat1 = "stat1",
        Stat2 = "stat2",
        Stat3 = "stat3",
        Stat4 = "stat4",
        Stat5 = "stat5",
        Stat6 = "stat6",
        Stat7 = "stat7",
        Stat8 = "stat8",
        // The node's own topic id, the same attribute in every kind.
        Topic = "topic",
    }
}

/// Whether a node stands in `extra.nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::payload) enum Listed {
    Never,
    /// When it holds an attribute that no rule uses.
    WithExtra,
    /// Always, with everything but its topic id.
    Always,
}

impl Class {
    /// The kinds under which this one may stand in a load; `None` for one that goes under whatever is open last.
    pub(in crate::payload) fn parents(self) -> Option<&'static [Class]> {
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

    pub(in crate::payload) fn is_odds(self) -> bool {
        self == Class::Market || self == Class::Selection
    }

    /// Whether and how `extra.nodes` shows it.
    pub(in crate::payload) fn listed(self) -> Listed {
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
    /// The statistics' attributes, in order.
    pub(in crate::payload) const STATS: [Role; 8] = [
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
    pub(in crate::payload) fn in_extra(self) -> bool {
        self == Role::Comment || self == Role::Start
    }

    /// Whether registers are read from an attribute of this role (of an event or a team).
    pub(in crate::payload) fn moves_registers(self) -> bool {
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
pub(in crate::payload) fn side_of(order: &[u8]) -> Option<Side> {
    match order {
        b"0" => Some(Side::Home),
        b"1" => Some(Side::Away),
        _ => None,
    }
}
