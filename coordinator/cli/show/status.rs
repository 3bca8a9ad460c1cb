//! `status` as text: at most 80 columns, what matters first.

use super::super::output::{Failure, Printer, clean};
use super::super::table::{age, left, micros, right, short, table};
use super::read;
use serde_json::Value;
use touchline_common::control::views::{DeathView, FeedView, SinkView, StatusView, counted, name_of};

/// Deaths in the text; all that are known stand in the JSON.
const DEATHS_SHOWN: usize = 5;
/// Older deaths are only counted, seconds.
const DEATHS_RECENT_S: i64 = 3_600;

pub(crate) fn status(status: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    let status: StatusView = read(status)?;
    let (version, build) = (clean(&status.version), short(&status.build, 20));
    let (state, up) = (name_of(&status.state), age(status.uptime_s));
    out.line(format!("touchline {version} ({}): {state}, up {up}", clean(&build)))?;
    out.line(format!("pid {}, epoch {}", status.pid, status.epoch))?;
    out.line("")?;
    out.line(matches(&status))?;
    out.line(workers(&status))?;
    let recorder = &status.recorder;
    out.line(format!(
        "recorder  {}: {}, {}, {} queued, {} dropped",
        clean(&recorder.state),
        counted(recorder.documents, "document", "documents"),
        counted(recorder.events, "event", "events"),
        recorder.queue,
        recorder.dropped
    ))?;
    if !recorder.trouble.is_empty() {
        out.line(format!("          {}", clean(&recorder.trouble)))?;
    }
    recorder.sinks.iter().try_for_each(|one| sink(one, out))?;
    if !status.state_trouble.is_empty() {
        out.line(format!("state     not saved: {}", clean(&status.state_trouble)))?;
    }
    let (gateway, sandbox) = (&status.gateway, &status.sandbox);
    let clients = match gateway.state.as_str() {
        "off" => String::new(),
        _ => {
            let at = if gateway.address.is_empty() { "" } else { " at " };
            let clients = counted(gateway.clients, "client", "clients");
            format!("{at}{}, {clients}", clean(&gateway.address))
        }
    };
    out.line(format!(
        "gateway   {}{clients}; sandbox: landlock {}, seccomp {}",
        clean(&gateway.state),
        clean(&sandbox.landlock),
        clean(&sandbox.seccomp)
    ))?;
    out.line("")?;
    feeds(&status.feeds, out)?;
    deaths(&status.deaths, jiff::Timestamp::now(), out)
}

fn sink(sink: &SinkView, out: &mut Printer<'_>) -> Result<(), Failure> {
    out.line(format!(
        "sink      {} {}: {} delivered, {} refused, {} behind",
        clean(&sink.name),
        clean(&sink.state),
        sink.delivered,
        sink.refused,
        counted(sink.lag_rows, "row", "rows")
    ))?;
    // What went wrong before it went well again is for the JSON.
    let Some(retry) = sink.next_retry_s else { return Ok(()) };
    out.line(format!("          tried again in {}: {}", age(retry), clean(&sink.last_error)))
}

fn matches(status: &StatusView) -> String {
    let matches = status.matches;
    // Only what is not as it should be takes room, after the live ones.
    let mut line = format!("matches   {} listed, {} live", matches.listed, matches.live);
    for (state, count) in matches.not_live() {
        if count > 0 {
            line.push_str(&format!(", {count} {state}"));
        }
    }
    if matches.ending > 0 {
        line.push_str(&format!(", {} ending", matches.ending));
    }
    line.push_str(&format!("; {} ended", matches.ended));
    line
}

fn workers(status: &StatusView) -> String {
    let workers = status.workers;
    let mut line = format!("workers   {} of {} ready", workers.ready, workers.max);
    for (state, count) in
        [("starting", workers.starting), ("draining", workers.draining), ("parked", workers.parked)]
    {
        if count > 0 {
            line.push_str(&format!(", {count} {state}"));
        }
    }
    line.push_str(&format!("; {}", counted(workers.restarts, "restart", "restarts")));
    line
}

