//! `touchline replay`: a match out of the store, step by step (`show::replay`), or recorded bytes through the code that read them.
//!
//! Neither needs the daemon. The configuration says where the store is, and how the feed of a recording is read.

use super::ask::config_file;
use super::output::{Failure, Outcome, Printer, clean};
use super::show::{self, Wanted};
use super::{Code, OutputFormat};
use clap::ArgMatches;
use serde_json::{Value, json};
use std::path::PathBuf;
use touchline_common::config::Config;
use touchline_common::control::views::counted;
use touchline_worker::record::replay::Until;
use touchline_worker::replay::{self, Outcome as Replayed, Summary};

pub(super) fn replay(matches: &ArgMatches, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let usage = |text: String| Failure::new(Code::Usage, text);
    let named = matches.get_one::<String>("match");
    let files: Vec<PathBuf> = matches.get_many::<PathBuf>("raw").into_iter().flatten().cloned().collect();
    if named.is_some() != files.is_empty() {
        return Err(usage("replay: expected either --match ID or --raw FILE".to_owned()));
    }
    let path = config_file(matches)?;
    let config = Config::load(&path).map_err(|errors| usage(errors.one_line()))?;
    let Some(named) = named else { return raw(&config, &files, format, out) };
    let at = matches.get_one::<String>("at").map(|text| Until::parse(text)).transpose();
    let until = at.map_err(|expected| usage(format!("--at: {expected}")))?.unwrap_or(Until::End);
    let speed = matches.get_one::<f64>("speed").copied();
    if speed.is_some_and(|speed| speed <= 0.0) {
        return Err(usage("--speed 0: nothing would ever happen; expected more than 0".to_owned()));
    }
    show::replay(&config.store_path(), &Wanted { named, until, speed }, format, out)
}

fn raw(config: &Config, files: &[PathBuf], format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let mut failure = None;
    let replayed = replay::replay(config, files, &mut |outcome| {
        if failure.is_none() {
            failure = print(&outcome, format, out).err();
        }
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let summary = replayed.map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    match format {
        OutputFormat::Json => out.json(&json!({ "summary": summary }))?,
        OutputFormat::Text => {
            for fault in &summary.faults {
                out.line(clean(fault))?;
            }
            out.line(in_words(&summary))?;
        }
    }
    Ok(Code::Done)
}

fn print(outcome: &Replayed, format: OutputFormat, out: &mut Printer<'_>) -> Result<(), Failure> {
    match (outcome, format) {
        (Replayed::Event(event), OutputFormat::Json) => out.json(&json!({ "event": event })),
        (Replayed::Document(document), OutputFormat::Json) => out.json(&json!({ "document": document })),
        (Replayed::Event(event), OutputFormat::Text) => {
            let id = event.get("match").and_then(Value::as_str).unwrap_or_default();
            out.line(if show::is_chat(event) {
                show::chat_line(event, Some(id))
            } else {
                show::event_line(event, id)
            })
        }
        // Far too long for people; the summary counts them.
        (Replayed::Document(_), OutputFormat::Text) => Ok(()),
    }
}

fn in_words(summary: &Summary) -> String {
    let Summary { records, bytes, events, documents, .. } = summary;
    let files = counted(u64::try_from(summary.files).unwrap_or(u64::MAX), "file", "files");
    let mut line = format!(
        "{files}, {records} records, {bytes} bytes: {events} events, {documents} documents (see --json)"
    );
    for (count, what) in [
        (summary.skipped_bytes, "bytes without their beginning skipped"),
        (summary.dropped_bytes, "bytes were not recorded"),
        (summary.unusable, "messages of no use"),
    ] {
        if count > 0 {
            line.push_str(&format!("; {count} {what}"));
        }
    }
    line
}
