//! What happens on the field, sport by sport. Each call is one happening, or one tick of the clock; how often it is
//! called is the business of `step`.

pub(crate) mod basketball;
pub(crate) mod cricket;
pub(crate) mod soccer;
pub(crate) mod table_tennis;
pub(crate) mod tennis;

use super::document::stat_key;
use super::encode::Attribute;
use super::ledger::{Counter, What};
use super::pen::Pen;
use super::random::Random;
use super::score::{Over, Pair, Score};
use super::state::{Clock, Figure, Match, Sport, Stage};
use touchline_common::model::Side;

/// How far the play itself is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// When something happens next, and when something last did: microseconds since 1970 UTC.
    pub(crate) next: i64,
    pub(crate) last: i64,
    /// Microseconds of play in the match, or in its current period where the clock runs down.
    pub(crate) played: i64,
    /// The newest change of the score, as the side and its score before, while it can be taken back.
    pub(crate) undo: Option<(Side, u32)>,
    /// Balls bowled in this innings.
    pub(crate) balls: u32,
    /// Innings of each side, or sets to win.
    pub(crate) length: u32,
    /// How many markets the match is to have.
    pub(crate) markets: usize,
}

impl Progress {
    pub(crate) fn seconds(&self) -> u32 {
        u32::try_from(self.played / 1_000_000).unwrap_or(u32::MAX)
    }
}

/// Plays on: whatever happens next.
pub(crate) fn play(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    match m.sport {
        Sport::Soccer => soccer::play(m, random, pen),
        Sport::Tennis => tennis::play(m, random, pen),
        Sport::Basketball => basketball::play(m, random, pen),
        Sport::Cricket => cricket::play(m, random, pen),
        Sport::TableTennis => table_tennis::play(m, random, pen),
    }
}

/// Seconds of play between two happenings, on average.
pub(crate) fn pause_between(sport: Sport) -> u32 {
    match sport {
        Sport::Soccer => 20,
        Sport::Tennis => 30,
        Sport::Basketball => 15,
        Sport::Cricket => 35,
        Sport::TableTennis => 12,
    }
}

/// Blows the final whistle, whatever the score. `attributes` changed in the same message, `earlier` happened before it.
pub(crate) fn finish(m: &mut Match, pen: &mut Pen<'_>, attributes: &[Attribute], earlier: Vec<What>) {
    let from = m.head.stage;
    if from == Stage::Finished {
        return;
    }
    let before = m.head.score.totals(Over::No);
    m.head.stage = Stage::Finished;
    m.head.period = final_period(m.sport).into();
    let mut all = attributes.to_vec();
    all.push(Attribute::Period);
    all.push(Attribute::InPlay);
    if let Some(clock) = &mut m.head.clock {
        clock.running = false;
        all.push(Attribute::Clock);
    }
    if let Score::Sets { current, .. } = &mut m.head.score
        && current.take().is_some()
        && !all.contains(&Attribute::Score)
    {
        all.push(Attribute::Score);
    }
    let commented = pen.comment(m, "Final whistle");
    if commented {
        all.push(Attribute::Comment);
    }
    pen.event(m, &all);
    for what in earlier {
        pen.happened(m, what);
    }
    last_set(m, pen, &before);
    pen.stage(m, from);
    if commented {
        pen.commented(m);
    }
}

fn final_period(sport: Sport) -> &'static str {
    match sport {
        Sport::Soccer | Sport::Basketball => "FT",
        Sport::Tennis | Sport::Cricket => "Finished",
        Sport::TableTennis => "Ended",
    }
}

/// In tennis the last set counts as won from the moment the match is over.
fn last_set(m: &mut Match, pen: &mut Pen<'_>, before: &Pair<Option<u32>>) {
    if m.sport != Sport::Tennis {
        return;
    }
    let after = m.head.score.totals(Over::Yes);
    let index = after.home.unwrap_or(0) + after.away.unwrap_or(0);
    for side in Side::BOTH {
        if after.get(side) > before.get(side) {
            pen.happened(m, What::Set { side, index });
        }
    }
}

/// Goes to another stage: its period's name, its clock.
pub(crate) fn stage(m: &mut Match, pen: &mut Pen<'_>, to: Stage, period: &'static str, clock: Option<Clock>) {
    let from = m.head.stage;
    m.head.stage = to;
    m.head.period = period.into();
    let mut attributes = vec![Attribute::Period, Attribute::InPlay];
    if m.head.half.is_some() {
        attributes.push(Attribute::Half);
    }
    if m.head.serving.is_some() {
        attributes.push(Attribute::Serving);
    }
    if clock.is_some() {
        m.head.clock = clock;
        attributes.push(Attribute::Clock);
    }
    m.play.undo = None;
    pen.event(m, &attributes);
    pen.stage(m, from);
}

/// A value of one side goes up, or back down, by one. Returns whether the match has it.
pub(crate) fn tally(m: &mut Match, pen: &mut Pen<'_>, side: Side, key: &str, step: Step) -> bool {
    let Some(place) = m.head.labels.iter().position(|label| stat_key(label) == key) else { return false };
    let Some(Figure::Count(value)) = m.head.figures.get_mut(side).get_mut(place) else { return false };
    match step {
        Step::Up => *value += 1,
        Step::Back if *value == 0 => return false,
        Step::Back => *value -= 1,
        Step::To(new) if new == *value => return false,
        Step::To(new) => *value = new,
    }
    let after = *value;
    pen.figure(m, side, place);
    match (counter(key), step) {
        (Some(counter), Step::Up) => pen.happened(m, What::Count { counter, side, after }),
        (Some(counter), Step::Back) => pen.retracted(m, counter, side),
        (Some(_), Step::To(_)) | (None, _) => {
            let label = m.head.labels.get(place).copied().unwrap_or_default();
            pen.happened(m, What::Stat { label, side: Some(side), text: after.to_string().into() });
        }
    }
    true
}

/// How a value changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Up,
    Back,
    /// Only for values that are no registers.
    To(u32),
}

/// The values under these keys are registers.
fn counter(key: &str) -> Option<Counter> {
    match key {
        "yellow_cards" => Some(Counter::YellowCard),
        "red_cards" => Some(Counter::RedCard),
        "corners" => Some(Counter::Corner),
        "penalties" => Some(Counter::Penalty),
        "substitutions" => Some(Counter::Substitution),
        _ => None,
    }
}

pub(crate) fn side(random: &mut Random) -> Side {
    if random.below(2) == 0 { Side::Home } else { Side::Away }
}
