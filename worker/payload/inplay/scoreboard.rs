//! The scoreboard: columns that each name a quantity, with a line a side that states the value.
//!
//! A column whose name the mapping knows is a statistic; in sports that count points, one that is named by a number or `OT` is a
//! period. Of others nothing is read, and what they say stays in `extra`. Read by the statistics (and through them the registers),
//! by the head for its periods, by the tail for what is left.

use super::class::{of_side, side_of};
use super::mapping::{Class, Role};
use super::reading::{Reading, Statistic};
use super::score::{self, Pair};
use super::store::{NodeId, TreeId};
use super::text;
use touchline_common::model::{Scoring, Side};

/// What the numbers of a column count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity<'a> {
    /// A statistic, by its key.
    Statistic(&'a str),
    /// The points of a period.
    Period,
    Unknown,
}

pub(super) struct Column<'a> {
    id: NodeId,
    pub(super) quantity: Quantity<'a>,
    /// Home's value and away's; what is unknown is absent.
    pub(super) values: [Option<&'a [u8]>; 2],
}

struct Line<'a> {
    id: NodeId,
    side: Option<Side>,
    /// Without blanks at its ends.
    value: &'a [u8],
}

impl Line<'_> {
    fn is_known(&self) -> bool {
        !self.value.is_empty() && self.value != b"-"
    }
}

impl<'a> Column<'a> {
    /// The points of a period, where both sides' are known.
    pub(super) fn period(&self) -> Option<Pair> {
        let pair = self.values.map(|value| value.and_then(score::number));
        (self.quantity == Quantity::Period && pair.iter().all(Option::is_some)).then_some(pair)
    }

    /// What the document says of it elsewhere; `has_periods`: the periods of its tree are those of the score.
    fn shown(&self, statistics: &[Statistic<'a>], has_periods: bool) -> [Option<&'a [u8]>; 2] {
        let shown = match self.quantity {
            Quantity::Statistic(key) => {
                statistics.iter().find(|(held, _)| held == key).map(|(_, values)| *values)
            }
            Quantity::Period if has_periods => self.period().map(|_| self.values),
            Quantity::Period | Quantity::Unknown => None,
        };
        shown.unwrap_or_default()
    }
}

impl<'a> Reading<'a> {
    /// The columns of a tree's scoreboard, in order.
    pub(super) fn columns(&self, tree: TreeId) -> impl Iterator<Item = Column<'a>> {
        self.store.outlined(tree, Class::ScoreColumn).map(move |id| self.column(id))
    }

    fn column(&self, id: NodeId) -> Column<'a> {
        let mut values = [None, None];
        for line in self.lines(id).filter(Line::is_known) {
            let [home, away] = &mut values;
            let place = match line.side {
                Some(Side::Home) => home,
                Some(Side::Away) => away,
                None => continue,
            };
            *place = place.or(Some(line.value));
        }
        Column { id, quantity: self.quantity(id), values }
    }

    fn lines(&self, column: NodeId) -> impl Iterator<Item = Line<'a>> {
        let (store, mapping) = (self.store, self.mapping);
        let [order, value] = [Role::Order, Role::Value].map(|role| mapping.key(Class::ScoreLine, role));
        let lines = store.children(column).filter(move |id| store.node(*id).class == Class::ScoreLine);
        lines.map(move |id| Line {
            id,
            side: store.attribute(id, order).and_then(side_of),
            value: store.attribute(id, value).map(<[u8]>::trim_ascii).unwrap_or_default(),
        })
    }

    pub(super) fn quantity(&self, column: NodeId) -> Quantity<'a> {
        let name = self.mapping.key(Class::ScoreColumn, Role::Name);
        let name = self.store.attribute(column, name).unwrap_or_default();
        if let Some(key) = self.mapping.quantity(name) {
            return Quantity::Statistic(key);
        }
        let is_period = name == b"OT" || text::whole(name, 9).is_some();
        if is_period && self.scoring == Scoring::Points { Quantity::Period } else { Quantity::Unknown }
    }

    /// The periods that the score shows, and the tree that states them: the first whose scoreboard has any.
    pub(super) fn periods(&self) -> Option<(TreeId, Vec<Pair>)> {
        if self.scoring != Scoring::Points {
            return None;
        }
        let of_tree = |tree: &TreeId| {
            let periods = self.columns(*tree).filter_map(|column| column.period()).collect::<Vec<_>>();
            (!periods.is_empty()).then_some((*tree, periods))
        };
        self.held.trees.iter().find_map(of_tree)
    }

    /// The columns and lines of a tree whose name or value the document says elsewhere, or that say nothing, in order of their ids.
    /// `statistics` are those of this reading; `has_periods`: the tree's periods are those of the score.
    pub(super) fn shown_elsewhere(
        &self,
        tree: TreeId,
        statistics: &[Statistic<'a>],
        has_periods: bool,
    ) -> Vec<NodeId> {
        let mut shown_elsewhere = Vec::new();
        for column in self.columns(tree) {
            let shown = column.shown(statistics, has_periods);
            let is_read = column.quantity != Quantity::Unknown;
            let mut all = is_read;
            for line in self.lines(column.id) {
                let is_shown = line.side.is_some_and(|side| of_side(shown, side) == Some(line.value));
                if line.value.is_empty() || is_shown || is_read && !line.is_known() {
                    shown_elsewhere.push(line.id);
                } else {
                    all = false;
                }
            }
            // Beside a value that is shown as it came its column's name is needed.
            if all {
                shown_elsewhere.push(column.id);
            }
        }
        // As the nodes are looked up in it.
        shown_elsewhere.sort_unstable();
        shown_elsewhere
    }
}
