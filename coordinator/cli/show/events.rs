//! The event queue, one event a line, and odds over time.
//!
//! The daemon answers first and sends the events as lines after it. Lines for people (`line`) name the matches, for which the daemon is
//! asked besides. Rows of a room read like a chat (`chat`). Where `comment` is both, a source's commentary and what is said in
//! rooms, the first row says which, and so the columns of CSV.

use super::super::Code;
use super::super::ask::{Daemon, arguments};
use super::super::options::OutputFormat;
use super::super::output::{Audience, Failure, Outcome, Printer};
use super::super::table::{Column, left, right, short, table};
use super::chat;
use super::follow::Followed;
use super::line;
use super::{elements, owned, pair, plain};
use clap::ArgMatches;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use touchline_common::control::{EventLane, KindsOf, kinds_of};

/// The least time between two questions for the names of matches.
const NAMES_PAUSE: Duration = Duration::from_secs(5);

/// The first line of CSV, which names the columns: the members of an event, the score's two as one.
const EVENT: &str = "seq,id,revision,retracts,match,feed,sport,type,lane,side,minute,second,period,at,feed_at,\
                     epoch,version,order,score,late,recovered,payload";

const ODDS: &str = "seq,match,feed,type,lane,market,market_name,selection,selection_name,odds,odds_text,\
                    suspended,won,at,recovered";

const CHAT: &str = "seq,match,feed,type,lane,id,user,text,amount,at,feed_at";

pub(crate) fn events(daemon: &Daemon, matches: &ArgMatches, out: &mut Printer<'_>) -> Outcome {
    let args = arguments("events", matches);
    let follow = matches.get_flag("follow");
    let mut form = Form::of(matches, daemon, out.audience())?;
    let mut left = matches.get_one::<u64>("limit").copied().unwrap_or(u64::MAX);
    let mut followed = Followed::begin(daemon, "events", args)?;
    if let Form::Csv(Columns::Of(names)) = form {
        out.line(names)?;
    }
    while left > 0 {
        let line = if follow {
            // Whoever follows wants each event now.
            out.flush()?;
            followed.next_row()?
        } else {
            let Some(line) = followed.next_of_the_past(daemon.line_timeout())? else { break };
            line
        };
        if let Form::Csv(columns @ Columns::OfTheFirst) = &mut form {
            let names = columns_of(EventLane::by_name(&owned(&row(&line)?, "lane")));
            *columns = Columns::Of(names);
            out.line(names)?;
        }
        out.line(form.line(&line)?)?;
        left -= 1;
    }
    if let Form::Csv(Columns::OfTheFirst) = form {
        out.line(EVENT)?;
    }
    Ok(Code::Done)
}

/// How an event is written.
enum Form<'d> {
    Json,
    Csv(Columns),
    Text { names: Names<'d>, rooms: Rooms },
}

#[derive(Clone, Copy)]
enum Columns {
    /// Their names.
    Of(&'static str),
    /// The first row says which.
    OfTheFirst,
}

/// Whether lines of a chat say which room they are from.
#[derive(Clone, Copy)]
enum Rooms {
    One,
    Many,
}

fn columns_of(lane: Option<EventLane>) -> &'static str {
    match lane {
        Some(EventLane::Odds) => ODDS,
        Some(EventLane::Chat) => CHAT,
        Some(EventLane::Priority | EventLane::Normal) | None => EVENT,
    }
}

