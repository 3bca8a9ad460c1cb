//! Soccer: goals and goals struck off, cards, corners, two halves, a clock that runs up. Some matches name their
//! periods (`CP`); in others the half, the clock and its running say it (`MD`, `TM`, `TT`).

use super::{Clock, Match, Pen, Random, Side, Stage, Step, side, stage, tally};
use crate::model::encode::Attribute;
use crate::model::ledger::{Counter, What};
use crate::model::score::Score;
use crate::model::state::Figure;

const HALF: u32 = 45 * 60;

pub(super) fn play(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let silent =
        m.head.half.is_some() && !matches!(&*m.head.period, "1st Half" | "HT" | "2nd Half" | "Not Started");
    let words = |text: &'static str| if silent { "" } else { text };
    let seconds = m.play.seconds();
    let clock = |seconds, running| Some(Clock { seconds, running, down: false, at: Some(pen.now.seconds()) });
    match m.head.stage {
        Stage::NotStarted => {
            m.play.played = 0;
            m.head.half = Some(0);
            stage(m, pen, Stage::Playing(1), words("1st Half"), clock(0, true));
        }
        Stage::Playing(1) if seconds >= HALF + 60 => {
            stage(m, pen, Stage::After(1), words("HT"), clock(HALF, false));
        }
        Stage::After(_) => {
            m.play.played = i64::from(HALF) * 1_000_000;
            m.head.half = Some(1);
            stage(m, pen, Stage::Playing(2), words("2nd Half"), clock(HALF, true));
        }
        Stage::Playing(_) if seconds >= 2 * HALF + 180 => {
            m.head.clock = clock(2 * HALF, false);
            super::finish(m, pen, &[], Vec::new());
        }
        Stage::Playing(_) => in_play(m, random, pen),
        Stage::Finished => {}
    }
}

fn in_play(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let side = side(random);
    match random.below(1_000) {
        0..25 => goal(m, pen, side),
        25..35 => struck_off(m, pen, side),
        35..180 => counted(m, pen, side, "corners", Step::Up),
        180..190 => counted(m, pen, side, "corners", Step::Back),
        190..240 => counted(m, pen, side, "yellow_cards", Step::Up),
        240..250 => counted(m, pen, side, "yellow_cards", Step::Back),
        250..258 => counted(m, pen, side, "red_cards", Step::Up),
        258..270 => counted(m, pen, side, "penalties", Step::Up),
        270..300 => counted(m, pen, side, "substitutions", Step::Up),
        300..400 => counted(m, pen, side, "on_target", Step::Up),
        400..500 => counted(m, pen, side, "off_target", Step::Up),
        500..550 => possession(m, random, pen),
        550..600 => expected_goals(m, pen, side),
        600..700 => comment(m, random, pen),
        _ => tick(m, random, pen),
    }
}

/// A goal: the score and the comment in one message, the column of goals in the next.
pub(crate) fn goal(m: &mut Match, pen: &mut Pen<'_>, side: Side) {
    let Score::Plain(score) = &mut m.head.score else { return };
    let goals = score.get_mut(side);
    *goals += 1;
    let after = *goals;
    let text = if side == Side::Home { "Goal - home" } else { "Goal - away" };
    scored(m, pen, text, |m, pen| pen.happened(m, What::Count { counter: Counter::Goal, side, after }));
    tally(m, pen, side, "goals", Step::To(after));
}

fn struck_off(m: &mut Match, pen: &mut Pen<'_>, side: Side) {
    let Score::Plain(score) = &mut m.head.score else { return };
    let goals = score.get_mut(side);
    if *goals == 0 {
        return comment_text(m, pen, "VAR: goal stands");
    }
    *goals -= 1;
    let after = *goals;
    scored(m, pen, "VAR: goal struck off", |m, pen| pen.retracted(m, Counter::Goal, side));
    tally(m, pen, side, "goals", Step::To(after));
}

fn scored(
    m: &mut Match,
    pen: &mut Pen<'_>,
    text: &'static str,
    record: impl FnOnce(&mut Match, &mut Pen<'_>),
) {
    let commented = pen.comment(m, text);
    let attributes = [Attribute::Score, Attribute::Comment];
    pen.event(m, attributes.get(..1 + usize::from(commented)).unwrap_or(&attributes));
    record(m, pen);
    if commented {
        pen.commented(m);
    }
}

fn counted(m: &mut Match, pen: &mut Pen<'_>, side: Side, key: &str, step: Step) {
    if tally(m, pen, side, key, step) {
        pen.number(m);
    }
}

/// Both sides' shares of the ball, a message each.
fn possession(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let home = random.between(30, 70);
    let first = tally(m, pen, Side::Home, "possession", Step::To(home));
    let second = tally(m, pen, Side::Away, "possession", Step::To(100 - home));
    if first || second {
        pen.number(m);
    }
}

/// A value that is no whole number: sent as text.
fn expected_goals(m: &mut Match, pen: &mut Pen<'_>, side: Side) {
    let Some(place) = m.head.labels.iter().position(|label| *label == "xG") else { return };
    let text: crate::model::text::Text =
        format!("{}.{:02}", m.play.seconds() / 3_000, m.play.seconds() % 97).into();
    let Some(value) = m.head.figures.get_mut(side).get_mut(place) else { return };
    if *value == Figure::Words(text.clone()) {
        return;
    }
    *value = Figure::Words(text.clone());
    pen.figure(m, side, place);
    pen.happened(m, What::Stat { label: "xG", side: Some(side), text });
    pen.number(m);
}

pub(crate) fn comment(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    comment_text(
        m,
        pen,
        random.word(&["Throw-in", "Goal kick", "Offside", "Free kick", "Injury", "", "Attack"]),
    );
}

fn comment_text(m: &mut Match, pen: &mut Pen<'_>, text: &'static str) {
    if pen.comment(m, text) {
        pen.event(m, &[Attribute::Comment]);
        pen.commented(m);
    }
}

/// The clock is stated anew; now and then it was wrong and goes back.
pub(crate) fn tick(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let floor = if m.head.stage == Stage::Playing(2) { HALF + 1 } else { 0 };
    let back = if random.in_thousand(50) { 30 } else { 0 };
    let seconds = m.play.seconds().saturating_sub(back).max(floor);
    m.head.clock = Some(Clock { seconds, running: true, down: false, at: Some(pen.now.seconds()) });
    pen.event(m, &[Attribute::Clock]);
}
