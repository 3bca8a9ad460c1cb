//! Workers, matches and gaps as tables.

use super::super::output::{Failure, Printer, clean};
use super::super::table::{age, age_ms, bytes, left, micros, right, scaled, short, table};
use super::{elements, number, owned, plain, text};
use serde_json::Value;

const NONE: &str = "-";

fn or_none<T>(value: Option<T>, shown: impl Fn(T) -> String) -> String {
    value.map_or(NONE.to_owned(), shown)
}

pub(crate) fn workers(workers: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let columns = [
        right("W", |worker| plain(worker, "worker")),
        right("PID", |worker| plain(worker, "pid")),
        left("STATE", |worker| owned(worker, "state")),
        left("FEED", |worker| short(text(worker, "feed"), 12)),
        left("LINK", |worker| short(text(worker, "connection"), 10)),
        right("SUBS/CAP", |worker| format!("{}/{}", plain(worker, "subscriptions"), plain(worker, "cap"))),
        right("BUSY", |worker| or_none(number(worker, "busy"), |busy| format!("{:.0}%", busy * 100.0))),
        right("DIFFS/S", |worker| or_none(number(worker, "diffs_per_s"), scaled)),
        right("P99", |worker| or_none(worker.pointer("/lag_us/p99").and_then(Value::as_u64), micros)),
        right("QUEUE", |worker| or_none(number(worker, "receive_queue_bytes"), bytes)),
        right("RSS", |worker| or_none(number(worker, "rss_bytes"), bytes)),
        right("UP", |worker| or_none(number(worker, "uptime_s"), age)),
    ];
    table(elements(workers), &columns, out)
}

pub(crate) fn matches(matches: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let columns = [
        left("MATCH", match_name),
        left("STATE", |one| owned(one, "state")),
        right("W", |one| plain(one, "worker")),
        right("EPOCH", |one| plain(one, "epoch")),
        right("VERSION", |one| plain(one, "version")),
        right("AGE", |one| or_none(one.get("age_ms").and_then(Value::as_u64), age_ms)),
        left("NAME", |one| short(text(one, "name"), 40)),
    ];
    table(elements(matches), &columns, out)
}

pub(crate) fn gaps(gaps: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    if elements(gaps).next().is_none() {
        return out.line("no gaps");
    }
    let columns = [
        left("MATCH", match_name),
        right("W", |gap| plain(gap, "worker")),
        left("STARTED", |gap| owned(gap, "started_at")),
        left("ENDED", |gap| gap.get("ended_at").and_then(Value::as_str).unwrap_or("open").to_owned()),
        left("REASON", |gap| owned(gap, "reason")),
    ];
    table(elements(gaps), &columns, out)
}

pub(crate) fn plan(plan: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let list = |name: &str| plan.get(name).into_iter().flat_map(elements);
    if list("moves").next().is_some() {
        let gap = |one: &Value| match one.get("gap").and_then(Value::as_bool) {
            Some(true) => "until it is loaded again".to_owned(),
            Some(false) | None => "none".to_owned(),
        };
        let columns = [
            left("MATCH", match_name),
            right("FROM", |one| plain(one, "from")),
            right("TO", |one| plain(one, "to")),
            right("SUBS", |one| plain(one, "subscriptions")),
            left("GAP", gap),
        ];
        table(list("moves"), &columns, out)?;
    } else {
        out.line("nothing to move")?;
    }
    for one in list("drains") {
        out.line(format!("worker {} would be drained: {}", plain(one, "worker"), clean(text(one, "why"))))?;
    }
    for one in list("feeds") {
        let mean = or_none(number(one, "mean"), |mean| format!("{mean:.1}"));
        out.line(format!(
            "{}: {} to {} subscriptions per worker now, {mean} on average",
            clean(text(one, "feed")),
            plain(one, "least"),
            plain(one, "most"),
        ))?;
    }
    Ok(())
}

/// `FEED/ID`
fn match_name(one: &Value) -> String {
    format!("{}/{}", text(one, "feed"), text(one, "match"))
}