impl<'d> Form<'d> {
    /// The one that is asked for, else what the audience reads best.
    ///
    /// # Errors
    /// Types that the lane has not, or that no lane has together.
    fn of(matches: &ArgMatches, daemon: &'d Daemon, audience: Audience) -> Result<Form<'d>, Failure> {
        let given = |name| matches.get_one::<String>(name).map(String::as_str);
        let types: Vec<&String> = matches.get_many("type").into_iter().flatten().collect();
        let kinds = kinds_of(given("lane").and_then(EventLane::by_name), &types)
            .map_err(|error| Failure::new(Code::Usage, error))?;
        if matches.get_flag("json") {
            return Ok(Form::Json);
        }
        Ok(match (given("format"), audience) {
            (Some("csv"), _) => Form::Csv(match kinds {
                KindsOf::Lane(lane) => Columns::Of(columns_of(lane)),
                KindsOf::MatchesOrRooms => Columns::OfTheFirst,
            }),
            (Some("text"), _) | (None, Audience::People) => {
                let rooms = if given("match").is_some() { Rooms::One } else { Rooms::Many };
                Form::Text { names: Names::of(daemon), rooms }
            }
            (Some(_), _) | (None, Audience::Programs) => Form::Json,
        })
    }

    /// The line of an event, which is given as JSON.
    fn line(&mut self, event: &[u8]) -> Result<String, Failure> {
        match self {
            Form::Json => Ok(String::from_utf8_lossy(event).into_owned()),
            Form::Csv(Columns::Of(columns)) => Ok(csv(&row(event)?, columns)),
            Form::Csv(Columns::OfTheFirst) => Ok(csv(&row(event)?, EVENT)),
            Form::Text { names, rooms } => {
                let event = row(event)?;
                Ok(match (chat::is_line(&event), rooms) {
                    (false, _) => line::line(&event, &names.name(&event)),
                    (true, Rooms::One) => chat::line(&event, None),
                    (true, Rooms::Many) => chat::line(&event, Some(&names.name(&event))),
                })
            }
        }
    }
}

/// What the matches are called, by feed and id, as far as the daemon lists them.
struct Names<'d> {
    daemon: &'d Daemon,
    known: HashMap<(String, String), String>,
    asked: Instant,
}

impl<'d> Names<'d> {
    fn of(daemon: &'d Daemon) -> Names<'d> {
        let mut names = Names { daemon, known: HashMap::new(), asked: Instant::now() };
        names.ask();
        names
    }

    fn ask(&mut self) {
        self.asked = Instant::now();
        // Without names the lines have the ids.
        // Nor is any child waited for: names are the coordinator's own knowledge.
        let at_once = Map::from_iter([("timeout_ms".to_owned(), 0.into())]);
        let Ok(matches) = self.daemon.ask("matches", at_once) else { return };
        let named = |one: &Value| Some((key(one), one.get("name")?.as_str()?.to_owned()));
        self.known = elements(&matches).filter_map(named).collect();
    }

    /// The name of an event's match, else its id.
    fn name(&mut self, event: &Value) -> String {
        let key = key(event);
        if !self.known.contains_key(&key) && self.asked.elapsed() >= NAMES_PAUSE {
            self.ask();
        }
        self.known.get(&key).cloned().unwrap_or(key.1)
    }
}

fn key(one: &Value) -> (String, String) {
    (owned(one, "feed"), owned(one, "match"))
}

fn row(line: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(line)
        .map_err(|error| Failure::new(Code::Failed, format!("cannot read a line of the stream: {error}")))
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
pub(crate) fn odds(
    daemon: &Daemon,
    matches: &ArgMatches,
    format: OutputFormat,
    out: &mut Printer<'_>,
) -> Outcome {
    let args = arguments("odds", matches);
    match format {
        OutputFormat::Json => {
            let rows = daemon.ask_raw("odds", args)?;
            if rows.get() == "[]" {
                check_match(daemon, matches)?;
            }
            out.json(&rows)?;
        }
        OutputFormat::Text => {
            let rows = daemon.ask("odds", args)?;
            if elements(&rows).next().is_none() {
                check_match(daemon, matches)?;
            }
            odds_rows(&rows, out)?;
        }
    }
    Ok(Code::Done)
}

/// Fails if the match is not known: that it has no odds would be misleading.
fn check_match(daemon: &Daemon, matches: &ArgMatches) -> Result<(), Failure> {
    daemon.ask("match", arguments("match", matches)).map(drop)
}

fn odds_rows(rows: &Value, out: &mut Printer<'_>) -> Result<(), Failure> {
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
    check_match(daemon, matches)?;
    let args = arguments("odds", matches);
    let mut followed = Followed::begin(daemon, "odds", args)?;
    loop {
        out.flush()?;
        let line = followed.next_row()?;
        match format {
            OutputFormat::Json => out.line(String::from_utf8_lossy(&line))?,
            OutputFormat::Text => {
                let row = row(&line)?;
                out.line(ODDS_SHOWN.each_ref().map(|column| column.of(&row)).join("  "))?;
            }
        }
    }
}
