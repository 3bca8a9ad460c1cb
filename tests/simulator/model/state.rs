//! A match as it is: what the feed would say of it, kept by meaning, not as the feed's text.
//!
//! Invariant: whoever changes one of these values sends the message that says so and takes the digest anew, both
//! through `pen`. Numbers of columns, log entries, markets and selections are never used twice in a match.

use super::history::History;
use super::ledger::Ledger;
use super::score::{Pair, Score};
use super::text::Text;
use std::collections::VecDeque;
use touchline_common::model::Side;

/// The names under which a match goes.
#[derive(Clone, Debug)]
pub(crate) struct Ident {
    /// Its number in this server.
    pub(crate) number: u32,
    /// The attribute `ID`, which is the match id: `90000012C1A_1_3`.
    pub(crate) id: String,
    /// Its own topic: `6V90000012C1A_1_3`.
    pub(crate) topic: String,
}

impl Ident {
    pub(crate) fn new(number: u32, sport: Sport) -> Self {
        let id = format!("9{number:07}C{}A_1_3", sport.id());
        Self { number, topic: format!("6V{id}"), id }
    }

    /// The number that stands in the topic ids of markets and selections.
    pub(crate) fn fixture(&self) -> u64 {
        70_000_000 + u64::from(self.number)
    }
}

/// The sports that are played here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sport {
    Soccer,
    Tennis,
    Basketball,
    Cricket,
    TableTennis,
}

impl Sport {
    pub(crate) const ALL: [Sport; 5] =
        [Sport::Soccer, Sport::Tennis, Sport::Basketball, Sport::Cricket, Sport::TableTennis];

    pub(crate) fn id(self) -> &'static str {
        match self {
            Sport::Soccer => "1",
            Sport::Tennis => "13",
            Sport::Basketball => "18",
            Sport::Cricket => "3",
            Sport::TableTennis => "92",
        }
    }

    /// Its name in documents.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Sport::Soccer => "soccer",
            Sport::Tennis => "tennis",
            Sport::Basketball => "basketball",
            Sport::Cricket => "cricket",
            Sport::TableTennis => "table_tennis",
        }
    }

    /// Its name in the list.
    pub(crate) fn shown(self) -> &'static str {
        match self {
            Sport::Soccer => "Soccer",
            Sport::Tennis => "Tennis",
            Sport::Basketball => "Basketball",
            Sport::Cricket => "Cricket",
            Sport::TableTennis => "Table Tennis",
        }
    }
}

/// How far a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    NotStarted,
    /// In this period, from 1.
    Playing(u8),
    /// In the break after this period.
    After(u8),
    Finished,
}

impl Stage {
    /// How far it is: rises from one stage to the next.
    pub(crate) fn rank(self) -> u16 {
        match self {
            Stage::NotStarted => 0,
            Stage::Playing(period) => 2 * u16::from(period) - 1,
            Stage::After(period) => 2 * u16::from(period),
            Stage::Finished => 1_000,
        }
    }
}

/// The displayed clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) seconds: u32,
    pub(crate) running: bool,
    pub(crate) down: bool,
    /// When `seconds` was right: seconds since 1970 UTC; none: not stated.
    pub(crate) at: Option<i64>,
}

impl Clock {
    /// What it shows at `now` (seconds since 1970 UTC).
    pub(crate) fn shown(&self, now: i64) -> u32 {
        let passed = match self.at {
            Some(at) if self.running => u32::try_from((now - at).clamp(0, 4 * 3_600)).unwrap_or(0),
            Some(_) | None => 0,
        };
        if self.down { self.seconds.saturating_sub(passed) } else { self.seconds + passed }
    }
}

/// A side's value under a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    Count(u32),
    Words(Text),
}

/// A column of the scoreboard.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    pub(crate) number: u32,
    pub(crate) name: Text,
    pub(crate) cells: Pair<Text>,
}

/// An entry of the match's log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) number: u32,
    pub(crate) label: Text,
    pub(crate) minute: u32,
}

/// What the event node and the nodes of the scoreboard say.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) home: Text,
    pub(crate) away: Text,
    /// Between the names in the event's own name; with `@` the away side stands first.
    pub(crate) separator: &'static str,
    pub(crate) competition: Text,
    pub(crate) stage: Stage,
    pub(crate) suspended: bool,
    /// The attribute `CP`.
    pub(crate) period: Text,
    /// The attribute `MD`, where the sport has it.
    pub(crate) half: Option<u8>,
    pub(crate) clock: Option<Clock>,
    pub(crate) score: Score,
    pub(crate) serving: Option<Side>,
    pub(crate) comment: Text,
    /// Attributes of the event node that no rule uses.
    pub(crate) extra: Vec<(&'static str, Text)>,
    pub(crate) labels: Vec<&'static str>,
    pub(crate) figures: Pair<Vec<Figure>>,
    /// The attribute `PI` of the team nodes, which no rule uses.
    pub(crate) possession: Option<Side>,
    pub(crate) kits: Pair<Text>,
    pub(crate) board: Vec<Board>,
    pub(crate) log: VecDeque<Entry>,
}

