//! The document that each match must become, by the rules of `docs/documents.md`, straight from what the match *is*:
//! no text that the feed would write is read back.
//!
//! Written once over [`Json`], so that the truth's JSON and its digests are one and the same description. A digest
//! leaves out `extra.ZC` and the selections' `open` and `move`, which depend on when a client began to listen.

use super::json::{Digest, Json};
use super::node::Node;
use super::score::{Over, Pair, Score};
use super::state::{Board, Figure, Group, Head, Ident, Market, Match, Selection, Sport, Stage, Strip};
use super::time;
use serde_json::Value;
use std::collections::BTreeMap;
use touchline_common::model::Side;

/// The whole document: all but what a worker or the recorder adds (match, feed, source, epoch, version, times, stale)
/// and the selections' `open` and `move`.
pub(crate) fn document(m: &Match) -> Value {
    let mut document = head::<Value>(m, Numbered::Yes);
    let mut markets = serde_json::Map::new();
    for group in &m.groups {
        for one in &group.markets {
            markets.insert(Node::Market(one.number).topic(&m.ident), market::<Value>(&m.ident, group, one));
        }
    }
    if let Some(members) = document.as_object_mut() {
        members.insert("markets".to_owned(), Value::Object(markets));
    }
    document
}

/// Whether the number of the newest change is among the extra attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbered {
    Yes,
    No,
}

/// Everything but the markets.
pub(crate) fn head<J: Json>(m: &Match, numbered: Numbered) -> J {
    let head = &m.head;
    let mut out = J::Members::default();
    J::put(&mut out, "sport_id", J::text(m.sport.id()));
    J::put(&mut out, "sport", J::text(m.sport.name()));
    put_text::<J>(&mut out, "competition", &head.competition);
    put_text::<J>(&mut out, "name", &m.name());
    put_text::<J>(&mut out, "home", &head.home);
    put_text::<J>(&mut out, "away", &head.away);
    J::put(&mut out, "status", J::text(status(head)));
    put_text::<J>(&mut out, "period", period(m));
    if let Some(clock) = &head.clock {
        let mut shown = J::Members::default();
        J::put(&mut shown, "seconds", J::integer(clock.seconds.into()));
        J::put(&mut shown, "running", J::flag(clock.running));
        J::put(&mut shown, "down", J::flag(clock.down));
        if let Some(at) = clock.at {
            J::put(&mut shown, "at", J::text(&time::rfc3339(at)));
        }
        J::put(&mut out, "clock", J::object(shown));
    }
    if let Some(score) = score::<J>(m) {
        J::put(&mut out, "score", score);
    }
    if let Some(stats) = stats::<J>(head) {
        J::put(&mut out, "stats", stats);
    }
    let mut order = J::Items::default();
    for market in m.groups.iter().flat_map(|group| &group.markets) {
        J::push(&mut order, J::text(&Node::Market(market.number).topic(&m.ident)));
    }
    J::put(&mut out, "market_order", J::array(order));
    J::put(&mut out, "extra", extra::<J>(m, numbered));
    J::object(out)
}

fn put_text<J: Json>(out: &mut J::Members, key: &str, text: &str) {
    if !text.is_empty() {
        J::put(out, key, J::text(text));
    }
}

fn status(head: &Head) -> &'static str {
    if head.suspended {
        return "suspended";
    }
    match head.stage {
        Stage::NotStarted => "not_started",
        Stage::Playing(_) => "in_play",
        Stage::After(_) => "break",
        Stage::Finished => "finished",
    }
}

fn period(m: &Match) -> &str {
    if !m.head.period.is_empty() || m.sport != Sport::Soccer {
        return &m.head.period;
    }
    match m.head.stage {
        Stage::Playing(1) => "first_half",
        Stage::After(1) => "half_time",
        Stage::Playing(_) => "second_half",
        Stage::NotStarted | Stage::After(_) | Stage::Finished => "",
    }
}

fn score<J: Json>(m: &Match) -> Option<J> {
    let score = &m.head.score;
    let text = score.text();
    let periods = periods(m);
    if text.is_empty() && score.points_text().is_empty() && periods.is_empty() {
        return None;
    }
    let over = if m.is_over() { Over::Yes } else { Over::No };
    let mut out = J::Members::default();
    put_text::<J>(&mut out, "text", &text);
    let totals = score.totals(over);
    for side in Side::BOTH {
        if let Some(total) = totals.get(side) {
            J::put(&mut out, side.as_str(), J::integer((*total).into()));
        }
    }
    if !periods.is_empty() {
        let mut all = J::Items::default();
        for period in &periods {
            let mut one = J::Members::default();
            J::put(&mut one, "home", J::integer(period.home.into()));
            J::put(&mut one, "away", J::integer(period.away.into()));
            J::push(&mut all, J::object(one));
        }
        J::put(&mut out, "periods", J::array(all));
    }
    put_text::<J>(&mut out, "points", &score.document_points());
    if let Some(side) = m.head.serving {
        J::put(&mut out, "serving", J::text(side.as_str()));
    }
    Some(J::object(out))
}

