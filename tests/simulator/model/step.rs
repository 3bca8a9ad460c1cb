//! One change of a match: what happens on the field when its time has come, else what fills the wire: mostly prices.
//!
//! Pure: the same match, random numbers and times give the same messages.

use super::change::Change;
use super::encode::{self, Attribute};
use super::ledger::What;
use super::make;
use super::names::PRICES;
use super::node::Node;
use super::odds::OddsChange;
use super::pen::{Pen, Price, SelectionChange, remember};
use super::play;
use super::random::Random;
use super::state::{Entry, MarketAt, Match, Odds, Selection, SelectionAt, Stage, Strip};
use super::text::Text;
use super::time::Moment;

/// The most entries a match's log holds; the oldest is then removed.
const LOG: usize = 8;

/// Changes a match once. What it causes on the wire is added to `change`.
pub(crate) fn step(m: &mut Match, random: &mut Random, now: Moment, speed: f64, change: &mut Change) {
    let mut pen = Pen { now, change };
    if now.micros >= m.play.next && !m.is_over() {
        let passed = (now.micros - m.play.last) as f64 * speed;
        if matches!(m.head.stage, Stage::Playing(_)) {
            m.play.played += passed as i64;
        }
        m.play.last = now.micros;
        let pause = random.between(1, 2 * play::pause_between(m.sport));
        m.play.next = now.micros + (f64::from(pause) * 1e6 / speed.max(0.001)) as i64;
        return play::play(m, random, &mut pen);
    }
    fill(m, random, &mut pen);
}

fn fill(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    match random.below(1_000) {
        0..880 => prices(m, random, pen),
        880..905 => suspend_selection(m, random, pen),
        905..920 => suspend_market(m, random, pen),
        920..926 => markets_come_and_go(m, random, pen),
        926..930 => selections_come_and_go(m, random, pen),
        930..975 => unmapped(m, random, pen),
        975..985 => log(m, random, pen),
        985..997 => figure(m, random, pen),
        _ => suspend_match(m, pen),
    }
}

fn somewhere(m: &Match, random: &mut Random) -> Option<MarketAt> {
    let group = random.below(m.groups.len());
    let markets = m.groups.get(group)?.markets.len();
    (markets > 0).then(|| MarketAt { group, market: random.below(markets) })
}

fn selection(m: &Match, random: &mut Random, market: MarketAt) -> Option<SelectionAt> {
    let (_, found) = m.market(market)?;
    let strip = random.below(found.strips.len());
    let selections = found.strips.get(strip)?.selections.len();
    (selections > 0).then(|| SelectionAt { market, strip, selection: random.below(selections) })
}

/// One to three prices of a market move; now and then a line moves with its price.
fn prices(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let Some(market) = somewhere(m, random) else { return };
    let mut any = false;
    for _ in 0..[1, 1, 1, 2, 2, 3].get(random.below(6)).copied().unwrap_or(1) {
        let Some(at) = selection(m, random, market) else { break };
        let Some(one) = m.selection_mut(at) else { break };
        let before = one.odds;
        one.odds = moved(before, random);
        let price = Price::between(before, one.odds);
        let mut change = SelectionChange::Odds(price);
        if !one.handicap.is_empty() && random.in_thousand(30) {
            one.handicap = format!("{}.5", random.below(9)).into();
            change = SelectionChange::Line(price);
        }
        pen.selection(m, at, change);
        any = true;
    }
    if any {
        pen.number(m);
    }
}

/// Another price, near this one; seldom none.
fn moved(odds: Odds, random: &mut Random) -> Odds {
    let Odds::Fraction(n, d) = odds else {
        return random.pick(&PRICES).map_or(Odds::Fraction(1, 1), |(n, d)| Odds::Fraction(*n, *d));
    };
    if random.in_thousand(4) {
        return if n == 0 || random.below(2) == 0 { Odds::Empty } else { Odds::Fraction(0, 0) };
    }
    let place =
        PRICES.partition_point(|(pn, pd)| u64::from(*pn) * u64::from(d) < u64::from(n) * u64::from(*pd));
    let up = random.below(2) == 0 && place + 1 < PRICES.len() || place == 0;
    let next = if up { place + 1 } else { place - 1 };
    PRICES.get(next).map_or(Odds::Fraction(1, 1), |(n, d)| Odds::Fraction(*n, *d))
}

