//! `touchline probe FEED`: a feed step by step, without the daemon; what each step found, what to change, and a document.
//!
//! The steps themselves are the worker's (`scan::probe`); here they are printed as lines, or as an object each.

use super::output::{Failure, Outcome, Printer, clean};
use super::{Code, OutputFormat};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use touchline_common::config::Config;
use touchline_common::logging::{self, Target, Who};
use touchline_worker::scan::probe::{self, Finding, Probed};

pub(super) fn probe(
    config: &Config,
    name: &str,
    messages: usize,
    format: OutputFormat,
    out: &mut Printer<'_>,
) -> Outcome {
    let config = &resolved(config, name)?;
    let Some(feed) = config.feed.iter().find(|feed| feed.name == name) else {
        let known: Vec<&str> = config.feed.iter().map(|feed| feed.name.as_str()).collect();
        let text = format!("there is no feed {name:?} in the configuration: it has {}", known.join(", "));
        return Err(Failure::new(Code::Usage, text));
    };
    // What the worker's parts have to say beside the steps; no other log is set up here.
    let _ = logging::init(Who::Coordinator, "warn", config.log.format, Target::Stderr);
    let mut failure = None;
    let tried = probe::probe(config, feed, messages, &mut |finding| {
        if failure.is_none() {
            failure = print(&finding, format, out).err();
        }
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let (worst, probed) = tried.map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    document(&probed, name, format, out)?;
    Ok(match worst {
        probe::Outcome::Good => Code::Done,
        probe::Outcome::Odd => Code::Partial,
        probe::Outcome::Failed => Code::Failed,
    })
}

/// The configuration as a worker has it, with the password and the headers of this feed.
fn resolved(config: &Config, name: &str) -> Result<Config, Failure> {
    let wrong = |what: String| Failure::new(Code::Usage, what);
    let mut config = config.clone();
    for feed in config.feed.iter_mut().filter(|feed| feed.name == name) {
        feed.password = feed.read_password().map_err(|error| wrong(format!("the password: {error}")))?;
        let headers = feed.read_headers().map_err(|(key, error)| wrong(format!("{key}: {error}")))?;
        feed.secret_headers.values = headers;
    }
    let text = config.to_child_json().map_err(wrong)?;
    Config::from_child_json(&text).map_err(wrong)
}

fn print(finding: &Finding, format: OutputFormat, out: &mut Printer<'_>) -> Result<(), Failure> {
    let outcome = match finding.outcome {
        probe::Outcome::Good => "ok",
        probe::Outcome::Odd => "odd",
        probe::Outcome::Failed => "failed",
    };
    let took = finding.took.as_secs_f64() * 1e3;
    match format {
        OutputFormat::Json => out.json(&json!({
            "step": finding.step, "outcome": outcome, "took_ms": took, "found": finding.found,
            "advice": (!finding.advice.is_empty()).then_some(&finding.advice),
        }))?,
        OutputFormat::Text => {
            let begin = format!("{:<8} {outcome:<6} {took:>8.1} ms", finding.step);
            block(&begin, &finding.found, out)?;
            if !finding.advice.is_empty() {
                block("->", &finding.advice, out)?;
            }
        }
    }
    out.flush()
}

/// A text of one or more lines behind its beginning.
fn block(begin: &str, text: &str, out: &mut Printer<'_>) -> Result<(), Failure> {
    for (n, line) in text.split('\n').enumerate() {
        out.line(format!("{:>27}  {}", if n == 0 { begin } else { "" }, clean(line)))?;
    }
    Ok(())
}

/// The match's document as far as a worker knows it: without what the recorder adds (epoch, version, times).
fn document(probed: &Probed, feed: &str, format: OutputFormat, out: &mut Printer<'_>) -> Result<(), Failure> {
    let Some(id) = &probed.id else { return Ok(()) };
    let bad = |error: serde_json::Error| {
        Failure::new(Code::Failed, format!("the document is not valid JSON: {error}"))
    };
    let mut head = BTreeMap::<String, Value>::new();
    let mut markets = BTreeMap::<String, Box<RawValue>>::new();
    for (market, body) in &probed.sections {
        match market {
            None => head.extend(serde_json::from_str::<BTreeMap<String, Value>>(body).map_err(bad)?),
            Some(key) => _ = markets.insert(key.clone(), RawValue::from_string(body.clone()).map_err(bad)?),
        }
    }
    let mut whole = json!({ "match": id.as_str(), "feed": feed });
    if let Some(members) = whole.as_object_mut() {
        members.extend(head);
        members.insert("markets".to_owned(), serde_json::to_value(&markets).map_err(bad)?);
    }
    match format {
        OutputFormat::Json => out.json(&json!({ "document": whole })),
        OutputFormat::Text => {
            let text = serde_json::to_string_pretty(&whole).map_err(bad)?;
            text.lines().try_for_each(|line| out.line(clean(line)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_tried_with_its_password_and_its_headers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "word\n").unwrap();
        let file = Value::from(file.display().to_string());
        let text = format!(
            "[[feed]]\nname = \"a\"\nkind = \"poll\"\nheaders_file = {{ X-Key = {file} }}\n\
             [[feed.source]]\nname = \"s\"\nurl = \"http://h/\"\n\
             [[feed]]\nname = \"b\"\nusername = \"u\"\npassword_file = {file}\n"
        );
        let config = Config::parse(&text, "touchline.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let of = |name: &str| resolved(&config, name).unwrap_or_else(|_| panic!("{name}"));
        assert_eq!(of("a").feed[0].headers.expose()["X-Key"], "word");
        assert_eq!(of("b").feed[1].password.expose(), "word");
        assert_eq!(of("b").feed[0].headers.expose().len(), 0, "of the others nothing is read");
    }
}
