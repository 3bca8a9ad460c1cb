//! Workers, matches and gaps as tables.

use super::super::output::{Failure, Printer, clean};
use super::super::table::{Align, Table, age, age_ms, micros, scaled, short};
use super::{elements, number, plain, text};
use serde_json::Value;

const NONE: &str = "-";

pub(crate) fn workers(workers: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let right = Align::Right;
    let mut table = Table::new(&[
        ("W", right),
        ("PID", right),
        ("STATE", Align::Left),
        ("FEED", Align::Left),
        ("LINK", Align::Left),
        ("SUBS/CAP", right),
        ("BUSY", right),
        ("DIFFS/S", right),
        ("P99", right),
        ("QUEUE", right),
        ("RSS", right),
        ("UP", right),
    ]);
    for worker in elements(workers) {
        let percent = number(worker, "busy").map_or(NONE.to_owned(), |busy| format!("{:.0}%", busy * 100.0));
        let lag = worker.pointer("/lag_us/p99").and_then(Value::as_u64).map_or(NONE.to_owned(), micros);
        table.row([
            plain(worker, "worker"),
            plain(worker, "pid"),
            text(worker, "state").to_owned(),
            short(text(worker, "feed"), 12),
            short(text(worker, "connection"), 10),
            format!("{}/{}", plain(worker, "subscriptions"), plain(worker, "cap")),
            percent,
            number(worker, "diffs_per_s").map_or(NONE.to_owned(), scaled),
            lag,
            number(worker, "receive_queue_bytes").map_or(NONE.to_owned(), scaled),
            number(worker, "rss_bytes").map_or(NONE.to_owned(), scaled),
            number(worker, "uptime_s").map_or(NONE.to_owned(), age),
        ]);
    }
    table.print(out)
}

pub(crate) fn matches(matches: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let right = Align::Right;
    let mut table = Table::new(&[
        ("MATCH", Align::Left),
        ("STATE", Align::Left),
        ("W", right),
        ("EPOCH", right),
        ("VERSION", right),
        ("AGE", right),
        ("NAME", Align::Left),
    ]);
    for one in elements(matches) {
        let age = one.get("age_ms").and_then(Value::as_u64).map_or(NONE.to_owned(), age_ms);
        table.row([
            format!("{}/{}", text(one, "feed"), text(one, "match")),
            text(one, "state").to_owned(),
            plain(one, "worker"),
            plain(one, "epoch"),
            plain(one, "version"),
            age,
            short(text(one, "name"), 40),
        ]);
    }
    table.print(out)
}

pub(crate) fn gaps(gaps: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    if elements(gaps).next().is_none() {
        return out.line("no gaps");
    }
    let mut table = Table::new(&[
        ("MATCH", Align::Left),
        ("W", Align::Right),
        ("STARTED", Align::Left),
        ("ENDED", Align::Left),
        ("REASON", Align::Left),
    ]);
    for gap in elements(gaps) {
        let ended = gap.get("ended_at").and_then(Value::as_str).unwrap_or("open");
        table.row([
            format!("{}/{}", text(gap, "feed"), text(gap, "match")),
            plain(gap, "worker"),
            text(gap, "started_at").to_owned(),
            ended.to_owned(),
            text(gap, "reason").to_owned(),
        ]);
    }
    table.print(out)
}

pub(crate) fn plan(plan: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let list = |name: &str| plan.get(name).into_iter().flat_map(elements);
    if list("moves").next().is_some() {
        let right = Align::Right;
        let mut table = Table::new(&[
            ("MATCH", Align::Left),
            ("FROM", right),
            ("TO", right),
            ("SUBS", right),
            ("GAP", Align::Left),
        ]);
        for one in list("moves") {
            let gap = one.get("gap").and_then(Value::as_bool).unwrap_or(false);
            table.row([
                format!("{}/{}", text(one, "feed"), text(one, "match")),
                plain(one, "from"),
                plain(one, "to"),
                plain(one, "subscriptions"),
                if gap { "until it is loaded again".to_owned() } else { "none".to_owned() },
            ]);
        }
        table.print(out)?;
    } else {
        out.line("nothing to move")?;
    }
    for one in list("drains") {
        out.line(format!("worker {} would be drained: {}", plain(one, "worker"), clean(text(one, "why"))))?;
    }
    for one in list("feeds") {
        let mean = number(one, "mean").map_or(NONE.to_owned(), |mean| format!("{mean:.1}"));
        out.line(format!(
            "{}: {} to {} subscriptions a worker now, {mean} on average",
            clean(text(one, "feed")),
            plain(one, "least"),
            plain(one, "most"),
        ))?;
    }
    Ok(())
}
