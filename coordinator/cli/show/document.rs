//! A match's document as text.

use super::super::output::{Failure, Printer, clean};
use super::super::table::{left, right, short, table};
use super::{pair, plain, text};
use serde_json::Value;

pub(crate) fn document(document: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let name = document.get("name").and_then(Value::as_str).unwrap_or("(no name)");
    out.line(format!("{}  {}", clean(name), clean(&score(document))).trim_end())?;
    out.line(clean(&format!("{}/{}", text(document, "feed"), text(document, "match"))))?;
    out.line(clean(&facts(document)))?;
    let stale = document.get("stale").and_then(Value::as_bool).unwrap_or(false);
    out.line(format!(
        "version {} of epoch {}, from the {}, updated {}{}",
        plain(document, "version"),
        plain(document, "epoch"),
        clean(text(document, "source")),
        clean(text(document, "updated_at")),
        if stale { ", STALE" } else { "" }
    ))?;
    for line in stats(document) {
        out.line(clean(&line))?;
    }
    markets(document, out)
}

fn score(document: &Value) -> String {
    let Some(score) = document.get("score") else { return String::new() };
    let mut line = score.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
    let periods: Vec<String> =
        score.get("periods").and_then(Value::as_array).into_iter().flatten().map(pair).collect();
    if !periods.is_empty() {
        line.push_str(&format!(" ({})", periods.join(", ")));
    }
    if let Some(points) = score.get("points").and_then(Value::as_str) {
        line.push_str(&format!(" points {points}"));
    }
    if let Some(serving) = score.get("serving").and_then(Value::as_str) {
        line.push_str(&format!(", {serving} serving"));
    }
    line
}

fn facts(document: &Value) -> String {
    let mut facts = Vec::new();
    for key in ["sport", "competition", "status", "period"] {
        facts.extend(document.get(key).and_then(Value::as_str).map(ToOwned::to_owned));
    }
    if let Some(seconds) = document.pointer("/clock/seconds").and_then(Value::as_u64) {
        let running = document.pointer("/clock/running").and_then(Value::as_bool).unwrap_or(false);
        let state = if running { "running" } else { "stopped" };
        facts.push(format!("clock {}:{:02} {state}", seconds / 60, seconds % 60));
    }
    facts.join(", ")
}

fn stats(document: &Value) -> Vec<String> {
    let stats = document.get("stats").and_then(Value::as_object).into_iter().flatten();
    stats.map(|(name, sides)| format!("  {name} {}", pair(sides))).collect()
}

fn markets(document: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let Some(markets) = document.get("markets").and_then(Value::as_object) else { return Ok(()) };
    let order = document.get("market_order").and_then(Value::as_array).into_iter().flatten();
    for market in order.filter_map(Value::as_str).filter_map(|key| markets.get(key)) {
        out.line("")?;
        let suspended = if is_suspended(market) { " (suspended)" } else { "" };
        out.line(format!("{}{suspended}", clean(text(market, "name"))))?;
        selections(market, out)?;
    }
    Ok(())
}

fn selections(market: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let mut selections: Vec<&Value> = market
        .get("selections")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|all| all.values())
        .collect();
    if selections.is_empty() {
        return Ok(());
    }
    selections.sort_by_key(|selection| {
        (text(selection, "column"), selection.get("order").and_then(Value::as_u64).unwrap_or(u64::MAX))
    });
    let columns = [
        left("  SELECTION", |selection: &Value| {
            let name = selection.get("name").and_then(Value::as_str);
            format!("  {}", short(name.unwrap_or_else(|| text(selection, "column")), 34))
        }),
        right("LINE", |selection| plain(selection, "handicap")),
        right("ODDS", |selection| plain(selection, "odds")),
        right("AS WRITTEN", |selection| plain(selection, "odds_text")),
        right("OPEN", |selection| plain(selection, "open")),
        left("", |one| if is_suspended(one) { "suspended".to_owned() } else { String::new() }),
    ];
    table(selections, &columns, out)
}

fn is_suspended(value: &Value) -> bool {
    value.get("suspended").and_then(Value::as_bool).unwrap_or(false)
}
