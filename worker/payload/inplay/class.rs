//! The kinds of nodes that rules know, where each may stand, the roles that attributes play, and which parts of a document show what.

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
    /// The result of a selection. The built-in table names no attribute for it.
    Won,
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

/// What holds of all nodes of a class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// The kinds under which it may stand in a load; `None` for one that goes under whatever is open last.
    pub(super) parents: Option<&'static [Class]>,
    /// Whether and how `extra.nodes` shows it.
    pub(super) listed: Listed,
    /// What shows that such a node comes, moves or goes.
    pub(super) shown: Parts,
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

    #[inline]
    pub(super) fn rule(self) -> Rule {
        use Listed::{Always, Never, WithExtra};
        const EVENT: &[Class] = &[Class::Event];
        let rule = |parents, listed, shown| Rule { parents: Some(parents), listed, shown };
        match self {
            Class::Sport => rule(&[], Always, Parts::ALL),
            Class::Competition => rule(&[Class::Sport], Always, Parts::ALL),
            Class::Event => rule(&[Class::Competition, Class::Sport], Never, Parts::ALL),
            Class::MarketGroup => rule(EVENT, WithExtra, Parts::NODES),
            Class::Market => rule(&[Class::MarketGroup, Class::Event], Never, Parts::NODES),
            Class::Column => rule(&[Class::Market], WithExtra, Parts::NODES),
            Class::Selection => rule(&[Class::Column, Class::Market], Never, Parts::NONE),
            Class::TeamGroup | Class::Scores => rule(EVENT, WithExtra, Parts::ALL),
            Class::Team => rule(&[Class::TeamGroup], WithExtra, Parts::ALL),
            Class::ScoreColumn => rule(&[Class::Scores], WithExtra, Parts::ALL),
            Class::ScoreLine => rule(&[Class::ScoreColumn], WithExtra, Parts::ALL),
            Class::StatGroup => rule(EVENT, Always, Parts::NODES),
            Class::StatLine => rule(&[Class::StatGroup], Always, Parts::NODES),
            Class::Other => Rule { parents: None, listed: Always, shown: Parts::NODES },
            Class::Root => Rule { parents: None, listed: Never, shown: Parts::ALL },
        }
    }

    pub(super) fn is_odds(self) -> bool {
        self == Class::Market || self == Class::Selection
    }

    /// Whether registers are read from such nodes.
    pub(super) fn moves_registers(self) -> bool {
        matches!(self, Class::Sport | Class::Event | Class::Team | Class::ScoreColumn | Class::ScoreLine)
    }

    /// Whether it is part of what a scoreboard's reader reads.
    pub(super) fn states_score(self) -> bool {
        matches!(self, Class::ScoreColumn | Class::ScoreLine)
    }

    /// The role of what the scoreboard's reader takes from such a node.
    pub(super) fn read_role(self) -> Option<Role> {
        if self == Class::ScoreLine {
            Some(Role::Value)
        } else {
            (self == Class::ScoreColumn).then_some(Role::Name)
        }
    }

    /// Whether an attribute that plays a role is shown in `extra` all the same unless the scoreboard's reader took what the node says:
    /// a value without its side says little.
    pub(super) fn may_be_unread(self, role: Role) -> bool {
        self.read_role() == Some(role) || (self, role) == (Class::ScoreLine, Role::Order)
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
            | Role::Won
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

/// Which registers a change may move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moves {
    #[default]
    None,
    /// Those that are read from the event alone: none of a statistic.
    Event,
    All,
}

impl Moves {
    /// What a change of an attribute may move.
    #[inline]
    pub(super) fn by(class: Class, role: Role) -> Moves {
        match (class, role) {
            (Class::Event, role) if Role::STATS.contains(&role) => Moves::All,
            (Class::Event, role) if role.moves_registers() => Moves::Event,
            (Class::Team, role) if role.moves_registers() => Moves::All,
            (Class::Sport, Role::Id)
            | (Class::ScoreColumn, Role::Name)
            | (Class::ScoreLine, Role::Value | Role::Order) => Moves::All,
            _ => Moves::None,
        }
    }
}

/// Parts of head and tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts(u8);

impl Parts {
    pub(super) const NONE: Parts = Parts(0);
    pub(super) const HEAD: Parts = Parts(1);
    /// The event's attributes that no rule uses.
    pub(super) const EXTRA: Parts = Parts(2);
    pub(super) const STATS: Parts = Parts(4);
    /// The order of the markets, and the nodes that no rule uses.
    pub(super) const NODES: Parts = Parts(8);
    pub(super) const TAIL: Parts = Parts(2 | 4 | 8);
    pub(super) const ALL: Parts = Parts(1 | 2 | 4 | 8);

    /// Whether any of `other` is in it.
    pub(super) fn has(self, other: Parts) -> bool {
        self.0 & other.0 != 0
    }

    /// What shows an attribute.
    pub(super) fn showing(class: Class, role: Option<Role>) -> Parts {
        match (class, role) {
            (Class::Market | Class::Selection, _) => Parts::NONE,
            (Class::Event, None) => Parts::EXTRA,
            (Class::Event, Some(role)) if role.in_extra() => Parts::EXTRA,
            (Class::Event | Class::Team, Some(role)) if Role::STATS.contains(&role) => Parts::STATS,
            (Class::Event, Some(_)) => Parts::HEAD,
            (Class::ScoreColumn | Class::ScoreLine, Some(_)) => Parts::HEAD | Parts::STATS | Parts::NODES,
            (Class::Team, Some(_)) => Parts::HEAD | Parts::STATS,
            (Class::MarketGroup | Class::Column | Class::TeamGroup | Class::Scores, Some(_)) => Parts::NONE,
            (Class::Sport | Class::Competition, _) => Parts::HEAD | Parts::NODES,
            (class, _) if class.rule().listed == Listed::Never => Parts::NONE,
            (_, _) => Parts::NODES,
        }
    }
}

impl std::ops::BitOr for Parts {
    type Output = Parts;

    fn bitor(self, other: Parts) -> Parts {
        Parts(self.0 | other.0)
    }
}

/// What stands for a side in a pair, home first.
pub(super) fn of_side<T>([home, away]: [T; 2], side: Side) -> T {
    match side {
        Side::Home => home,
        Side::Away => away,
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