/// A price as the feed writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Odds {
    /// `n/d`.
    Fraction(u32, u32),
    /// The empty text.
    Empty,
}

impl Odds {
    /// Appends it as the feed writes it.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        if let Odds::Fraction(n, d) = self {
            super::text::number(out, n.into());
            out.push(b'/');
            super::text::number(out, d.into());
        }
    }

    /// Decimal odds in ten-thousandths, stake included, rounded half up; none where there is no price.
    pub(crate) fn decimal(self) -> Option<i64> {
        match self {
            Odds::Fraction(n, d) if n > 0 && d > 0 => {
                let (n, d) = (u64::from(n), u64::from(d));
                i64::try_from((2 * n * 10_000 + d) / (2 * d) + 10_000).ok()
            }
            Odds::Fraction(..) | Odds::Empty => None,
        }
    }
}

/// A selection.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) number: u32,
    pub(crate) name: Text,
    pub(crate) odds: Odds,
    pub(crate) handicap: Text,
    pub(crate) suspended: bool,
    /// What it adds to the digest of its market.
    pub(crate) share: u64,
}

/// Selections side by side: a market's column, or all of them in a market without columns.
#[derive(Clone, Debug)]
pub(crate) struct Strip {
    /// The column's name; none: the selections stand right under the market.
    pub(crate) column: Option<Text>,
    pub(crate) selections: Vec<Selection>,
}

/// A market.
#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(crate) number: u32,
    /// The attribute `ID`: its type.
    pub(crate) kind: u32,
    pub(crate) name: Text,
    pub(crate) suspended: bool,
    /// Whether the list shows it too. Such a market is never closed.
    pub(crate) listed: bool,
    pub(crate) strips: Vec<Strip>,
    /// What its selections add to its digest.
    pub(crate) selections_sum: u64,
    /// What it adds to the digest of the document.
    pub(crate) share: u64,
}

/// Markets under a group's node, or under the event itself.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) number: u32,
    /// The group's name; none: there is no node of a group.
    pub(crate) name: Option<Text>,
    pub(crate) markets: Vec<Market>,
}

/// A match, its numbers and what is remembered of it.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) ident: Ident,
    pub(crate) sport: Sport,
    /// Which of the list's competitions it belongs to.
    pub(crate) league: usize,
    /// Whether its own topic leaves sport and competition to the list.
    pub(crate) sparse: bool,
    pub(crate) head: Head,
    pub(crate) groups: Vec<Group>,
    /// The number last given to a column, log entry, market or selection.
    pub(crate) last_number: u32,
    /// The number of the newest change: the attribute `ZC`.
    pub(crate) change: u64,
    pub(crate) head_digest: u64,
    pub(crate) markets_sum: u64,
    pub(crate) history: History,
    /// What was sent of it as a branch of topics; empty where it is published as nodes.
    pub(crate) sent: super::sent::Values,
    pub(crate) ledger: Ledger,
    pub(crate) play: super::play::Progress,
}

impl Match {
    /// A number that no column, entry, market or selection of the match has had.
    pub(crate) fn fresh_number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    pub(crate) fn is_over(&self) -> bool {
        self.head.stage == Stage::Finished
    }

    pub(crate) fn market(&self, at: MarketAt) -> Option<(&Group, &Market)> {
        let group = self.groups.get(at.group)?;
        Some((group, group.markets.get(at.market)?))
    }

    pub(crate) fn market_mut(&mut self, at: MarketAt) -> Option<&mut Market> {
        self.groups.get_mut(at.group)?.markets.get_mut(at.market)
    }

    pub(crate) fn selection_mut(&mut self, at: SelectionAt) -> Option<&mut Selection> {
        self.market_mut(at.market)?.strips.get_mut(at.strip)?.selections.get_mut(at.selection)
    }

    /// The event's own name.
    pub(crate) fn name(&self) -> String {
        let Head { home, away, separator, .. } = &self.head;
        if separator.contains('@') {
            format!("{away}{separator}{home}")
        } else {
            format!("{home}{separator}{away}")
        }
    }
}

/// Where a market stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MarketAt {
    pub(crate) group: usize,
    pub(crate) market: usize,
}

/// Where a selection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SelectionAt {
    pub(crate) market: MarketAt,
    pub(crate) strip: usize,
    pub(crate) selection: usize,
}
