//! A recorded match as a list of acts with their times, and how each changes the match that plays it.

use super::change::Change;
use super::encode::Attribute;
use super::ledger::{Counter, What};
use super::pen::{Pen, Price, SelectionChange};
use super::play::{self, Step};
use super::score::{Innings, Score};
use super::state::{Clock, MarketAt, Match, Odds, SelectionAt, Stage};
use super::text::Text;
use super::time::Moment;
use std::collections::VecDeque;
use touchline_common::model::Side;

/// One act.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// A period begins: its number, the name the feed gives it, what the clock shows (none: there is no clock).
    Begin(u8, &'static str, Option<u32>),
    /// A period ends, as `Begin`.
    End(u8, &'static str, Option<u32>),
    /// The clock is stated anew.
    Clock(u32),
    Goal(Side),
    /// A count of the scoreboard goes up.
    Count(Side, &'static str),
    Comment(String),
    /// A side's innings, by its place, has so many runs and wickets now.
    Innings {
        side: Side,
        place: usize,
        runs: u32,
        wickets: u32,
    },
    /// A selection of the first market has this price now.
    Price(usize, Odds),
    /// The first market is suspended, or open again.
    Suspended(bool),
    Finish,
}

/// Acts, each with its time in milliseconds from the beginning; in order.
pub(crate) type Acts = VecDeque<(i64, Act)>;

/// Carries an act out.
pub(crate) fn act(m: &mut Match, act: Act, now: Moment, change: &mut Change) {
    let pen = &mut Pen { now, change };
    let clock = |seconds, running| Clock { seconds, running, down: false, at: Some(now.seconds()) };
    match act {
        Act::Begin(period, name, seconds) => {
            if m.head.half.is_some() {
                m.head.half = Some(period.saturating_sub(1).min(1));
            }
            play::stage(m, pen, Stage::Playing(period), name, seconds.map(|seconds| clock(seconds, true)));
        }
        Act::End(period, name, seconds) => {
            play::stage(m, pen, Stage::After(period), name, seconds.map(|seconds| clock(seconds, false)));
        }
        Act::Clock(seconds) => {
            m.head.clock = Some(clock(seconds, true));
            pen.event(m, &[Attribute::Clock]);
        }
        Act::Goal(side) => play::soccer::goal(m, pen, side),
        Act::Count(side, key) => {
            if play::tally(m, pen, side, key, Step::Up) {
                pen.number(m);
            }
        }
        Act::Comment(text) => {
            if pen.comment(m, Text::from(text)) {
                pen.event(m, &[Attribute::Comment]);
                pen.commented(m);
            }
        }
        Act::Innings { side, place, runs, wickets } => innings(m, pen, side, place, (runs, wickets)),
        Act::Price(place, odds) => price(m, pen, place, odds),
        Act::Suspended(suspended) => {
            let at = MarketAt { group: 0, market: 0 };
            if let Some(market) = m.market_mut(at)
                && market.suspended != suspended
            {
                market.suspended = suspended;
                pen.market_suspended(m, at);
                pen.number(m);
            }
        }
        Act::Finish => play::finish(m, pen, &[], Vec::new()),
    }
}

fn innings(m: &mut Match, pen: &mut Pen<'_>, side: Side, place: usize, (runs, wickets): (u32, u32)) {
    let Score::Cricket(sides) = &mut m.head.score else { return };
    let all = sides.get_mut(side);
    let sum = |all: &[Innings]| {
        (all.iter().map(|one| one.runs).sum::<u32>(), all.iter().map(|one| one.wickets).sum::<u32>())
    };
    // What was unknown and is known now is no step: it is not known from where. Before the start it was nothing.
    let was_known = !all.is_empty() || m.head.stage == Stage::NotStarted;
    let before = sum(all);
    if all.len() <= place {
        all.resize(place + 1, Innings::default());
    }
    let Some(one) = all.get_mut(place) else { return };
    (one.runs, one.wickets) = (runs, wickets);
    let after = sum(all);
    pen.event(m, &[Attribute::Score]);
    if !was_known {
        return;
    }
    // A fall takes back whatever reached more than what now stands.
    if after.0 < before.0 {
        pen.retracted_above(m, Counter::Score, side, after.0);
    } else if after.0 > before.0 {
        pen.happened(m, What::Count { counter: Counter::Score, side, after: after.0 });
    }
    pen.retracted_above(m, Counter::Wicket, side, after.1);
    for after in before.1 + 1..=after.1 {
        pen.happened(m, What::Count { counter: Counter::Wicket, side, after });
    }
}

fn price(m: &mut Match, pen: &mut Pen<'_>, place: usize, odds: Odds) {
    let at = SelectionAt { market: MarketAt { group: 0, market: 0 }, strip: 0, selection: place };
    let Some(one) = m.selection_mut(at) else { return };
    if one.odds == odds {
        return;
    }
    let price = Price::between(one.odds, odds);
    one.odds = odds;
    pen.selection(m, at, SelectionChange::Odds(price));
    pen.number(m);
}
