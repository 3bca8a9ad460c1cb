//! Tennis: points, games, sets. There is no tie-break: at 6-6 the next game takes the set. No clock.

use super::{Match, Pen, Random, Side, Stage, finish, side, stage};
use crate::model::encode::Attribute;
use crate::model::ledger::What;
use crate::model::score::{Over, Pair, Score};

pub(super) fn play(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    match m.head.stage {
        Stage::NotStarted => {
            m.head.serving = Some(side(random));
            stage(m, pen, Stage::Playing(1), "Set 1", None);
        }
        Stage::Playing(_) | Stage::After(_) => {
            // The server wins two points of three, so that games end.
            let server = m.head.serving.unwrap_or(Side::Home);
            let winner = if random.in_thousand(650) { server } else { server.other() };
            point(m, pen, winner);
        }
        Stage::Finished => {}
    }
}

/// One point to `side`.
fn point(m: &mut Match, pen: &mut Pen<'_>, side: Side) {
    let Score::Tennis { points, sets } = &mut m.head.score else { return };
    let (own, other) = (*points.get(side), *points.get(side.other()));
    match (own, other) {
        (4, _) | (3, 0..=2) => return game(m, pen, side),
        // From advantage against, back to forty all.
        (_, 4) => *points.get_mut(side.other()) = 3,
        _ => *points.get_mut(side) += 1,
    }
    m.play.balls += 1;
    let (set, game) = (sets.len() as u32, sets.last().map_or(0, Pair::sum) + 1);
    let index = m.play.balls;
    pen.event(m, &[Attribute::Points]);
    pen.happened(m, What::Point { side, set, game, index });
}

/// The game to `side`, and with it perhaps the set and the match: all in one message.
fn game(m: &mut Match, pen: &mut Pen<'_>, side: Side) {
    let length = m.play.length;
    m.play.balls = 0;
    m.head.serving = m.head.serving.map(Side::other);
    let Score::Tennis { points, sets } = &mut m.head.score else { return };
    *points = Pair::default();
    let number = sets.len() as u32;
    let Some(set) = sets.last_mut() else { return };
    *set.get_mut(side) += 1;
    let (own, other, index) = (*set.get(side), *set.get(side.other()), set.sum());
    let won = own == 7 || (own == 6 && other <= 4);
    let game = What::Game { side, set: number, index };
    if !won {
        pen.event(m, &[Attribute::Score, Attribute::Points, Attribute::Serving]);
        pen.happened(m, game);
        return;
    }
    let sets_won = m.head.score.totals(Over::Yes).get(side).unwrap_or(0);
    if sets_won >= length {
        m.head.serving = None;
        let attributes = [Attribute::Score, Attribute::Points, Attribute::Serving];
        return finish(m, pen, &attributes, vec![game]);
    }
    if let Score::Tennis { sets, .. } = &mut m.head.score {
        sets.push(Pair::default());
    }
    m.head.period =
        ["Set 1", "Set 2", "Set 3", "Set 4", "Set 5"].get(number as usize).copied().unwrap_or("").into();
    pen.event(m, &[Attribute::Score, Attribute::Points, Attribute::Serving, Attribute::Period]);
    pen.happened(m, game);
    pen.happened(m, What::Set { side, index: number });
}
