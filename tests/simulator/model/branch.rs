//! A match as a branch of topics, one value each, as scoreboards publish it; and the document that it must become, by the
//! page of rules, from what the match is.
//!
//! Only soccer is published so, without markets. The values are made anew from the match after each step; what differs from
//! what was last sent is a message. So nothing has to be sent twice, and a match changes as it always does. `sent` remembers
//! the states on the way.

use super::document::stat_key;
use super::pen::Pen;
use super::play::{self, Step, soccer};
use super::random::Random;
use super::score::Score;
use super::sent::{self, Values};
use super::state::{Figure, Match, Stage};
use serde_json::{Map, Value, json};
use touchline_common::model::Side;

/// Statistics that are published as lists of incidents: the key of the document, the topic's name on either side.
pub(super) const LISTS: [(&str, &str); 7] = [
    ("corners", "corners"),
    ("penalties", "penalties"),
    ("substitutions", "substitutions"),
    ("red_cards", "cards/red"),
    ("yellow_cards", "cards/yellow"),
    ("on_target", "shots/onTarget"),
    ("off_target", "shots/offTarget"),
];
pub(super) const COMMENTARY: &str = "i18n/en-gb/commentary";
/// The number of the newest change, under the name that it has elsewhere.
pub(super) const NUMBER: &str = "ZC";
const FD: char = '\u{2}';
pub(super) const RD: char = '\u{1}';

/// Where a match's branch begins: `sportsbook/football/<id>`.
pub(crate) fn top(m: &Match) -> String {
    format!("sportsbook/football/{}", m.ident.id)
}

/// The match id of a subscription to a whole branch.
pub(crate) fn id_of(selector: &str) -> Option<&str> {
    selector.strip_prefix("sportsbook/football/")?.strip_suffix("//")
}

/// Leaves of a match only what a branch can say.
pub(crate) fn suit(m: &mut Match) {
    m.groups.clear();
    m.markets_sum = 0;
    let says = |label: &&'static str| {
        let key = stat_key(label);
        key == "possession" || LISTS.iter().any(|(list, _)| *list == key)
    };
    for side in Side::BOTH {
        let labels = m.head.labels.iter();
        let figures = std::mem::take(m.head.figures.get_mut(side));
        let kept = figures.into_iter().zip(labels).filter(|(_, label)| says(label));
        *m.head.figures.get_mut(side) = kept.map(|(figure, _)| figure).collect();
    }
    m.head.labels.retain(|label| says(label));
    // One value has both sides' shares of the ball.
    if let Some(place) = place(m, "possession")
        && let Some(Figure::Count(home)) = figure(m, Side::Home, "possession").cloned()
        && let Some(held) = m.head.figures.get_mut(Side::Away).get_mut(place)
    {
        *held = Figure::Count(100 - home.min(100));
    }
    timeless(m);
    sent::begin(m);
}

/// A step is complete: what it changed is sent.
pub(crate) fn settle(m: &mut Match) {
    timeless(m);
    sent::send(m);
}

/// The branch states the clock's seconds only.
fn timeless(m: &mut Match) {
    if let Some(clock) = &mut m.head.clock {
        clock.at = None;
    }
}

/// One step of a match that is published so: the play goes on, or something small changes.
pub(crate) fn step(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>, speed: f64) {
    let now = pen.now.micros;
    if now >= m.play.next && !m.is_over() {
        let passed = (now - m.play.last) as f64 * speed;
        if matches!(m.head.stage, Stage::Playing(_)) {
            m.play.played += passed as i64;
        }
        m.play.last = now;
        let pause = random.between(1, 2 * play::pause_between(m.sport));
        m.play.next = now + (f64::from(pause) * 1e6 / speed.max(0.001)) as i64;
        play::play(m, random, pen);
    } else if matches!(m.head.stage, Stage::Playing(_)) {
        small(m, random, pen);
    }
    settle(m);
}

fn small(m: &mut Match, random: &mut Random, pen: &mut Pen<'_>) {
    let side = play::side(random);
    match random.below(10) {
        0..3 => soccer::tick(m, random, pen),
        3..6 => soccer::comment(m, random, pen),
        6..8 => drop(play::tally(m, pen, side, "on_target", Step::Up)),
        _ => drop(play::tally(m, pen, side, "off_target", Step::Up)),
    }
}

