//! The event queue, one event a line, and odds over time.
//!
//! The daemon answers first and sends the events as lines after it; an answer that is an array holds events itself.

use super::super::Code;
use super::super::ask::{Daemon, arguments};
use super::super::options::OutputFormat;
use super::super::output::{Failure, Outcome, Printer};
use super::super::table::{Column, left, right, short, table};
use super::{elements, owned, pair, plain};
use clap::ArgMatches;
use serde_json::Value;

/// The first line of CSV, which names the columns: the members of an event, the score's two as one.
const EVENT: &str = "seq,id,revision,retracts,match,feed,sport,type,lane,side,minute,second,period,at,feed_at,\
                     epoch,version,order,score,late,recovered,payload";

const ODDS: &str = "seq,match,feed,type,lane,market,market_name,selection,selection_name,odds,odds_text,\
                    suspended,won,at,recovered";

const CHAT: &str = "seq,match,feed,type,lane,id,user,text,amount,at,feed_at";

pub(crate) fn events(daemon: &Daemon, matches: &ArgMatches, out: &mut Printer<'_>) -> Outcome {
    let args = arguments(matches, &["follow", "since", "match", "lane", "limit"]);
    let follow = matches.get_flag("follow");
    let columns = csv_columns(matches);
    let mut left = matches.get_one::<u64>("limit").copied().unwrap_or(u64::MAX);
    let (first, mut stream) = daemon.stream("events", args)?;
    if let Some(columns) = columns {
        out.line(columns)?;
    }
    for event in elements(&first) {
        out.line(columns.map_or_else(|| event.to_string(), |columns| csv(event, columns)))?;
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
        match columns {
            None => out.line(String::from_utf8_lossy(&line))?,
            Some(columns) => out.line(csv(&row(&line)?, columns))?,
        }
        left -= 1;
    }
    Ok(Code::Done)
}

/// The columns of the lane that is asked for; none where lines are to be JSON.
fn csv_columns(matches: &ArgMatches) -> Option<&'static str> {
    let given = |name| matches.get_one::<String>(name).map(String::as_str);
    if given("format") != Some("csv") || matches.get_flag("json") {
        return None;
    }
    Some(match given("lane") {
        Some("odds") => ODDS,
        Some("chat") => CHAT,
        Some(_) | None => EVENT,
    })
}

fn row(line: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(line)
        .map_err(|error| Failure::new(Code::Failed, format!("a line of the stream cannot be read: {error}")))
}

/// A stream that is followed ends only with the daemon.
fn ended(follow: bool) -> Outcome {
    if follow {
        Err(Failure::new(Code::NotRunning, "the daemon has ended the stream"))
    } else {
        Ok(Code::Done)
    }
}

fn csv(event: &Value, columns: &str) -> String {
    columns.split(',').map(|column| csv_cell(event, column)).collect::<Vec<_>>().join(",")
}

fn csv_cell(event: &Value, column: &str) -> String {
    let cell = match event.get(column) {
        None | Some(Value::Null) => return String::new(),
        Some(score) if column == "score" => pair(score),
        Some(_) => plain(event, column),
    };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

/// A row of odds, in a table or as a line.
const ODDS_SHOWN: [Column<Value>; 6] = [
    left("AT", |row| owned(row, "at")),
    left("TYPE", |row| owned(row, "type")),
    left("MARKET", |row| named(row, "market_name", "market")),
    left("SELECTION", |row| named(row, "selection_name", "selection")),
    right("ODDS", |row| plain(row, "odds")),
    right("AS WRITTEN", |row| plain(row, "odds_text")),
];

/// `odds`: a match's rows of odds.
pub(crate) fn odds(rows: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
    if elements(rows).next().is_none() {
        return out.line("no odds");
    }
    table(elements(rows), &ODDS_SHOWN, out)
}

/// The name for people, else the key.
fn named(row: &Value, name: &str, key: &str) -> String {
    let found =
        [plain(row, name), plain(row, key)].into_iter().find(|text| !matches!(text.as_str(), "-" | ""));
    short(&found.unwrap_or_else(|| "-".to_owned()), 20)
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
                let row = row(&line)?;
                out.line(ODDS_SHOWN.each_ref().map(|column| column.of(&row)).join("  "))?;
            }
        }
    }
}