fn suspend_selection(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let Some(at) = somewhere(m, random).and_then(|market| selection(m, random, market)) else { return };
    let Some(one) = m.selection_mut(at) else { return };
    one.suspended = !one.suspended;
    pen.selection(m, at, SelectionChange::Suspended);
    pen.number(m);
}

fn suspend_market(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let Some(at) = somewhere(m, random) else { return };
    let Some(market) = m.market_mut(at) else { return };
    market.suspended = !market.suspended;
    pen.market_suspended(m, at);
    pen.number(m);
}

fn markets_come_and_go(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let now: usize = m.groups.iter().map(|group| group.markets.len()).sum();
    if now < m.play.markets || (now < m.play.markets + 3 && random.below(2) == 0) {
        open(m, random, pen);
    } else {
        close(m, random, pen);
    }
}

/// A market appears: its node, then its columns and selections, a message each.
fn open(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let group = random.below(m.groups.len());
    let mut market = make::market(m, group, None, random);
    let strips = std::mem::take(&mut market.strips);
    let number = market.number;
    let Some(into) = m.groups.get_mut(group) else { return };
    // Under the event itself its place is the last; in a group it may be any.
    let grouped = into.name.is_some();
    let place = if grouped { random.below(into.markets.len() + 1) } else { into.markets.len() };
    let parent = if grouped { Node::Group(into.number) } else { Node::Event };
    let order = (grouped && place < into.markets.len()).then_some(place);
    let opened =
        OddsChange::MarketOpen { market: number, name: market.name.clone(), suspended: market.suspended };
    into.markets.insert(place, market);
    let at = MarketAt { group, market: place };
    let Some((_, market)) = m.market(at) else { return };
    pen.insert(m, parent, Node::Market(number), |m, out| encode::market(m, market, order, out));
    m.redigest_market(at);
    m.redigest_head();
    remember(m);
    pen.odds(m, opened);
    for (column, strip) in strips.into_iter().enumerate() {
        fill_strip(m, pen, at, column, strip);
    }
    pen.number(m);
}

fn fill_strip(m: &mut Match, pen: &mut Pen<'_>, at: MarketAt, column: usize, strip: Strip) {
    let Strip { column: name, selections } = strip;
    let Some(market) = m.market_mut(at) else { return };
    let number = market.number;
    let parent = if name.is_some() { Node::MarketColumn(number, column) } else { Node::Market(number) };
    market.strips.push(Strip { column: name, selections: Vec::new() });
    if let Some((_, market)) = m.market(at)
        && let Some(strip) = market.strips.get(column)
        && strip.column.is_some()
    {
        pen.insert(m, Node::Market(number), parent, |m, out| {
            encode::market_column(m, market, strip, column, out);
        });
        m.redigest_strips(at);
        remember(m);
    }
    for (order, one) in selections.into_iter().enumerate() {
        pen.insert(m, parent, Node::Selection(one.number), |m, out| encode::selection(m, &one, order, out));
        pen.odds(m, found(number, &one));
        if let Some(strip) = m.market_mut(at).and_then(|market| market.strips.get_mut(column)) {
            strip.selections.push(one);
        }
        m.redigest_strips(at);
        remember(m);
    }
}

/// A selection as it is first seen.
pub(super) fn found(market: u32, one: &Selection) -> OddsChange {
    OddsChange::SelectionFound { market, selection: one.number, odds: one.odds, suspended: one.suspended }
}

/// A market disappears, with all that is in it. What the list shows stays.
fn close(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let Some(at) = somewhere(m, random) else { return };
    let Some((group, market)) = m.market(at) else { return };
    if market.listed {
        return;
    }
    let (number, share) = (market.number, market.share);
    let way = [Node::Group(group.number), Node::Market(number)];
    pen.delete(m, if group.name.is_some() { &way } else { way.get(1..).unwrap_or_default() });
    if let Some(group) = m.groups.get_mut(at.group) {
        group.markets.remove(at.market);
    }
    m.markets_sum = m.markets_sum.wrapping_sub(share);
    m.redigest_head();
    remember(m);
    pen.odds(m, OddsChange::MarketClose { market: number });
    pen.number(m);
}