fn periods(m: &Match) -> Vec<Pair<u32>> {
    match &m.head.score {
        Score::Plain(_) if m.sport == Sport::Basketball => board_periods(&m.head),
        score @ (Score::Plain(_) | Score::Tennis { .. } | Score::Sets { .. } | Score::Cricket(_)) => {
            score.sets()
        }
    }
}

/// The columns of the scoreboard that are periods with a number for both sides.
fn board_periods(head: &Head) -> Vec<Pair<u32>> {
    head.board.iter().filter(|board| is_period(board)).filter_map(board_cells).collect()
}

fn is_period(board: &Board) -> bool {
    &*board.name == "OT" || board.name.parse::<u32>().is_ok()
}

fn board_cells(board: &Board) -> Option<Pair<u32>> {
    Some(Pair { home: board.cells.home.parse().ok()?, away: board.cells.away.parse().ok()? })
}

/// Labels with their places, from 1.
pub(crate) fn stat_labels(head: &Head) -> impl Iterator<Item = (usize, &'static str)> {
    head.labels.iter().enumerate().map(|(place, label)| (place + 1, *label))
}

/// The key under which a label stands in a document.
pub(crate) fn stat_key(label: &str) -> &str {
    match label.trim().to_ascii_lowercase().as_str() {
        "goals" => "goals",
        "corner" | "corners" => "corners",
        "yellow" | "yellow cards" => "yellow_cards",
        "red" | "red cards" => "red_cards",
        "penalties" => "penalties",
        "subs" | "substitutions" => "substitutions",
        "attacks" => "attacks",
        "dangerous attacks" => "dangerous_attacks",
        "on target" => "on_target",
        "off target" => "off_target",
        "possession" => "possession",
        _ => label,
    }
}

fn stats<J: Json>(head: &Head) -> Option<J> {
    let mut all: BTreeMap<&str, J> = BTreeMap::new();
    for (place, label) in head.labels.iter().enumerate() {
        let mut out = J::Members::default();
        let mut any = false;
        for side in Side::BOTH {
            let value = match head.figures.get(side).get(place) {
                Some(Figure::Count(count)) => J::integer((*count).into()),
                Some(Figure::Words(text)) if !text.is_empty() => J::text(text),
                Some(Figure::Words(_)) | None => continue,
            };
            J::put(&mut out, side.as_str(), value);
            any = true;
        }
        if any {
            all.entry(stat_key(label)).or_insert_with(|| J::object(out));
        }
    }
    if all.is_empty() {
        return None;
    }
    let mut stats = J::Members::default();
    for (key, value) in all {
        J::put(&mut stats, key, value);
    }
    Some(J::object(stats))
}

fn extra<J: Json>(m: &Match, numbered: Numbered) -> J {
    let mut out = J::Members::default();
    for (key, value) in &m.head.extra {
        J::put(&mut out, key, J::text(value));
    }
    J::put(&mut out, "UC", J::text(&m.head.comment));
    if numbered == Numbered::Yes {
        J::put(&mut out, "ZC", J::text(&m.change.to_string()));
    }
    J::put(&mut out, "nodes", nodes::<J>(m));
    J::object(out)
}

/// The nodes that hold something no rule uses, in the order of the tree.
fn nodes<J: Json>(m: &Match) -> J {
    let (ident, head) = (&m.ident, &m.head);
    let mut all = J::Items::default();
    for side in Side::BOTH {
        let serves = if head.possession == Some(side) { "1" } else { "0" };
        let held = [("KC", &**head.kits.get(side)), ("PI", serves)];
        J::push(&mut all, node::<J>(ident, "TE", Node::Team(side), Node::Teams, &held));
    }
    for board in &head.board {
        column_nodes::<J>(ident, board, &mut all);
    }
    if !head.log.is_empty() {
        let held = [("ID", "1"), ("OR", "0"), ("TP", "0")];
        J::push(&mut all, node::<J>(ident, "SG", Node::Log, Node::Event, &held));
    }
    for entry in &head.log {
        let (id, minute) = (entry.number.to_string(), entry.minute.to_string());
        let held = [("ID", id.as_str()), ("LA", &*entry.label), ("TM", minute.as_str())];
        J::push(&mut all, node::<J>(ident, "ST", Node::Entry(entry.number), Node::Log, &held));
    }
    for group in m.groups.iter().filter(|group| group.name.is_some()) {
        let held = [("SY", "cd")];
        J::push(&mut all, node::<J>(ident, "MG", Node::Group(group.number), Node::Event, &held));
    }
    J::array(all)
}

