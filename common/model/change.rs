//! What a worker saw change in a match, beside its registers; texts are borrowed from the message that brought them.
//!
//! `Change` travels in the match stream, `OddsChange` in the bulk stream. A value that equals the last known one is no event, so
//! each states the whole new value, never a difference.

use super::{Handle, Price, Side};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A value of a match that is no register changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change<'a> {
    /// The feed's comment; empty where it was taken away.
    Comment {
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
    /// A statistic that is no register.
    Stat {
        /// Its key in the document's `stats`.
        #[serde(borrow)]
        key: Cow<'a, str>,
        /// `None`: it is of the whole, such as a room's viewers.
        side: Option<Side>,
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OddsChange<'a> {
    Price {
        selection: Handle,
        /// Decimal odds, stake included; `None` is no price.
        price: Option<Price>,
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
    SelectionSuspended {
        selection: Handle,
        suspended: bool,
    },
    /// The result of a selection; `None`: it has none, or none any more.
    SelectionWon {
        selection: Handle,
        won: Option<bool>,
    },
    MarketSuspended {
        market: Handle,
        suspended: bool,
    },
    MarketOpen(MarketValue),
    /// A selection as it stands: it was inserted, or has another handle.
    Selection(#[serde(borrow)] SelectionValue<'a>),
    MarketClose {
        market: Handle,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketValue {
    pub market: Handle,
    pub suspended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectionValue<'a> {
    pub selection: Handle,
    /// Decimal odds, stake included; `None` is no price.
    pub price: Option<Price>,
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    pub suspended: bool,
    /// The result; `None` while there is none.
    pub won: Option<bool>,
}
