//! Basketball: four quarters, overtime while it is level, a clock that runs down, a scoreboard of the quarters.

use super::Step;
use super::{Clock, Match, Pen, Random, Side, Stage, finish, side, stage, tally};
use crate::model::encode::{self, Attribute};
use crate::model::ledger::{Counter, What};
use crate::model::node::Node;
use crate::model::score::{Pair, Score};
use crate::model::state::Board;
use crate::model::text::Text;

const QUARTER: u32 = 600;
const OVERTIME: u32 = 300;

pub(super) fn play(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let length = if m.head.stage == Stage::Playing(5) { OVERTIME } else { QUARTER };
    let at = Some(pen.now.seconds());
    let stopped = Some(Clock { seconds: 0, running: false, down: true, at });
    match m.head.stage {
        Stage::NotStarted => quarter(m, pen, 1),
        Stage::After(quarter_played) => quarter(m, pen, quarter_played + 1),
        Stage::Playing(5) if m.play.seconds() >= length && level(m) => score(m, random, pen),
        Stage::Playing(4) if m.play.seconds() >= length && level(m) => overtime(m, pen),
        Stage::Playing(4 | 5) if m.play.seconds() >= length => {
            m.head.clock = stopped;
            finish(m, pen, &[], Vec::new());
        }
        Stage::Playing(number) if m.play.seconds() >= length => {
            let period = match number {
                1 => "End Q1",
                2 => "HT",
                _ => "End Q3",
            };
            stage(m, pen, Stage::After(number), period, stopped);
        }
        Stage::Playing(_) => match random.below(10) {
            0..6 => score(m, random, pen),
            6 => {
                if tally(m, pen, side(random), "Fouls", Step::Up) {
                    pen.number(m);
                }
            }
            7 => correction(m, pen),
            _ => tick(m, pen, length),
        },
        Stage::Finished => {}
    }
}

fn level(m: &Match) -> bool {
    matches!(&m.head.score, Score::Plain(score) if score.home == score.away)
}

/// A quarter begins: the stage in one message, the cells of its column in the next two.
fn quarter(m: &mut Match, pen: &mut Pen<'_>, number: u8) {
    m.play.played = 0;
    let period = match number {
        1 => "Q1",
        2 => "Q2",
        3 => "Q3",
        _ => "Q4",
    };
    let clock = Clock { seconds: QUARTER, running: true, down: true, at: Some(pen.now.seconds()) };
    stage(m, pen, Stage::Playing(number), period, Some(clock));
    let place = usize::from(number);
    for side in Side::BOTH {
        if let Some(board) = m.head.board.get_mut(place) {
            *board.cells.get_mut(side) = "0".into();
        }
        pen.cell(m, place, side);
    }
}

/// Overtime has a column of its own, put before the total.
fn overtime(m: &mut Match, pen: &mut Pen<'_>) {
    m.play.played = 0;
    let clock = Clock { seconds: OVERTIME, running: true, down: true, at: Some(pen.now.seconds()) };
    stage(m, pen, Stage::Playing(5), "OT", Some(clock));
    let place = m.head.board.len().saturating_sub(1);
    let number = m.fresh_number();
    let board = Board { number, name: "OT".into(), cells: Pair { home: Text::EMPTY, away: Text::EMPTY } };
    m.head.board.insert(place, board.clone());
    pen.insert(m, Node::Scores, Node::Column(number), |m, out| encode::column(m, &board, place, out));
    remember(m);
    for side in Side::BOTH {
        if let Some(board) = m.head.board.get_mut(place) {
            *board.cells.get_mut(side) = "0".into();
        }
        let Some(board) = m.head.board.get(place) else { return };
        pen.insert(m, Node::Column(number), Node::Line(number, side), |m, out| {
            encode::line(m, board, side, out);
        });
        remember(m);
    }
}

fn remember(m: &mut Match) {
    m.redigest_head();
    crate::model::pen::remember(m);
}

/// One, two or three points: the score, the quarter's cell, the total's.
fn score(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let side = side(random);
    let Score::Plain(score) = &mut m.head.score else { return };
    let before = *score.get(side);
    let points = random.between(1, 3);
    *score.get_mut(side) = before + points;
    m.play.undo = Some((side, before));
    pen.event(m, &[Attribute::Score]);
    pen.happened(m, What::Count { counter: Counter::Score, side, after: before + points });
    cells(m, pen, side, |cell| cell + points);
    tally(
        m,
        pen,
        side,
        ["Free throws", "2 points", "3 points"].get(points as usize - 1).copied().unwrap_or(""),
        Step::Up,
    );
    pen.possession(m, side.other());
}

/// The newest basket did not count.
fn correction(m: &mut Match, pen: &mut Pen<'_>) {
    let Some((side, before)) = m.play.undo.take() else { return };
    let Score::Plain(score) = &mut m.head.score else { return };
    let points = score.get(side).saturating_sub(before);
    *score.get_mut(side) = before;
    pen.event(m, &[Attribute::Score]);
    pen.retracted(m, Counter::Score, side);
    cells(m, pen, side, |cell| cell.saturating_sub(points));
}

fn cells(m: &mut Match, pen: &mut Pen<'_>, side: Side, change: impl Fn(u32) -> u32) {
    let Stage::Playing(number) = m.head.stage else { return };
    for place in [usize::from(number), m.head.board.len().saturating_sub(1)] {
        let Some(board) = m.head.board.get_mut(place) else { return };
        let cell = board.cells.get_mut(side);
        *cell = change(cell.parse().unwrap_or(0)).to_string().into();
        pen.cell(m, place, side);
    }
}

fn tick(m: &mut Match, pen: &mut Pen<'_>, length: u32) {
    let seconds = length.saturating_sub(m.play.seconds());
    m.head.clock = Some(Clock { seconds, running: true, down: true, at: Some(pen.now.seconds()) });
    pen.event(m, &[Attribute::Clock]);
}
