//! Cricket: runs and wickets ball by ball, one or two innings a side. The home side bats first. No clock.

use super::{Match, Pen, Random, Side, Stage, finish, stage};
use crate::model::encode::Attribute;
use crate::model::ledger::{Counter, What};
use crate::model::score::{Innings, Score};

const BALLS: u32 = 120;

pub(super) fn play(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    match m.head.stage {
        Stage::NotStarted => {
            if let Score::Cricket(sides) = &mut m.head.score {
                sides.home = vec![Innings::default()];
            }
            m.head.serving = Some(Side::Home);
            begin(m, pen, 1);
        }
        Stage::Playing(number) => match ending(m, number) {
            Ending::Match => finish(m, pen, &[], Vec::new()),
            Ending::Innings => next(m, pen, number),
            Ending::NotYet => ball(m, random, pen),
        },
        Stage::After(_) | Stage::Finished => {}
    }
}

enum Ending {
    NotYet,
    Innings,
    Match,
}

fn ending(m: &Match, number: u8) -> Ending {
    let Score::Cricket(sides) = &m.head.score else { return Ending::NotYet };
    let last = u32::from(number) >= 2 * m.play.length;
    let runs = |all: &Vec<Innings>| all.iter().map(|one| one.runs).sum::<u32>();
    let out = batting(number, sides).is_some_and(|one| one.wickets >= 10) || m.play.balls >= BALLS;
    if last && (out || runs(&sides.away) > runs(&sides.home)) {
        return Ending::Match;
    }
    if out { Ending::Innings } else { Ending::NotYet }
}

fn side_of(number: u8) -> Side {
    if number % 2 == 1 { Side::Home } else { Side::Away }
}

fn batting(number: u8, sides: &super::Pair<Vec<Innings>>) -> Option<&Innings> {
    sides.get(side_of(number)).last()
}

/// The next innings: the other side's, with nothing on the board yet.
fn next(m: &mut Match, pen: &mut Pen<'_>, number: u8) {
    let side = side_of(number + 1);
    if let Score::Cricket(sides) = &mut m.head.score {
        // An innings in which all were out is written without its wickets once the side bats again.
        if let Some(before) = sides.get_mut(side).last_mut() {
            before.bare = before.wickets == 10;
        }
        sides.get_mut(side).push(Innings::default());
    }
    m.play.balls = 0;
    m.head.serving = Some(side);
    begin(m, pen, number + 1);
}

fn begin(m: &mut Match, pen: &mut Pen<'_>, number: u8) {
    let from = m.head.stage;
    if from == Stage::NotStarted {
        // The first innings stands in the score before the match is in play.
        pen.event(m, &[Attribute::Score, Attribute::Serving]);
        let period = "1st Innings";
        return stage(m, pen, Stage::Playing(1), period, None);
    }
    m.head.stage = Stage::Playing(number);
    m.head.period = match number {
        2 => "2nd Innings",
        3 => "3rd Innings",
        _ => "4th Innings",
    }
    .into();
    m.play.undo = None;
    pen.event(m, &[Attribute::Score, Attribute::Serving, Attribute::Period]);
    pen.stage(m, from);
}

fn ball(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let Stage::Playing(number) = m.head.stage else { return };
    let side = side_of(number);
    if random.in_thousand(20) && m.play.undo.is_some() {
        return correction(m, pen);
    }
    m.play.balls += 1;
    let Score::Cricket(sides) = &mut m.head.score else { return };
    let total = sides.get(side).iter().map(|one| one.runs).sum::<u32>();
    let wickets = sides.get(side).iter().map(|one| one.wickets).sum::<u32>();
    let Some(innings) = sides.get_mut(side).last_mut() else { return };
    if random.in_thousand(50) {
        innings.wickets += 1;
        m.play.undo = None;
        let commented = pen.comment(m, "Wicket");
        let attributes = [Attribute::Score, Attribute::Comment];
        pen.event(m, attributes.get(..1 + usize::from(commented)).unwrap_or(&attributes));
        pen.happened(m, What::Count { counter: Counter::Wicket, side, after: wickets + 1 });
        if commented {
            pen.commented(m);
        }
        return;
    }
    let runs = [0, 1, 1, 2, 4, 6, 0, 1].get(random.below(8)).copied().unwrap_or(0);
    if runs == 0 {
        let text = if random.below(2) == 0 { "No run" } else { "Dot ball" };
        if pen.comment(m, text) {
            pen.event(m, &[Attribute::Comment]);
            pen.commented(m);
        }
        return;
    }
    innings.runs += runs;
    m.play.undo = Some((side, innings.runs - runs));
    pen.event(m, &[Attribute::Score]);
    pen.happened(m, What::Count { counter: Counter::Score, side, after: total + runs });
}

/// The newest runs did not count.
fn correction(m: &mut Match, pen: &mut Pen<'_>) {
    let Some((side, before)) = m.play.undo.take() else { return };
    let Score::Cricket(sides) = &mut m.head.score else { return };
    let Some(innings) = sides.get_mut(side).last_mut() else { return };
    innings.runs = before;
    pen.event(m, &[Attribute::Score]);
    pen.retracted(m, Counter::Score, side);
}
