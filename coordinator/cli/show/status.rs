//! `status` as text: at most 80 columns, what matters first.

use super::super::output::{Failure, Printer, clean};
use super::super::table::{Align, Table, age, short};
use super::{count, elements, number, parts, plain, text};
use serde_json::Value;

/// Deaths in the text; all that are known stand in the JSON.
const DEATHS_SHOWN: usize = 5;

pub(crate) fn status(status: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let up = number(status, "uptime_s").map_or_else(|| "-".to_owned(), age);
    let (version, build) = (clean(text(status, "version")), short(text(status, "build"), 20));
    let (pid, state, epoch) = (plain(status, "pid"), text(status, "state"), plain(status, "epoch"));
    out.line(format!("touchline {version} ({}): {}, up {up}", clean(&build), clean(state)))?;
    out.line(format!("pid {pid}, epoch {epoch}"))?;
    out.line("")?;
    out.line(matches(status))?;
    out.line(workers(status))?;
    out.line(recorder(status))?;
    if let Some(trouble) =
        status.pointer("/recorder/trouble").and_then(Value::as_str).filter(|text| !text.is_empty())
    {
        out.line(format!("          {}", clean(trouble)))?;
    }
    if let Some(trouble) = status.get("state_trouble").and_then(Value::as_str).filter(|text| !text.is_empty())
    {
        out.line(format!("state     not saved: {}", clean(trouble)))?;
    }
    out.line(others(status))?;
    out.line("")?;
    feeds(status, out)?;
    deaths(status, out)
}

fn matches(status: &Value) -> String {
    let matches = status.get("matches").unwrap_or(&Value::Null);
    let listed = count(matches, "listed");
    // Only what is not as it should be takes room, after the live ones.
    let mut line = format!("matches   {listed} listed, {} live", count(matches, "live"));
    for state in ["waiting", "subscribing", "stale", "quarantined"] {
        let here = count(matches, state);
        if here > 0 {
            line.push_str(&format!(", {here} {state}"));
        }
    }
    line.push_str(&format!("; {} ended", count(matches, "ended")));
    line
}

fn workers(status: &Value) -> String {
    let workers = status.get("workers").unwrap_or(&Value::Null);
    let rest = parts(workers, &["starting", "parked", "restarts"]);
    format!("workers   {} of {} ready, {rest}", count(workers, "ready"), count(workers, "max"))
}

fn recorder(status: &Value) -> String {
    let recorder = status.get("recorder").unwrap_or(&Value::Null);
    let (queue, dropped) = (count(recorder, "queue"), count(recorder, "dropped"));
    let held = parts(recorder, &["documents", "events"]);
    format!("recorder  {}: {held}, {queue} queued, {dropped} dropped", clean(text(recorder, "state")))
}

fn others(status: &Value) -> String {
    let gateway = status.get("gateway").unwrap_or(&Value::Null);
    let sandbox = status.get("sandbox").unwrap_or(&Value::Null);
    let clients = match text(gateway, "state") {
        "off" => String::new(),
        _ => format!(", {} clients", count(gateway, "clients")),
    };
    format!(
        "gateway   {}{clients}; sandbox: landlock {}, seccomp {}",
        clean(text(gateway, "state")),
        clean(text(sandbox, "landlock")),
        clean(text(sandbox, "seccomp"))
    )
}

fn feeds(status: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let feeds = status.get("feeds").unwrap_or(&Value::Null);
    if elements(feeds).next().is_none() {
        return out.line("no feeds");
    }
    let right = Align::Right;
    let mut table = Table::new(&[
        ("FEED", Align::Left),
        ("KIND", Align::Left),
        ("STATE", Align::Left),
        ("ASKED", right),
        ("ACKED", right),
        ("LIVE", right),
        ("CAP", right),
    ]);
    let mut reasons = Vec::new();
    for feed in elements(feeds) {
        let cap = match feed.get("learned_cap").and_then(Value::as_u64) {
            Some(learned) => format!("{} ({learned} learned)", plain(feed, "cap")),
            None => plain(feed, "cap"),
        };
        let name = short(text(feed, "name"), 20);
        if let Some(why) = feed.get("why").and_then(Value::as_str).filter(|why| !why.is_empty()) {
            reasons.push(format!("{}: {}", clean(&name), clean(why)));
        }
        if let Some(round) = feed.get("round_ms").and_then(Value::as_u64) {
            reasons.push(format!("{}: a round of its matches takes {round} ms", clean(&name)));
        }
        if let (Some(audits), Some(missed @ 1..)) =
            (feed.get("audits").and_then(Value::as_u64), feed.get("audits_missed").and_then(Value::as_u64))
        {
            reasons.push(format!("{}: {missed} of {audits} fresh loads showed missing deltas", clean(&name)));
        }
        let (kind, state) = (text(feed, "kind").to_owned(), text(feed, "state").to_owned());
        table.row([
            name,
            kind,
            state,
            plain(feed, "asked"),
            plain(feed, "acknowledged"),
            plain(feed, "live"),
            cap,
        ]);
    }
    table.print(out)?;
    reasons.iter().try_for_each(|reason| out.line(reason))
}

/// The last few deaths, the newest first; without one nothing is said.
fn deaths(status: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let deaths = status.get("deaths").unwrap_or(&Value::Null);
    if elements(deaths).next().is_none() {
        return Ok(());
    }
    let mut table = Table::new(&[
        ("DIED", Align::Left),
        ("WHO", Align::Left),
        ("PID", Align::Right),
        ("HOW", Align::Left),
        ("UP", Align::Right),
        ("MATCHES", Align::Right),
    ]);
    let mut reasons = Vec::new();
    for death in elements(deaths).take(DEATHS_SHOWN) {
        let who = match death.get("worker").and_then(Value::as_u64) {
            Some(worker) => format!("w{worker}"),
            None => short(text(death, "child"), 10),
        };
        let how = match (number(death, "exit"), number(death, "signal"), death.get("core")) {
            (Some(code), ..) => format!("exit {code}"),
            (_, Some(signal), Some(Value::Bool(true))) => format!("signal {signal} (core)"),
            (_, Some(signal), _) => format!("signal {signal}"),
            (None, None, _) => "not started".to_owned(),
        };
        let up = number(death, "uptime_s").map_or_else(|| "-".to_owned(), age);
        let why = text(death, "why");
        let told = if why == "-" || why.is_empty() { text(death, "last_activity") } else { why };
        let at = death
            .get("match")
            .and_then(Value::as_str)
            .map(|id| format!(", at match {}", clean(&short(id, 40))));
        reasons.push(format!("{}: {}{}", clean(&who), clean(&short(told, 72)), at.unwrap_or_default()));
        // To the second is enough for people.
        let at: String = text(death, "at").chars().take(19).collect();
        table.row([at, who, plain(death, "pid"), how, up, plain(death, "matches")]);
    }
    out.line("")?;
    table.print(out)?;
    reasons.iter().try_for_each(|reason| out.line(reason))
}
