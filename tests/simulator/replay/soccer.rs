//! Soccer: a list of events (one object each, with `type.name`, `period`, `minute`, `second`, `team`), or incidences
//! grouped by kind (`incidences.goals.ID.t.{half,m,s}`).

use super::{Recording, name};
use crate::model::script::{Act, Acts};
use crate::model::state::Sport;
use serde_json::Value;
use touchline_common::model::Side;

/// Half time as it is played, in milliseconds.
const BREAK: i64 = 60_000;
const HALF: i64 = 45 * 60;

/// An act with its half and the seconds of the displayed clock.
type Placed = (i64, i64, Act);

/// A match from a list of events.
pub(super) fn events(document: &Value) -> Option<Recording> {
    let all = document.as_array()?;
    let team = |event: &Value| event.pointer("/team/name").and_then(Value::as_str).map(name);
    let kind = |event: &Value| event.pointer("/type/name").and_then(Value::as_str).map(str::to_owned);
    // The line-ups stand first, the home side's before the other.
    let mut sides = all.iter().filter(|event| kind(event).as_deref() == Some("Starting XI")).filter_map(team);
    let (home, away) = (sides.next()?, sides.next()?);
    let mut acts: Vec<Placed> = Vec::new();
    for event in all {
        let number = |key: &str| event.get(key).and_then(Value::as_i64);
        let (Some(half), Some(minute), Some(second)) = (number("period"), number("minute"), number("second"))
        else {
            continue;
        };
        let side = if team(event).as_deref() == Some(home.as_str()) { Side::Home } else { Side::Away };
        let mut add = |act| acts.push((half, minute * 60 + second, act));
        let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or("");
        match kind(event).as_deref() {
            Some("Shot") => {
                if text("/shot/type/name") == "Penalty" {
                    add(Act::Count(side, "penalties"));
                }
                if text("/shot/outcome/name") == "Goal" {
                    add(Act::Goal(side));
                } else {
                    add(Act::Comment(format!("Shot: {}", name(text("/player/name")))));
                }
            }
            Some("Own Goal For") => add(Act::Goal(side)),
            Some("Pass") => match text("/pass/type/name") {
                "Corner" => add(Act::Count(side, "corners")),
                "Throw-in" => add(Act::Comment(format!("Throw-in: {}", name(text("/player/name"))))),
                _ => {}
            },
            Some("Substitution") => add(Act::Count(side, "substitutions")),
            Some("Half End") => add(Act::End(u8::try_from(half).unwrap_or(1), "", None)),
            Some(_) | None => {}
        }
        let card = [text("/bad_behaviour/card/name"), text("/foul_committed/card/name")];
        match card.into_iter().find(|card| !card.is_empty()) {
            Some("Yellow Card") => add(Act::Count(side, "yellow_cards")),
            Some("Red Card" | "Second Yellow") => add(Act::Count(side, "red_cards")),
            Some(_) | None => {}
        }
    }
    Some(Recording { sport: Sport::Soccer, home, away, acts: scheduled(acts)? })
}

/// A match from incidences by kind.
pub(super) fn incidences(document: &Value) -> Option<Recording> {
    let of_match = |key: &str| document.get("match")?.get(key);
    let (home, away) = (of_match("homeTeamName")?.as_str()?, of_match("awayTeamName")?.as_str()?);
    let home_id = of_match("homeTeamId")?.as_i64()?;
    let mut acts: Vec<Placed> = Vec::new();
    for (kind, all) in document.get("incidences")?.as_object()? {
        for one in all.as_object().into_iter().flatten().map(|(_, one)| one) {
            let time = |key: &str| one.get("t")?.get(key)?.as_i64();
            let (Some(half), Some(minute), Some(second)) = (time("half"), time("m"), time("s")) else {
                continue;
            };
            let is_home = one.get("team").and_then(Value::as_i64) == Some(home_id);
            let side = if is_home { Side::Home } else { Side::Away };
            let sort = one.get("type").and_then(Value::as_i64).unwrap_or(0);
            let mut add = |act| acts.push((half, minute * 60 + second, act));
            match kind.as_str() {
                // Sort 10 is an own goal: it counts for the other side. Sort 13 is from a penalty.
                "goals" => {
                    if sort == 13 {
                        add(Act::Count(side, "penalties"));
                    }
                    add(Act::Goal(if sort == 10 { side.other() } else { side }));
                }
                "cornerKicks" => add(Act::Count(side, "corners")),
                "yellowCards" => add(Act::Count(side, "yellow_cards")),
                "redCards" => add(Act::Count(side, "red_cards")),
                "substitutions" => add(Act::Count(side, "substitutions")),
                "throwIn" => add(Act::Comment(format!("Throw-in {}", side.as_str()))),
                "offsides" => add(Act::Comment(format!("Offside {}", side.as_str()))),
                "status" if sort == 17 => add(Act::End(1, "", None)),
                "status" if sort == 2 => add(Act::End(2, "", None)),
                _ => {}
            }
        }
    }
    let (home, away) = (name(home), name(away));
    Some(Recording { sport: Sport::Soccer, home, away, acts: scheduled(acts)? })
}

/// Puts the halves one after the other, with their beginnings and ends and the clock each minute. Only the two halves
/// are played.
fn scheduled(mut placed: Vec<Placed>) -> Option<Acts> {
    placed.retain(|(half, ..)| (1..=2).contains(half));
    let end = |half: i64| {
        let times = placed.iter().filter(|one| one.0 == half).map(|(_, at, _)| *at);
        times.max().map(|latest| latest.max(half * HALF))
    };
    let ends = [end(1)?, end(2)?];
    let mut acts: Vec<(i64, Act)> = Vec::new();
    let mut start = 0;
    for (half, (end, first)) in (1..=2).zip(ends.into_iter().zip([0, HALF])) {
        let [begins, over] = if half == 1 { ["1st Half", "HT"] } else { ["2nd Half", "FT"] };
        let at = |clock: i64| start + (clock - first) * 1_000;
        let shown = |clock: i64| Some(u32::try_from(clock).unwrap_or(0));
        let number = if half == 1 { 1 } else { 2 };
        acts.push((start, Act::Begin(number, begins, shown(first))));
        for minute in first / 60 + 1..end / 60 {
            acts.push((at(minute * 60), Act::Clock(u32::try_from(minute * 60).unwrap_or(0))));
        }
        let inside = placed.iter().filter(|(of, _, act)| *of == half && !matches!(act, Act::End(..)));
        acts.extend(inside.map(|(_, clock, act)| (at((*clock).max(first)), act.clone())));
        let last = if half == 1 { Act::End(1, over, shown(HALF)) } else { Act::Finish };
        acts.push((at(end) + 1, last));
        start = at(end) + BREAK;
    }
    // Stable, so that what stands first at one moment happens first.
    acts.sort_by_key(|(at, _)| *at);
    Some(acts.into())
}
