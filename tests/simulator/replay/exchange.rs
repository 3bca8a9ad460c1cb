//! An exchange's streams, one message a line: of a market (`op` `mcm`: images and deltas of each runner's ladder), or
//! of a cricket match (`op` `ccm`: totals of the innings, with a list of incidents that repeats in every message).

use super::{Recording, name};
use crate::model::script::{Act, Acts};
use crate::model::state::{Odds, Sport};
use serde_json::Value;
use std::collections::BTreeMap;
use touchline_common::model::Side;

/// Of the time before play only this much is kept, in milliseconds.
const BEFORE: i64 = 60_000;

/// A match from a stream.
pub(super) fn read(lines: impl Iterator<Item = Value>) -> Option<Recording> {
    let mut market = Market::default();
    let mut cricket = Cricket::default();
    for line in lines {
        let at = line.get("pt").and_then(Value::as_i64).unwrap_or(0);
        for change in line.get("mc").and_then(Value::as_array).into_iter().flatten() {
            market.change(at, change);
        }
        for change in line.get("cc").and_then(Value::as_array).into_iter().flatten() {
            cricket.change(at, change);
        }
    }
    if market.runners.is_empty() { cricket.recording() } else { market.recording() }
}

/// Prices and sizes to back of one runner; the price in hundredths.
#[derive(Default)]
struct Ladder {
    id: i64,
    back: BTreeMap<i64, f64>,
    best: Option<i64>,
}

#[derive(Default)]
struct Market {
    runners: Vec<Ladder>,
    started: Option<i64>,
    acts: Vec<(i64, Act)>,
}

impl Market {
    fn change(&mut self, at: i64, change: &Value) {
        if let Some(definition) = change.get("marketDefinition") {
            self.definition(at, definition);
        }
        let image = change.get("img").and_then(Value::as_bool) == Some(true);
        if image {
            self.runners.iter_mut().for_each(|runner| runner.back.clear());
        }
        for delta in change.get("rc").and_then(Value::as_array).into_iter().flatten() {
            let id = delta.get("id").and_then(Value::as_i64);
            let Some(place) = self.runners.iter().position(|runner| Some(runner.id) == id) else { continue };
            let Some(runner) = self.runners.get_mut(place) else { continue };
            for level in delta.get("atb").and_then(Value::as_array).into_iter().flatten() {
                let (Some(price), Some(size)) =
                    (level.get(0).and_then(Value::as_f64), level.get(1).and_then(Value::as_f64))
                else {
                    continue;
                };
                let price = (price * 100.0).round() as i64;
                if size > 0.0 {
                    runner.back.insert(price, size);
                } else {
                    runner.back.remove(&price);
                }
            }
            let best = runner.back.keys().next_back().copied();
            if best != runner.best {
                runner.best = best;
                self.acts.push((at, Act::Price(place, best.map_or(Odds::Empty, fraction))));
            }
        }
    }

    fn definition(&mut self, at: i64, definition: &Value) {
        for runner in definition.get("runners").and_then(Value::as_array).into_iter().flatten() {
            let Some(id) = runner.get("id").and_then(Value::as_i64) else { continue };
            if self.runners.iter().all(|known| known.id != id) {
                self.runners.push(Ladder { id, ..Ladder::default() });
            }
        }
        if self.started.is_none() && definition.get("inPlay").and_then(Value::as_bool) == Some(true) {
            self.started = Some(at);
            self.acts.push((at, Act::Begin(1, "1st Innings", None)));
        }
        match definition.get("status").and_then(Value::as_str) {
            Some("SUSPENDED") => self.acts.push((at, Act::Suspended(true))),
            Some("OPEN") => self.acts.push((at, Act::Suspended(false))),
            Some("CLOSED") => self.acts.push((at, Act::Finish)),
            Some(_) | None => {}
        }
    }

    fn recording(self) -> Option<Recording> {
        let named = |place: usize| self.runners.get(place).map(|runner| format!("Runner {}", runner.id));
        let (home, away) = (named(0)?, named(1)?);
        let acts = from(&self.acts, self.started)?;
        Some(Recording { sport: Sport::Cricket, home, away, acts })
    }
}