fn feeds(feeds: &[FeedView], out: &mut Printer<'_>) -> Result<(), Failure> {
    if feeds.is_empty() {
        return out.line("no feeds");
    }
    let columns = [
        left("FEED", |feed: &FeedView| short(&feed.name, 20)),
        left("KIND", |feed| feed.kind.clone()),
        left("STATE", |feed| name_of(&feed.state)),
        right("ASKED", |feed| feed.asked.to_string()),
        right("ACKED", |feed| feed.acknowledged.to_string()),
        right("LIVE", |feed| feed.live.to_string()),
        right("CAP", |feed| match feed.learned_cap {
            Some(learned) => format!("{} ({learned} learned)", feed.cap),
            None => feed.cap.to_string(),
        }),
    ];
    table(feeds, &columns, out)?;
    for feed in feeds {
        let name = short(&feed.name, 20);
        let name = clean(&name);
        if !feed.why.is_empty() {
            out.line(format!("{name}: {}", clean(&feed.why)))?;
        }
        if let Some(round) = feed.round_ms {
            out.line(format!("{name}: a round of its matches takes {}", micros(u64::from(round) * 1_000)))?;
        }
        if let Some(sources) = &feed.sources {
            out.line(format!(
                "{name}: {} up, {} slow, {} failing",
                counted(sources.up, "source", "sources"),
                sources.slow,
                sources.failing
            ))?;
        }
        if let Some(worst) = feed.sources.as_ref().and_then(|sources| sources.worst.as_ref()) {
            out.line(format!(
                "{name}: {} fails since {} ago, tried again in {}: {}",
                clean(&short(&worst.source, 60)),
                age(worst.failing_s),
                age(worst.next_s),
                clean(&worst.why)
            ))?;
        }
        if let Some(quota) = feed.quota {
            out.line(format!("{name}: {} of {} requests left today", quota.left, quota.per_day))?;
        }
        if feed.audits_missed > 0 {
            let (audits, missed) = (counted(feed.audits, "audit", "audits"), feed.audits_missed);
            out.line(format!("{name}: {missed} of {audits} showed missing deltas"))?;
        }
    }
    Ok(())
}

/// The last few deaths, the newest first, and how many there were before.
fn deaths(deaths: &[DeathView], now: jiff::Timestamp, out: &mut Printer<'_>) -> Result<(), Failure> {
    if deaths.is_empty() {
        return Ok(());
    }
    let (recent, old): (Vec<&DeathView>, Vec<&DeathView>) =
        deaths.iter().partition(|death| is_recent(death, now));
    out.line("")?;
    recent_deaths(recent.get(..DEATHS_SHOWN).unwrap_or(&recent), out)?;
    let hidden = recent.len().saturating_sub(DEATHS_SHOWN);
    if hidden > 0 {
        out.line(format!("{} in the last hour", counted(hidden, "more death", "more deaths")))?;
    }
    if !old.is_empty() {
        out.line(format!("{} more than an hour ago", counted(old.len(), "death", "deaths")))?;
    }
    Ok(())
}

/// A time that cannot be read is no reason to hide the death.
fn is_recent(death: &DeathView, now: jiff::Timestamp) -> bool {
    let at = death.at.parse::<jiff::Timestamp>();
    at.map_or(true, |at| now.as_second() - at.as_second() < DEATHS_RECENT_S)
}

fn recent_deaths(deaths: &[&DeathView], out: &mut Printer<'_>) -> Result<(), Failure> {
    if deaths.is_empty() {
        return Ok(());
    }
    let columns = [
        // To the second is enough for people.
        left("DIED", |death: &DeathView| death.at.chars().take(19).collect()),
        left("WHO", who),
        right("PID", |death| death.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string())),
        left("HOW", how),
        right("UP", |death| age(death.uptime_s)),
        right("MATCHES", |death| death.matches.to_string()),
    ];
    table(deaths.iter().copied(), &columns, out)?;
    for death in deaths {
        let why = if death.why.is_empty() { &death.last_activity } else { &death.why };
        let at = death.at_match.as_deref().map(|id| format!(", at match {}", clean(&short(id, 40))));
        let at = at.unwrap_or_default();
        out.line(format!("{}: {}{at}", clean(&who(death)), clean(&short(why, 72))))?;
    }
    Ok(())
}

fn who(death: &DeathView) -> String {
    death.worker.map_or_else(|| short(&death.child, 10), |worker| format!("w{worker}"))
}

fn how(death: &DeathView) -> String {
    match (death.exit, death.signal) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) if death.core => format!("signal {signal} (core)"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "not started".to_owned(),
    }
}
