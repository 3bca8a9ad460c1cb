//! The event queue, one event a line, and odds over time.
//!
//! The daemon answers first and sends the events as lines after it; an answer that is an array holds events itself.

use super::super::Code;
use super::super::ask::{Daemon, arguments};
use super::super::output::{Failure, Outcome, Printer};
use super::super::table::{Align, Table, short};
use super::{elements, plain, text};
use clap::ArgMatches;
use serde_json::{Map, Value};

/// The columns of CSV: an event's members, the score's two apart.
const COLUMNS: [&str; 22] = [
    "seq",
    "id",
    "revision",
    "retracts",
    "match",
    "feed",
    "sport",
    "type",
    "lane",
    "side",
    "minute",
    "second",
    "period",
    "at",
    "feed_at",
    "epoch",
    "version",
    "order",
    "score",
    "late",
    "recovered",
    "payload",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
}

pub(crate) fn events(daemon: &Daemon, matches: &ArgMatches, out: &mut Printer<'_>) -> Outcome {
    let args = arguments(matches, &["follow", "since", "match", "lane", "limit"]);
    let follow = matches.get_flag("follow");
    let csv = matches.get_one::<String>("format").is_some_and(|format| format == "csv")
        && !matches.get_flag("json");
    let format = if csv { Format::Csv } else { Format::Json };
    let mut left = matches.get_one::<u64>("limit").copied().unwrap_or(u64::MAX);
    let (first, mut stream) = daemon.stream("events", args)?;
    if format == Format::Csv {
        out.line(COLUMNS.join(","))?;
    }
    for event in elements(&first) {
        out.line(one_line(event, format))?;
        left = left.saturating_sub(1);
    }
    if first.is_array() && !follow {
        return Ok(Code::Done);
    }
    // Whoever follows wants each event now.
    let timeout = (!follow).then(|| daemon.line_timeout());
    while left > 0 {
        if follow {
            out.flush()?;
        }
        let Some(line) = stream.next_line(timeout)? else { return ended(follow) };
        match format {
            Format::Json => out.line(String::from_utf8_lossy(&line))?,
            Format::Csv => {
                let event = serde_json::from_slice(&line).map_err(|error| {
                    Failure::new(Code::Failed, format!("an event cannot be read: {error}"))
                })?;
                out.line(one_line(&event, Format::Csv))?;
            }
        }
        left -= 1;
    }
    Ok(Code::Done)
}

/// A stream that is followed ends only with the daemon.
fn ended(follow: bool) -> Outcome {
    if follow {
        Err(Failure::new(Code::NotRunning, "the daemon has ended the stream"))
    } else {
        Ok(Code::Done)
    }
}

fn one_line(event: &Value, format: Format) -> String {
    match format {
        Format::Json => event.to_string(),
        Format::Csv => COLUMNS.map(|column| csv(event, column)).join(","),
    }
}

fn csv(event: &Value, column: &str) -> String {
    let cell = match event.get(column) {
        None | Some(Value::Null) => return String::new(),
        Some(score) if column == "score" => format!("{}-{}", plain(score, "home"), plain(score, "away")),
        Some(Value::String(text)) => text.clone(),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
            other.to_string()
        }
    };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

/// `odds`: rows of odds, or events whose payload holds them.
pub(crate) fn odds(rows: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    if elements(rows).next().is_none() {
        return out.line("no odds");
    }
    let right = Align::Right;
    let mut table = Table::new(&[
        ("AT", Align::Left),
        ("MARKET", Align::Left),
        ("SELECTION", Align::Left),
        ("ODDS", right),
        ("AS WRITTEN", right),
    ]);
    let nothing = Value::Object(Map::new());
    for row in elements(rows) {
        let payload = row.get("payload").unwrap_or(&nothing);
        let either = |keys: &[&str]| {
            let found = keys.iter().map(|key| [plain(row, key), plain(payload, key)]);
            found.flatten().find(|text| text != "-").unwrap_or_else(|| "-".to_owned())
        };
        table.row([
            text(row, "at").to_owned(),
            short(&either(&["market"]), 20),
            short(&either(&["selection"]), 20),
            either(&["odds"]),
            either(&["odds_text", "text"]),
        ]);
    }
    table.print(out)
}