/// A price in hundredths, stake included, as `n/d`.
fn fraction(price: i64) -> Odds {
    let (mut a, mut b) = (u32::try_from(price - 100).unwrap_or(0), 100);
    let (n, d) = (a, b);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let common = a.max(1);
    Odds::Fraction(n / common, d / common)
}

#[derive(Default)]
struct Cricket {
    home: String,
    away: String,
    started: Option<i64>,
    innings: u8,
    totals: BTreeMap<i64, (u32, u32)>,
    acts: Vec<(i64, Act)>,
    over: bool,
}

impl Cricket {
    fn change(&mut self, at: i64, change: &Value) {
        let text = |path: &str| change.pointer(path).and_then(Value::as_str);
        if let (Some(home), Some(away)) = (text("/fixtureInfo/homeTeam"), text("/fixtureInfo/awayTeam")) {
            (self.home, self.away) = (name(home), name(away));
        }
        if let Some(stats) = change.get("matchStats") {
            self.stats(at, stats);
        }
        if text("/fixtureInfo/fixtureStatus") == Some("FINISHED") && !self.over && self.started.is_some() {
            self.over = true;
            self.acts.push((at, Act::Finish));
        }
    }

    /// Totals of all innings; only what differs from before is an act.
    fn stats(&mut self, at: i64, stats: &Value) {
        let mut before: [usize; 2] = [0, 0];
        for one in stats.get("inningsStats").and_then(Value::as_array).into_iter().flatten() {
            let number = |key: &str| one.get(key).and_then(Value::as_i64);
            let (Some(which), Some(team)) =
                (number("inningsNum"), one.get("battingTeam").and_then(Value::as_str))
            else {
                continue;
            };
            let side = if name(team) == self.home { Side::Home } else { Side::Away };
            let [home, away] = &mut before;
            let counted = if side == Side::Home { home } else { away };
            let place = *counted;
            *counted += 1;
            let small = |key: &str| number(key).and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
            let now = (small("inningsRuns"), small("inningsWickets"));
            let batted = now != (0, 0) || self.totals.contains_key(&which);
            if batted && self.totals.insert(which, now) != Some(now) {
                self.begin(at, u8::try_from(which).unwrap_or(1));
                self.acts.push((at, Act::Innings { side, place, runs: now.0, wickets: now.1 }));
            }
        }
    }

    /// An innings begins with the first thing that happens in it.
    fn begin(&mut self, at: i64, which: u8) {
        if which <= self.innings {
            return;
        }
        self.innings = which;
        self.started.get_or_insert(at);
        let period = ["1st Innings", "2nd Innings", "3rd Innings", "4th Innings"];
        let period = period.get(usize::from(which) - 1).copied().unwrap_or("4th Innings");
        self.acts.push((at, Act::Begin(which, period, None)));
    }

    fn recording(self) -> Option<Recording> {
        let acts = from(&self.acts, self.started)?;
        (!self.home.is_empty()).then_some(Recording {
            sport: Sport::Cricket,
            home: self.home,
            away: self.away,
            acts,
        })
    }
}

/// Acts by their time from the beginning: what came long before play happens at once, and only its last state.
fn from(acts: &[(i64, Act)], started: Option<i64>) -> Option<Acts> {
    let begin = started.unwrap_or_else(|| acts.first().map_or(0, |(at, _)| *at)) - BEFORE;
    let early = acts.partition_point(|(at, _)| *at < begin);
    let (before, after) = acts.split_at(early);
    let mut all = Acts::new();
    for (place, (_, act)) in before.iter().enumerate() {
        let same = |other: &Act| match (act, other) {
            (Act::Price(a, _), Act::Price(b, _)) => a == b,
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        };
        let replaced = before.iter().skip(place + 1).any(|(_, other)| same(other));
        if !replaced {
            all.push_back((0, act.clone()));
        }
    }
    all.extend(after.iter().map(|(at, act)| (at - begin, act.clone())));
    (!all.is_empty()).then_some(all)
}
