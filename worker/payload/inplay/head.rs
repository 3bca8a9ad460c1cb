//! The head section: what changes with the play, and the names.

use super::forest::Forest;
use super::json_text::Json;
use super::mapping::Role;
use super::reading::Reading;
use touchline_common::model::{Phase, Scoring};

/// Renders the head of a match into `out`, which is empty. The outlines must be fresh.
pub(super) fn render(forest: &Forest, slot: u32, out: &mut Json) {
    let Some(held) = forest.matches.get(slot as usize) else { return };
    let reading = Reading::of(&forest.store, &forest.mapping, held);
    let progress = reading.progress();
    out.fixed(b"{");
    out.member("sport_id", reading.sport_id().as_deref());
    out.member("sport", reading.sport.map(|sport| sport.name));
    out.member("competition", reading.competition().as_deref());
    out.member("name", reading.name().as_deref());
    let [home, away] = reading.sides();
    out.member("home", home.as_deref());
    out.member("away", away.as_deref());
    out.member("status", Some(progress.status.as_str()));
    out.member("period", progress.period.as_deref());
    reading.clock(&forest.zone).write(out);
    write_score(&reading, progress.phase, out);
    out.close(b'}');
}

fn write_score(reading: &Reading<'_>, phase: Option<Phase>, out: &mut Json) {
    let (ss, xp) = (reading.value_of(Role::Score), reading.value_of(Role::Points));
    let (scoring, score) = (reading.scoring, reading.score(phase));
    let periods = reading.periods().map_or(score.sets, |(_, periods)| periods);
    if ss.is_none() && xp.is_none() && periods.is_empty() {
        return;
    }
    out.fixed(b"\"score\":{");
    out.member("text", ss.as_deref());
    out.sides(score.total);
    if !periods.is_empty() && periods.iter().all(|pair| pair.iter().all(Option::is_some)) {
        out.fixed(b"\"periods\":[");
        for pair in periods {
            out.fixed(b"{");
            out.sides(pair);
            out.close_member(b'}');
        }
        out.close_member(b']');
    }
    let points = match scoring {
        Scoring::Goals | Scoring::Points | Scoring::Cricket => None,
        Scoring::Tennis | Scoring::Frames | Scoring::Text => xp,
        Scoring::Sets => ss,
    };
    out.member("points", points.as_deref());
    match reading.value(Role::Serving) {
        Some(b"1,0") => out.member("serving", Some("home")),
        Some(b"0,1") => out.member("serving", Some("away")),
        Some(_) | None => {}
    }
    out.close_member(b'}');
}
