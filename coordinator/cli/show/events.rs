//! The event queue, one event a line, and odds over time.
//!
//! The daemon answers first and sends the events as lines after it; an answer that is an array holds events itself.

use super::super::Code;
use super::super::ask::{Daemon, arguments};
use super::super::options::OutputFormat;
use super::super::output::{Failure, Outcome, Printer};
use super::super::table::{Align, Table, short};
use super::{elements, plain, text};
use clap::ArgMatches;
use serde_json::Value;

/// The columns of CSV: the members of an event, the score's two as one,
const COLUMNS: &[&str] = &[
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

const ODDS: &[&str] = &[
    "seq",
    "match",
    "feed",
    "type",
    "lane",
    "market",
    "market_name",
    "selection",
    "selection_name",
    "odds",
    "odds_text",
    "suspended",
    "won",
    "at",
    "recovered",
];

const CHAT: &[&str] =
    &["seq", "match", "feed", "type", "lane", "id", "user", "text", "amount", "at", "feed_at"];

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
    let columns = match matches.get_one::<String>("lane").map(String::as_str) {
        Some("odds") => ODDS,
        Some("chat") => CHAT,
        Some(_) | None => COLUMNS,
    };
    let (first, mut stream) = daemon.stream("events", args)?;
    if format == Format::Csv {
        out.line(columns.join(","))?;
    }
    for event in elements(&first) {
        out.line(one_line(event, format, columns))?;
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
                out.line(one_line(&event, Format::Csv, columns))?;
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

fn one_line(event: &Value, format: Format, columns: &[&str]) -> String {
    match format {
        Format::Json => event.to_string(),
        Format::Csv => {
            let cells: Vec<String> = columns.iter().map(|column| csv(event, column)).collect();
            cells.join(",")
        }
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

/// `odds`: a match's rows of odds.
pub(crate) fn odds(rows: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    if elements(rows).next().is_none() {
        return out.line("no odds");
    }
    let right = Align::Right;
    let mut table = Table::new(&[
        ("AT", Align::Left),
        ("TYPE", Align::Left),
        ("MARKET", Align::Left),
        ("SELECTION", Align::Left),
        ("ODDS", right),
        ("AS WRITTEN", right),
    ]);
    elements(rows).for_each(|row| table.row(cells(row)));
    table.print(out)
}

fn cells(row: &Value) -> [String; 6] {
    // The name for people, else the key.
    let named = |name: &str, key: &str| {
        let found =
            [plain(row, name), plain(row, key)].into_iter().find(|text| !matches!(text.as_str(), "-" | ""));
        short(&found.unwrap_or_else(|| "-".to_owned()), 20)
    };
    [
        text(row, "at").to_owned(),
        text(row, "type").to_owned(),
        named("market_name", "market"),
        named("selection_name", "selection"),
        plain(row, "odds"),
        plain(row, "odds_text"),
    ]
}

/// `odds --follow`: a row a line.
pub(crate) fn follow_odds(
    daemon: &Daemon,
    matches: &ArgMatches,
    format: OutputFormat,
    out: &mut Printer<'_>,
) -> Outcome {
    let args = arguments(matches, &["match", "market", "follow"]);
    let (first, mut stream) = daemon.stream("odds", args)?;
    // A daemon that does not follow has answered with all there is.
    if first.is_array() {
        odds(&first, out)?;
        return Ok(Code::Done);
    }
    loop {
        out.flush()?;
        let Some(line) = stream.next_line(None)? else { return ended(true) };
        match format {
            OutputFormat::Json => out.line(String::from_utf8_lossy(&line))?,
            OutputFormat::Text => {
                let row: Value = serde_json::from_slice(&line)
                    .map_err(|error| Failure::new(Code::Failed, format!("a row cannot be read: {error}")))?;
                out.line(cells(&row).join("  "))?;
            }
        }
    }
}
