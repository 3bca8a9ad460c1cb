//! What a demo finds in the end, and the summary of it.

use super::progress::Progress;
use super::sink::{Redis, SinkReport};
use super::subject::Subject;
use super::{Outcome, because};
use crate::cli::{DemoOptions, OutputFormat};
use serde_json::json;
use std::time::{Duration, Instant};
use touchline_common::control::views::StatusView;
use touchline_simulator::server::{Handle, Report};
use touchline_simulator::{Auditor, EventsReport, FinalReport, OddsReport, OracleReport, Recorded};

/// How long the next event may take to come.
const NEXT_EVENT: Duration = Duration::from_secs(10);
/// How long the recorder may take to commit the events of everything that was sent.
const COMMIT_DEADLINE: Duration = Duration::from_secs(30);
/// How often a broken stream of events is taken up again.
const READ_ATTEMPTS: u32 = 3;
const SHOWN: usize = 5;

pub struct Verdict {
    documents: FinalReport,
    published: OracleReport,
    events: EventsReport,
    odds: OddsReport,
    sink: Option<SinkReport>,
    settled: Duration,
    status: StatusView,
    log: String,
}

/// The share of changes that have to be delivered
const DELIVERED: f64 = 0.9;
/// up to this rate, if the machine has nothing else to do.
const DELIVERED_RATE: f64 = 20_000.0;

/// What else the machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// Nothing worth mentioning.
    Idle,
    /// Something; then the share of changes that were delivered is printed and not judged.
    Busy,
}

impl Machine {
    /// As it was in the last minute: idle if less than half of a processor was wanted.
    pub fn now() -> Machine {
        let load = std::fs::read_to_string("/proc/loadavg").ok();
        let minute = load.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
        if minute.is_some_and(|minute| minute < 0.5) { Machine::Idle } else { Machine::Busy }
    }
}

/// Whether enough changes were delivered, where that can be asked: on an idle machine, and never above a rate.
fn is_delivered(share: f64, machine: Machine, options: &DemoOptions) -> bool {
    let peak = options.server.rate * options.server.burst.map_or(1.0, |burst| burst.factor.max(1.0));
    share >= DELIVERED || machine == Machine::Busy || peak > DELIVERED_RATE
}

impl Verdict {
    /// Compares: the documents at once, until they are equal or `patience` is over, and the events once all of them are committed.
    pub fn reach(
        subject: &Subject,
        redis: Option<&Redis>,
        auditor: &Auditor,
        simulator: &Handle,
        patience: Duration,
    ) -> Result<Verdict, String> {
        let began = Instant::now();
        let documents = loop {
            let mut documents = Vec::new();
            for id in simulator.truth().matches() {
                documents.extend(subject.document(&id)?.map(|document| (id, document)));
            }
            let report = auditor.oracle().compare_final(documents);
            if report.is_equal() || began.elapsed() >= patience {
                break report;
            }
        };
        let settled = began.elapsed();
        wait_for_commits(subject)?;
        // The tap goes on meanwhile, and needs the oracle.
        let recorded = auditor.oracle().recorded();
        let recorded = read_events(subject, recorded)?;
        let events = auditor.oracle().compare_recorded(&[], recorded);
        let odds = auditor.oracle().compare_odds(subject.folder());
        let status = subject.status()?;
        let sink =
            redis.map(|redis| redis.compare(status.recorder.events, auditor, simulator)).transpose()?;
        Ok(Verdict {
            documents,
            published: auditor.report(),
            events,
            odds,
            sink,
            settled,
            status,
            log: subject.log().display().to_string(),
        })
    }