/// A column of the scoreboard and its lines, as far as the periods of the score do not say the same.
fn column_nodes<J: Json>(ident: &Ident, board: &Board, all: &mut J::Items) {
    let is_in_score = is_period(board) && board_cells(board).is_some();
    let is_shown = |side: Side| is_in_score || board.cells.get(side).is_empty();
    let mut held: Vec<(&str, &str)> = Vec::new();
    let is_used = is_period(board) && Side::BOTH.into_iter().all(is_shown);
    if !(board.name.is_empty() || is_used) {
        held.push(("NA", &*board.name));
    }
    if &*board.name == "T" {
        held.push(("SY", "2"));
    }
    let column = Node::Column(board.number);
    if !held.is_empty() {
        J::push(all, node::<J>(ident, "SC", column, Node::Scores, &held));
    }
    for side in Side::BOTH.into_iter().filter(|side| !is_shown(*side)) {
        let order = if side == Side::Home { "0" } else { "1" };
        let held = [("OR", order), ("D1", &**board.cells.get(side))];
        J::push(all, node::<J>(ident, "SL", Node::Line(board.number, side), column, &held));
    }
}

fn node<J: Json>(ident: &Ident, kind: &str, node: Node, parent: Node, held: &[(&str, &str)]) -> J {
    let mut extra = J::Members::default();
    for (key, value) in held {
        J::put(&mut extra, key, J::text(value));
    }
    let mut out = J::Members::default();
    J::put(&mut out, "type", J::text(kind));
    J::put(&mut out, "id", J::text(&node.topic(ident)));
    J::put(&mut out, "parent", J::text(&parent.topic(ident)));
    J::put(&mut out, "extra", J::object(extra));
    J::object(out)
}

/// A market with its selections.
pub(crate) fn market<J: Json>(ident: &Ident, group: &Group, market: &Market) -> J {
    let mut selections = J::Members::default();
    for (place, strip) in market.strips.iter().enumerate() {
        for (order, one) in strip.selections.iter().enumerate() {
            let key = Node::Selection(one.number).topic(ident);
            J::put(&mut selections, &key, selection::<J>(ident, strip, place, order, one));
        }
    }
    let mut out = market_members::<J>(ident, group, market);
    J::put(&mut out, "selections", J::object(selections));
    J::object(out)
}

/// A market's members but for its selections.
pub(crate) fn market_members<J: Json>(ident: &Ident, group: &Group, market: &Market) -> J::Members {
    let mut extra = J::Members::default();
    J::put(&mut extra, "FI", J::text(&ident.fixture().to_string()));
    J::put(&mut extra, "PY", J::text(""));
    let mut out = J::Members::default();
    J::put(&mut out, "id", J::text(&market.kind.to_string()));
    put_text::<J>(&mut out, "name", &market.name);
    if let Some(name) = &group.name {
        put_text::<J>(&mut out, "group", name);
    }
    if market.strips.iter().any(|strip| strip.column.is_some()) {
        let mut columns = J::Items::default();
        for name in market.strips.iter().filter_map(|strip| strip.column.as_ref()) {
            J::push(&mut columns, J::text(name));
        }
        J::put(&mut out, "columns", J::array(columns));
    }
    J::put(&mut out, "suspended", J::flag(market.suspended));
    J::put(&mut out, "extra", J::object(extra));
    out
}