/// A selection appears somewhere among the others, or one disappears: the places behind it shift.
fn selections_come_and_go(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let Some(at) = somewhere(m, random).and_then(|market| selection(m, random, market)) else { return };
    let Some((group, market)) = m.market(at.market) else { return };
    let Some(strip) = market.strips.get(at.strip) else { return };
    if market.listed {
        return;
    }
    let number = market.number;
    let column = strip.column.is_some().then_some(Node::MarketColumn(number, at.strip));
    if strip.selections.len() > 2 && random.below(2) == 0 {
        let Some(one) = strip.selections.get(at.selection) else { return };
        let group = group.name.is_some().then_some(Node::Group(group.number));
        let way: Vec<Node> = group
            .into_iter()
            .chain([Node::Market(number)])
            .chain(column)
            .chain([Node::Selection(one.number)])
            .collect();
        let gone = OddsChange::SelectionGone { selection: one.number };
        pen.delete(m, &way);
        if let Some(strip) = m.market_mut(at.market).and_then(|market| market.strips.get_mut(at.strip)) {
            strip.selections.remove(at.selection);
        }
        pen.odds(m, gone);
    } else {
        let one = make::selection(m, "Any other".into(), Text::EMPTY, random);
        let parent = column.unwrap_or(Node::Market(number));
        let write = |m: &Match, out: &mut Vec<u8>| encode::selection(m, &one, at.selection, out);
        pen.insert(m, parent, Node::Selection(one.number), write);
        pen.odds(m, found(number, &one));
        if let Some(strip) = m.market_mut(at.market).and_then(|market| market.strips.get_mut(at.strip)) {
            strip.selections.insert(at.selection, one);
        }
    }
    m.redigest_strips(at.market);
    remember(m);
    pen.number(m);
}

/// Attributes of the event that no rule uses: the animation's code and place, the number of markets.
fn unmapped(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let place = random.below(3);
    let value = match place {
        0 => format!("{}{}", random.between(1, 2), random.between(1_000, 1_100)),
        1 => format!("{},{}", random.below(100), random.below(100)),
        _ => random.below(60).to_string(),
    };
    let Some((_, held)) = m.head.extra.get_mut(place) else { return };
    *held = value.into();
    pen.event(m, &[Attribute::Extra(place)]);
}

/// An entry is added to the log; the oldest goes when there are too many.
fn log(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    if m.head.log.is_empty() {
        return;
    }
    let label =
        random.word(&["Throw-in", "Corner", "Ball safe", "Attack", "Free kick = direct", "Time-out #2"]);
    let entry = Entry { number: m.fresh_number(), label: label.into(), minute: m.play.seconds() / 60 };
    pen.insert(m, Node::Log, Node::Entry(entry.number), |m, out| encode::entry(m, &entry, out));
    m.head.log.push_back(entry);
    m.redigest_head();
    remember(m);
    if m.head.log.len() > LOG
        && let Some(oldest) = m.head.log.pop_front()
    {
        pen.delete(m, &[Node::Log, Node::Entry(oldest.number)]);
        m.redigest_head();
        remember(m);
    }
    pen.number(m);
}

/// A figure that is no register goes up.
fn figure(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let keys = ["attacks", "dangerous_attacks", "Aces", "Double faults", "Time-outs"];
    let side = play::side(random);
    for key in keys {
        if play::tally(m, pen, side, key, play::Step::Up) {
            return pen.number(m);
        }
    }
    unmapped(m, random, pen);
}

fn suspend_match(m: &mut Match, pen: &mut Pen<'_>) {
    m.head.suspended = !m.head.suspended;
    let suspended = m.head.suspended;
    pen.event(m, &[Attribute::Suspended]);
    pen.happened(m, What::Suspended(suspended));
}
