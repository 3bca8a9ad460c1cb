//! Registers: the values of a match that only ever step, from which the recorder makes events.
//!
//! A worker reports a register's *value*, never a happening; the recorder's ledger compares it with what it holds.
//! That is what makes a copy harmless: the same value twice is no step.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Named first by the feed.
    Home,
    /// Named second.
    Away,
}

impl Side {
    /// Both, home first.
    pub const BOTH: [Side; 2] = [Side::Home, Side::Away];

    /// `home` or `away`, as documents and events write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Home => "home",
            Side::Away => "away",
        }
    }

    pub fn other(self) -> Side {
        match self {
            Side::Home => Side::Away,
            Side::Away => Side::Home,
        }
    }
}

/// A register of a match. The order of the variants is the order in which the changes of one delta are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Register {
    /// Games of a tennis set, points of a set elsewhere. Sets count from 1.
    Set {
        /// Which set, from 1.
        set: u8,
        side: Side,
    },
    /// Goals, runs or points in all; sets, frames, legs or maps won in sports of those.
    Score(Side),
    /// The points of the current game, both sides in one value: [`Register::pack_points`].
    Points,
    /// Wickets lost, over all innings.
    Wickets(Side),
    YellowCards(Side),
    RedCards(Side),
    Corners(Side),
    Penalties(Side),
    Substitutions(Side),
    /// How far the match is: [`Phase`] as its number.
    Phase,
    /// 1 while the whole match is suspended, else 0.
    Suspended,
}

impl Register {
    /// The value of [`Register::Points`]: 0, 15, 30, 40, and 50 for advantage.
    pub fn pack_points(home: u16, away: u16) -> i64 {
        (i64::from(home) << 16) | i64::from(away)
    }

    /// What [`Register::pack_points`] packed, home first.
    pub fn unpack_points(value: i64) -> (u16, u16) {
        (((value >> 16) & 0xffff) as u16, (value & 0xffff) as u16)
    }
}

/// How far a match is, as a number that rises: 0 not started, 2p-1 in period p, 2p in the break after it,
/// [`Phase::FINISHED`] at the end, [`Phase::ABANDONED`] when it was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Phase(pub i64);

impl Phase {
    pub const NOT_STARTED: Phase = Phase(0);
    pub const FINISHED: Phase = Phase(1_000);
    pub const ABANDONED: Phase = Phase(1_001);

    /// In period `period`, which counts from 1.
    pub fn playing(period: u8) -> Phase {
        Phase(2 * i64::from(period.max(1)) - 1)
    }

    /// In the break after period `period`, which counts from 1.
    pub fn after(period: u8) -> Phase {
        Phase(2 * i64::from(period.max(1)))
    }
}

/// The values that are known of a match; what is absent is unknown.
pub type Registers = BTreeMap<Register, i64>;