/// A selection at this place of this column.
pub(crate) fn selection<J: Json>(
    ident: &Ident,
    strip: &Strip,
    column: usize,
    order: usize,
    one: &Selection,
) -> J {
    let mut extra = J::Members::default();
    let mut scratch = Vec::with_capacity(20);
    super::text::number(&mut scratch, ident.fixture());
    J::put(&mut extra, "FI", J::text(shown(&scratch)));
    if !one.handicap.is_empty() {
        J::put(&mut extra, "HD", J::text(&one.handicap));
    }
    let mut out = J::Members::default();
    scratch.clear();
    super::text::number(&mut scratch, one.number.into());
    J::put(&mut out, "id", J::text(shown(&scratch)));
    put_text::<J>(&mut out, "name", &one.name);
    if strip.column.is_some() {
        J::put(&mut out, "column", J::integer(column as i64));
    }
    if let Some(decimal) = one.odds.decimal() {
        J::put(&mut out, "odds", J::decimal(decimal));
    }
    scratch.clear();
    one.odds.write(&mut scratch);
    put_text::<J>(&mut out, "odds_text", shown(&scratch));
    put_text::<J>(&mut out, "handicap", &one.handicap);
    J::put(&mut out, "suspended", J::flag(one.suspended));
    J::put(&mut out, "order", J::integer(order as i64));
    J::put(&mut out, "extra", J::object(extra));
    J::object(out)
}

fn shown(digits: &[u8]) -> &str {
    str::from_utf8(digits).unwrap_or_default()
}

/// The digest of a whole document from those of its sections: the head's, and what each market adds.
pub(crate) fn combined(head: u64, markets: u64) -> Digest {
    Digest(head.wrapping_add(markets))
}

impl Match {
    /// The digest of the document now.
    pub(crate) fn digest(&self) -> Digest {
        combined(self.head_digest, self.markets_sum)
    }

    /// Takes the head's digest anew.
    pub(crate) fn redigest_head(&mut self) {
        self.head_digest = head::<Digest>(self, Numbered::No).0;
    }

    /// Takes the digest of one selection anew, and of its market.
    pub(crate) fn redigest_selection(&mut self, at: super::state::SelectionAt) {
        let ident = &self.ident;
        let Some(group) = self.groups.get_mut(at.market.group) else { return };
        let Some(market) = group.markets.get_mut(at.market.market) else { return };
        let Some(strip) = market.strips.get_mut(at.strip) else { return };
        let Some(one) = strip.selections.get(at.selection) else { return };
        let share = selection_share(ident, strip, at.strip, at.selection, one);
        if let Some(one) = strip.selections.get_mut(at.selection) {
            market.selections_sum = market.selections_sum.wrapping_sub(one.share).wrapping_add(share);
            one.share = share;
        }
        self.redigest_market(at.market);
    }

    /// Takes the digests of a market and all its selections anew.
    pub(crate) fn redigest_strips(&mut self, at: super::state::MarketAt) {
        let ident = &self.ident;
        let Some(group) = self.groups.get_mut(at.group) else { return };
        let Some(market) = group.markets.get_mut(at.market) else { return };
        let mut sum: u64 = 0;
        for (column, strip) in market.strips.iter_mut().enumerate() {
            let shares: Vec<u64> = strip
                .selections
                .iter()
                .enumerate()
                .map(|(order, one)| selection_share(ident, strip, column, order, one))
                .collect();
            for (one, share) in strip.selections.iter_mut().zip(shares) {
                one.share = share;
                sum = sum.wrapping_add(share);
            }
        }
        market.selections_sum = sum;
        self.redigest_market(at);
    }

    /// Takes a market's digest anew; its selections' are right.
    pub(crate) fn redigest_market(&mut self, at: super::state::MarketAt) {
        let Some((group, market)) = self.market(at) else { return };
        let mut members = market_members::<Digest>(&self.ident, group, market);
        let selections = super::json::DigestObject(market.selections_sum);
        Digest::put(&mut members, "selections", Digest::object(selections));
        let key = Node::Market(market.number).topic(&self.ident);
        let share = Digest::member(&key, Digest::object(members));
        let before = market.share;
        self.markets_sum = self.markets_sum.wrapping_sub(before).wrapping_add(share);
        if let Some(market) = self.market_mut(at) {
            market.share = share;
        }
    }

    /// Takes every digest anew.
    pub(crate) fn redigest(&mut self) {
        self.markets_sum = 0;
        let places: Vec<_> = (self.groups.iter().enumerate())
            .flat_map(|(group, one)| {
                (0..one.markets.len()).map(move |market| super::state::MarketAt { group, market })
            })
            .collect();
        for at in places {
            if let Some(market) = self.market_mut(at) {
                market.share = 0;
            }
            self.redigest_strips(at);
        }
        self.redigest_head();
    }
}

fn selection_share(ident: &Ident, strip: &Strip, column: usize, order: usize, one: &Selection) -> u64 {
    let key = Node::Selection(one.number).topic(ident);
    Digest::member(&key, selection::<Digest>(ident, strip, column, order, one))
}
