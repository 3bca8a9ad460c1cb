//! `touchline demo --feed push`: a simulated odds exchange that sends JSON, and the whole daemon, which follows its topics.
//!
//! The proof: every document that the recorder's document feed delivers equals the truth at the number it states, in the end each topic's
//! does, and so do the rows of odds; no connection ever held more than the cap.

use super::progress::Progress;
use super::subject::{self, Subject};
use super::verdict::wait_for_commits;
use super::{Folder, Outcome, SETTLE_DEADLINE, START_DEADLINE, Waited, because, signals, wait, watch};
use crate::cli::{DemoOptions, OutputFormat};
use nix::sys::signal::Signal;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use touchline_common::control::views::StatusView;
use touchline_common::sys::signals::Signals;
use touchline_simulator::push::{
    Judgement, OddsJudgement, PushAuditor, PushHandle, PushOptions, PushReport, PushServer,
};

/// How long rows may take to equal the truth once nothing changes any more.
const SETTLE_ROWS: Duration = Duration::from_secs(10);
const SHOWN: usize = 5;

/// Holds the demo.
///
/// # Errors
/// A sentence when something could not be started or asked.
pub fn demo(options: &DemoOptions<PushOptions>) -> Result<Outcome, String> {
    let mut signals = signals(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGWINCH])?;
    let folder = Folder::make(options)?;
    let outcome = hold(options, &folder.path, &mut signals);
    // What went wrong stands in the log that is there.
    folder.finish(*outcome.as_ref().unwrap_or(&Outcome::Bad));
    outcome
}

fn hold(options: &DemoOptions<PushOptions>, folder: &Path, signals: &mut Signals) -> Result<Outcome, String> {
    let server = PushServer::start(&options.server).map_err(because("the simulated server"))?;
    let socket = folder.join("audit.sock");
    // Of a demo in the same folder before.
    let _ = std::fs::remove_file(&socket);
    let auditor =
        PushAuditor::start(&socket, server.judge()).map_err(because("listening for the document feed"))?;
    let configuration = configuration(folder, &server, &options.server);
    let mut subject = Subject::start(folder, &configuration, Some(auditor.socket()))?;
    let mut progress = Progress::new(options.output);
    progress.push_started(folder, &server, options);
    let mut waited = subject.wait_ready(START_DEADLINE, signals)?;
    if waited != Waited::Interrupted {
        waited = watch(options, signals, &mut progress, &mut |progress| {
            progress.push_report(subject.look()?, &auditor.report(), &server.report());
            Ok(())
        })?;
    }
    if waited == Waited::Interrupted {
        // Ctrl-C reaches the daemon, too: then it may not answer any more.
        progress.push_interrupted(subject.look().ok(), &auditor.report(), &server.report());
        subject.stop()?;
        server.stop();
        return Ok(Outcome::Good);
    }
    server.pause();
    let verdict = Verdict::reach(subject, &server, &auditor)?;
    Ok(verdict.report(&mut progress, &server.stop(), options))
}

/// The topics of the server's list, in as many workers as its cap needs.
fn configuration(folder: &Path, server: &PushHandle, options: &PushOptions) -> String {
    format!(
        r#"{}[[feed]]
name = "demo"
kind = "push"
url = "ws://{}/"
max_subscriptions = {}
connects_per_s = 100.0
subscribes_per_s = 5000.0
messages_per_s = 100.0
list = {{ url = "http://{}/topics", every = "5s", items = "/topics", id = "/id" }}
subscribe = '{{"op":"marketSubscription","id":{{N}},"marketFilter":{{"marketIds":{{TOPICS}}}}}}'
unsubscribe = '{{"op":"marketUnsubscription","id":{{N}},"marketFilter":{{"marketIds":{{TOPICS}}}}}}'
acknowledged = {{ at = "/statusCode", is = "SUCCESS", number = "/id" }}
refused = {{ at = "/statusCode", is = "FAILURE", topic = "/marketIds", why = "/errorCode" }}
heartbeat = {{ every = "5s", send = '{{"op":"heartbeat","id":{{N}}}}' }}
batch = 50
items = "/mc"
topic = "/id"
ignored = [{{ at = "/ct", is = "HEARTBEAT", of = "message" }}, {{ at = "/op", is = "connection", of = "message" }}]
snapshot = {{ at = "/img", is = "true" }}
merge = {{ key = "id" }}
[feed.reading]
title = "/id"
state = "/marketDefinition/status"
states = {{ OPEN = "in_play", SUSPENDED = "suspended" }}
markets = {{ list = "", id = "/0/id", selections = "", selection_id = "/id", price = "/ltp" }}
"#,
        subject::head(folder),
        server.address(),
        options.cap,
        server.http_address(),
    )
}

/// Runs the simulated server alone until a signal.
///
/// # Errors
/// A sentence.
pub fn simulate(options: &PushOptions, output: OutputFormat) -> Result<Outcome, String> {
    let mut signals = signals(&[Signal::SIGINT, Signal::SIGTERM])?;
    let server = PushServer::start(options).map_err(because("the simulated server"))?;
    let mut progress = Progress::new(output);
    let (url, http) = (format!("ws://{}/", server.address()), format!("http://{}", server.http_address()));
    match output {
        OutputFormat::Json => {
            let topics = format!("{http}/topics");
            let line = json!({"server": url, "topics": topics, "seed": options.seed, "truth": http});
            progress.line(&line.to_string());
        }
        OutputFormat::Text => {
            progress.line(&format!("JSON push server at {url} seed={}", options.seed));
            progress.line(&format!("topics at {http}/topics, ground truth at {http}"));
        }
    }
    while wait(Instant::now() + Duration::from_secs(5), &mut signals) != Waited::Interrupted {
        progress.push_server(&server.report());
        if progress.is_closed() {
            break;
        }
    }
    progress.push_server(&server.stop());
    Ok(Outcome::Good)
}