/// The topics' names below the top with their values, in the order in which they are sent: the clock before what happens
/// at its time.
pub(super) fn values(m: &Match) -> Values {
    let head = &m.head;
    let mut all = vec![("stats/time".to_owned(), head.clock.map_or(0, |clock| clock.seconds).to_string())];
    let mut add = |key: &str, value: String| all.push((key.to_owned(), value));
    add("i18n/en-gb/name", m.name());
    add("i18n/en-gb/home", head.home.to_string());
    add("i18n/en-gb/away", head.away.to_string());
    add("i18n/en-gb/competition", head.competition.to_string());
    for side in Side::BOTH {
        add(&format!("stats/{}/goals", side.as_str()), incidents(goals(m, side)));
    }
    for (key, name) in LISTS {
        for side in Side::BOTH {
            if let Some(Figure::Count(count)) = figure(m, side, key) {
                add(&format!("stats/{}/{name}", side.as_str()), incidents(*count));
            }
        }
    }
    if let Some(Figure::Count(home)) = figure(m, Side::Home, "possession") {
        add("stats/homeTeamPossesion", home.to_string());
    }
    add("stats/period", period(m.head.stage).to_owned());
    add(COMMENTARY, commentary(m));
    add("stats/serving", "unmapped".to_owned());
    add(NUMBER, m.change.to_string());
    all
}

/// The document that the values make.
pub(crate) fn document(m: &Match) -> Value {
    let head = &m.head;
    let score = |side| goals(m, side);
    let mut stats = Map::new();
    for key in LISTS.iter().map(|(key, _)| *key).chain(["possession"]) {
        if let (Some(Figure::Count(home)), Some(Figure::Count(away))) =
            (figure(m, Side::Home, key), figure(m, Side::Away, key))
        {
            stats.insert(key.to_owned(), json!({"home": home, "away": away}));
        }
    }
    let status = match head.stage {
        Stage::NotStarted => "not_started",
        Stage::Playing(_) => "in_play",
        Stage::After(_) => "break",
        Stage::Finished => "finished",
    };
    let mut document = json!({
        "sport_id": "1", "sport": "soccer", "competition": &*head.competition, "name": m.name(),
        "home": &*head.home, "away": &*head.away, "status": status, "period": period(head.stage),
        "clock": {"seconds": head.clock.map_or(0, |clock| clock.seconds),
            "running": matches!(head.stage, Stage::Playing(_)), "down": false},
        "score": {"text": format!("{}-{}", score(Side::Home), score(Side::Away)),
            "home": score(Side::Home), "away": score(Side::Away)},
        "market_order": [], "markets": {},
        "extra": {COMMENTARY: commentary(m), "stats/serving": "unmapped", NUMBER: m.change.to_string()},
    });
    if let Some(members) = document.as_object_mut()
        && !stats.is_empty()
    {
        members.insert("stats".to_owned(), Value::Object(stats));
    }
    document
}

fn place(m: &Match, key: &str) -> Option<usize> {
    m.head.labels.iter().position(|label| stat_key(label) == key)
}

fn figure<'m>(m: &'m Match, side: Side, key: &str) -> Option<&'m Figure> {
    m.head.figures.get(side).get(place(m, key)?)
}

fn goals(m: &Match, side: Side) -> u32 {
    match &m.head.score {
        Score::Plain(score) => *score.get(side),
        Score::Tennis { .. } | Score::Sets { .. } | Score::Cricket(_) => 0,
    }
}

fn period(stage: Stage) -> &'static str {
    match stage {
        Stage::NotStarted => "NS",
        Stage::Playing(1) => "H1",
        Stage::After(_) => "HT",
        Stage::Playing(_) => "H2",
        Stage::Finished => "FT",
    }
}

/// So many records, each with a second of play.
fn incidents(count: u32) -> String {
    (0..count).map(|n| format!("i{FD}{}{FD}Player {n}{RD}", 60 * n)).collect()
}

/// A record whose fifth field is the comment.
fn commentary(m: &Match) -> String {
    format!("1{FD}{FD}{FD}{FD}{}{FD}", &*m.head.comment)
}