    /// Prints the summary; the last line is the outcome.
    pub fn report(
        &self,
        progress: &mut Progress,
        server: &Report,
        exit: Option<i32>,
        options: &DemoOptions,
        machine: Machine,
    ) -> Outcome {
        let most = server.most_subscriptions;
        let share = self.published.delivered_share().unwrap_or(0.0);
        let checks = [
            ("documents equal the ground truth", self.documents.is_equal()),
            (
                "every published document equals the ground truth at its change number",
                self.published.mismatches == 0 && self.published.checked > 0,
            ),
            (
                "at least 90 % of the changes were delivered, where that is judged",
                is_delivered(share, machine, options),
            ),
            ("events equal the ground truth", self.events.is_equal()),
            ("every change of odds is stored once and in order", self.odds.is_equal() && self.odds.rows > 0),
            ("no connection exceeded the cap", most <= options.cap() && server.over_cap == 0),
            ("the daemon exited with code 0", exit == Some(0)),
        ];
        let sink =
            self.sink.as_ref().map(|sink| ("Redis has the same events and documents", sink.is_equal()));
        let checks: Vec<(&str, bool)> = checks.into_iter().chain(sink).collect();
        let good = checks.iter().all(|(_, holds)| *holds);
        if progress.output() == OutputFormat::Json {
            let summary = json!({
                "ok": good, "matches": self.documents.compared, "workers": self.status.workers.ready, "settled_s": self.settled.as_secs_f64(),
                "published": self.published.checked, "delivered": share, "wrong": self.published.mismatches, "unknown": self.published.unknown,
                "register_events": self.events.registers, "commentary": self.events.commentary, "different_events": self.events.different,
                "odds_rows": self.odds.rows, "odds_recovered": self.odds.recovered, "different_odds": self.odds.different,
                "redis": self.sink.as_ref().map(|sink| json!({"ok": sink.is_equal(), "register_events": sink.events.registers,
                    "commentary": sink.events.commentary, "documents": sink.documents.compared})),
                "most_subscriptions": most, "cap": options.cap(), "messages": server.messages, "dropped": self.status.recorder.dropped,
                "exit": exit, "status": self.status,
            });
            progress.line(&summary.to_string());
            return if good { Outcome::Good } else { Outcome::Bad };
        }
        progress.line("");
        for (what, holds) in checks {
            progress.line(&format!("{}  {what}", if holds { "ok    " } else { "FAILED" }));
        }
        self.print_differences(progress);
        progress.line(&format!(
            "{}  matches={} workers={} messages={} published={} delivered={:.1}% wrong={} unknown={} register_events={} commentary={} odds_rows={} odds_recovered={} settled_ms={} most_subscriptions={most}/{} dropped={}",
            if good { "PASS" } else { "FAIL" },
            self.documents.compared,
            self.status.workers.ready,
            server.messages,
            self.published.checked,
            share * 100.0,
            self.published.mismatches,
            self.published.unknown,
            self.events.registers,
            self.events.commentary,
            self.odds.rows,
            self.odds.recovered,
            self.settled.as_millis(),
            options.cap(),
            self.status.recorder.dropped,
        ));
        if good {
            return Outcome::Good;
        }
        progress.line(&format!("the log: {}", self.log));
        Outcome::Bad
    }

    fn print_differences(&self, progress: &mut Progress) {
        let named = [
            ("missing document", &self.documents.missing),
            ("unexpected document", &self.documents.extra),
            ("document differs", &self.documents.different),
            ("wrong when published", &self.published.explained),
            ("event differs", &self.events.differences),
            ("odds differ", &self.odds.differences),
        ];
        let of_sink = self.sink.iter().flat_map(|sink| {
            [
                ("missing document in Redis", &sink.documents.missing),
                ("document in Redis differs", &sink.documents.different),
                ("event in Redis differs", &sink.events.differences),
            ]
        });
        for (what, list) in named.into_iter().chain(of_sink) {
            for item in list.iter().take(SHOWN) {
                progress.line(&format!("        {what}: {item}"));
            }
            if list.len() > SHOWN {
                progress.line(&format!("        … and {} more", list.len() - SHOWN));
            }
        }
    }
}

/// Every committed event. A stream that breaks off is taken up behind its last event, as any reader of the queue would.
fn read_events(subject: &Subject, mut recorded: Recorded) -> Result<Recorded, String> {
    let mut last = 0;
    for attempt in 1.. {
        let mut stream = subject.events(last)?;
        let broken = loop {
            match stream.next_line(Some(NEXT_EVENT)) {
                Ok(None) => return Ok(recorded),
                Ok(Some(line)) => {
                    last = recorded.push(&line).map_err(because("reading an event"))?;
                }
                Err(error) => break error,
            }
        };
        if attempt >= READ_ATTEMPTS {
            return Err(because("reading the events")(broken));
        }
    }
    Ok(recorded)
}

/// Waits until the recorder has nothing left to commit.
pub fn wait_for_commits(subject: &Subject) -> Result<(), String> {
    let deadline = Instant::now() + COMMIT_DEADLINE;
    let mut before = None;
    loop {
        let recorder = subject.status()?.recorder;
        let now = (recorder.events, recorder.bulk, recorder.queue);
        if (now.2 == 0 && before == Some(now)) || Instant::now() >= deadline {
            return Ok(());
        }
        before = Some(now);
        // The recorder reports its counters once a second: equal twice means that nothing moves any more.
        std::thread::sleep(Duration::from_millis(1_200));
    }
}
