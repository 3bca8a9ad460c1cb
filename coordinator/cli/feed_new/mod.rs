//! `touchline feed new`: a first `[[feed]]` of kind push from recorded messages and a few answers, on standard output.
//!
//! What was not given by options is asked for where standard input is a terminal, else it is a mistake that names the option. `recorded` reads
//! messages, `guess` and `merging` say what they mean, `text` writes it: all pure. What is printed is what `check` accepts.

mod guess;
mod merging;
mod recorded;
#[cfg(test)]
mod tests;
mod text;

use super::output::{Failure, Outcome, Printer};
use super::{Code, OutputFormat};
use clap::ArgMatches;
use recorded::{Recorded, Said};
use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use text::{Answers, configuration};
use touchline_common::config::Config;

/// Bytes of a file of recorded messages.
const FILE: u64 = 64 << 20;
/// Bytes of an answer.
const ANSWER: u64 = 64 << 10;

/// Whether standard input can be asked.
pub(super) enum Asking<'a> {
    Nobody,
    Somebody { input: &'a mut dyn BufRead, prompts: &'a mut dyn Write },
}

pub(super) fn feed_new(matches: &ArgMatches, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    if std::io::stdin().is_terminal() {
        let (mut input, mut prompts) = (std::io::stdin().lock(), std::io::stderr());
        new_feed(matches, &mut Asking::Somebody { input: &mut input, prompts: &mut prompts }, format, out)
    } else {
        new_feed(matches, &mut Asking::Nobody, format, out)
    }
}

pub(super) fn new_feed(
    matches: &ArgMatches,
    asking: &mut Asking<'_>,
    format: OutputFormat,
    out: &mut Printer<'_>,
) -> Outcome {
    let answers = Answers {
        name: matches.get_one::<String>("name").cloned().unwrap_or_default(),
        url: needed(matches, "url", "The server's address, such as wss://push.example/stream", asking)?,
        topics: topics(&needed(matches, "topics", "Topics to follow, with commas between them", asking)?),
        subscribe: needed(matches, "subscribe", SUBSCRIBE, asking)?,
        unsubscribe: wanted(matches, "unsubscribe", "The message that gives topics up; empty: none", asking)?,
        max_subscriptions: matches.get_one::<u64>("max-subscriptions").copied().unwrap_or_default(),
        ping: given(matches, "ping"),
        login: given(matches, "login"),
        username: given(matches, "username"),
        password_env: given(matches, "password-env"),
    };
    let recorded = messages(matches, asking)?;
    let wrong = |what: String| Failure::new(Code::Usage, format!("feed new: {what}"));
    let text = configuration(&answers, &recorded).map_err(wrong)?;
    if let Err(errors) = Config::parse(&text, "the new configuration") {
        return Err(Failure::Report(Code::Usage, errors.to_string()));
    }
    out.page(&text, format)?;
    Ok(Code::Done)
}

const SUBSCRIBE: &str = "The message that subscribes, with {TOPIC} for a topic or {TOPICS} for an array of them, {N} for a number: \
     such as {\"op\":\"subscribe\",\"topics\":{TOPICS}}";

fn given(matches: &ArgMatches, name: &str) -> String {
    matches.get_one::<String>(name).cloned().unwrap_or_default()
}

/// What must be known.
fn needed(
    matches: &ArgMatches,
    name: &str,
    question: &str,
    asking: &mut Asking<'_>,
) -> Result<String, Failure> {
    let answer = wanted(matches, name, question, asking)?;
    if answer.is_empty() {
        return Err(Failure::new(Code::Usage, format!("feed new: --{name} is needed: {question}")));
    }
    Ok(answer)
}

/// What may be left out.
fn wanted(
    matches: &ArgMatches,
    name: &str,
    question: &str,
    asking: &mut Asking<'_>,
) -> Result<String, Failure> {
    match matches.get_one::<String>(name) {
        Some(given) => Ok(given.clone()),
        None => ask(question, asking),
    }
}

/// The answer to a question; empty where nobody is there, or nothing is said.
fn ask(question: &str, asking: &mut Asking<'_>) -> Result<String, Failure> {
    let Asking::Somebody { input, prompts } = asking else { return Ok(String::new()) };
    let mut line = String::new();
    write!(prompts, "{question}\n> ")?;
    prompts.flush()?;
    input.take(ANSWER).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn topics(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|topic| !topic.is_empty()).map(str::to_owned).collect()
}

/// The messages of all files; where none were given they are asked for, kind by kind.
fn messages(matches: &ArgMatches, asking: &mut Asking<'_>) -> Result<Recorded, Failure> {
    let mut recorded = Recorded::default();
    let mut any = false;
    for said in Said::ALL {
        for path in matches.get_many::<PathBuf>(said.option()).into_iter().flatten() {
            any = true;
            add(&mut recorded, said, path)?;
        }
    }
    if any {
        return Ok(recorded);
    }
    for (said, what) in [
        (Said::Snapshot, "that has a whole document"),
        (Said::Delta, "that changes it, several if you can, in their order"),
        (Said::Acknowledged, "that acknowledges a subscription"),
        (Said::Refused, "that refuses one"),
        (Said::Ignored, "that is nothing, such as a heartbeat"),
    ] {
        let path = ask(&format!("A file with a recorded message {what}, one a line; empty: none"), asking)?;
        if !path.is_empty() {
            add(&mut recorded, said, Path::new(&path))?;
        }
    }
    if recorded.data().is_empty() {
        let text = "feed new: --snapshot FILE or --delta FILE is needed: recorded messages, one a line";
        return Err(Failure::new(Code::Usage, text));
    }
    Ok(recorded)
}

fn add(recorded: &mut Recorded, said: Said, path: &Path) -> Result<(), Failure> {
    let wrong = |what: String| {
        let text = format!("feed new: --{} {}: {what}", said.option(), path.display());
        Failure::new(Code::Usage, text)
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    file.take(FILE + 1).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > FILE {
        return Err(wrong(format!("more than {} MiB: a few messages are enough", FILE >> 20)));
    }
    recorded.add(said, &bytes).map_err(wrong)
}