/// What a demo of a push server finds in the end.
struct Verdict {
    documents: Judgement,
    settled: Duration,
    published: Judgement,
    odds: OddsJudgement,
    gaps: u64,
    status: StatusView,
    exit: Option<i32>,
    log: String,
}

impl Verdict {
    /// Compares: the documents at once, until they are equal or their time is over, the rows once all of them are committed.
    fn reach(subject: Subject, server: &PushHandle, auditor: &PushAuditor) -> Result<Verdict, String> {
        let judge = server.judge();
        let began = Instant::now();
        let documents = loop {
            let mut documents = BTreeMap::new();
            for id in server.topics() {
                documents.extend(subject.document(&id)?.map(|document| (id, document)));
            }
            let report = judge.documents(&documents);
            if report.is_equal() || began.elapsed() >= SETTLE_DEADLINE {
                break report;
            }
        };
        let settled = began.elapsed();
        wait_for_commits(&subject)?;
        let until = Instant::now() + SETTLE_ROWS;
        let odds = loop {
            let odds = judge.odds(subject.folder()).map_err(because("reading the hour files"))?;
            if odds.is_equal() || Instant::now() >= until {
                break odds;
            }
        };
        let status = subject.status()?;
        let gaps = status.recorder.gaps_open;
        let (published, log) = (auditor.report(), subject.log().display().to_string());
        let exit = subject.stop()?;
        Ok(Verdict { documents, settled, published, odds, gaps, status, exit, log })
    }

    /// Prints the summary; the last line is the outcome.
    fn report(
        &self,
        progress: &mut Progress,
        server: &PushReport,
        options: &DemoOptions<PushOptions>,
    ) -> Outcome {
        let cap = options.server.cap;
        let checks = [
            (
                "documents equal the ground truth",
                self.documents.is_equal() && self.documents.compared == options.server.topics as u64,
            ),
            (
                "every published document equals the ground truth at its change number",
                self.published.is_equal() && self.published.compared > 0,
            ),
            ("every change of odds is stored once and in order", self.odds.is_equal() && self.odds.rows > 0),
            ("no connection exceeded the cap", server.most_subscriptions <= cap && server.over_cap == 0),
            ("no gap is open", self.gaps == 0),
            ("the daemon exited with code 0", self.exit == Some(0)),
        ];
        let good = checks.iter().all(|(_, holds)| *holds);
        match progress.output() {
            OutputFormat::Json => progress.line(&self.json(good, server, cap)),
            OutputFormat::Text => {
                progress.line("");
                for (what, holds) in checks {
                    progress.line(&format!("{}  {what}", if holds { "ok    " } else { "FAILED" }));
                }
                self.print_differences(progress);
                progress.line(&self.text(good, server, cap));
                if !good {
                    progress.line(&format!("the log: {}", self.log));
                }
            }
        }
        if good { Outcome::Good } else { Outcome::Bad }
    }

    fn text(&self, good: bool, server: &PushReport, cap: usize) -> String {
        format!(
            "{}  topics={} workers={} deltas={} images={} published={} wrong={} unknown={} odds_rows={} odds_recovered={} settled_ms={} most_subscriptions={}/{cap} dropped={}",
            if good { "PASS" } else { "FAIL" },
            self.documents.compared,
            self.status.workers.ready,
            server.deltas,
            server.images,
            self.published.compared,
            self.published.different,
            self.published.unknown,
            self.odds.rows,
            self.odds.recovered,
            self.settled.as_millis(),
            server.most_subscriptions,
            self.status.recorder.dropped,
        )
    }

    fn json(&self, good: bool, server: &PushReport, cap: usize) -> String {
        json!({"ok": good, "topics": self.documents.compared, "workers": self.status.workers.ready,
            "deltas": server.deltas, "images": server.images, "settled_s": self.settled.as_secs_f64(),
            "published": self.published.compared, "wrong": self.published.different, "unknown": self.published.unknown,
            "odds_rows": self.odds.rows, "odds_recovered": self.odds.recovered, "different_odds": self.odds.judgement.different,
            "most_subscriptions": server.most_subscriptions, "cap": cap, "dropped": self.status.recorder.dropped,
            "exit": self.exit, "status": self.status})
        .to_string()
    }

    fn print_differences(&self, progress: &mut Progress) {
        for (what, report) in [
            ("document differs", &self.documents),
            ("wrong when published", &self.published),
            ("odds differ", &self.odds.judgement),
        ] {
            for difference in report.explained.iter().take(SHOWN) {
                progress.line(&format!("        {what}: {difference}"));
            }
            let more = report.different.saturating_sub(report.explained.len().min(SHOWN) as u64);
            if more > 0 {
                progress.line(&format!("        … and {more} more"));
            }
        }
    }
}
