//! Table tennis: points and sets to eleven, two ahead. The current set stands apart from the finished ones.

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
        Stage::Playing(_) | Stage::After(_) => point(m, pen, side(random)),
        Stage::Finished => {}
    }
}

fn point(m: &mut Match, pen: &mut Pen<'_>, side: Side) {
    let length = m.play.length;
    let Score::Sets { done, current: Some(current) } = &mut m.head.score else { return };
    *current.get_mut(side) += 1;
    let set = done.len() as u32 + 1;
    let (own, other, index) = (*current.get(side), *current.get(side.other()), current.sum());
    let point = What::Point { side, set, game: 0, index };
    if index % 2 == 0 {
        m.head.serving = m.head.serving.map(Side::other);
    }
    if own < 11 || own < other + 2 {
        pen.event(m, &[Attribute::Score, Attribute::Serving]);
        pen.happened(m, point);
        return;
    }
    done.push(*current);
    *current = Pair::default();
    let set_won = What::Set { side, index: set };
    let won = m.head.score.totals(Over::No).get(side).unwrap_or(0);
    let attributes = [Attribute::Score, Attribute::Points, Attribute::Serving];
    if won >= length {
        m.head.serving = None;
        return finish(m, pen, &attributes, vec![point, set_won]);
    }
    pen.event(m, &attributes);
    pen.happened(m, point);
    pen.happened(m, set_won);
}
