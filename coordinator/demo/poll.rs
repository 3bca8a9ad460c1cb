//! `touchline demo --feed poll`: a simulated HTTP API and the whole daemon, which asks for its list and its matches again and again.
//!
//! The proof: each published document says what was true at the change that it states; in the end all documents are those of the server,
//! and so are the cards, substitutions and goals of the event queue.

use super::progress::Progress;
use super::subject::{self, Subject};
use super::verdict::wait_for_commits;
use super::{Folder, Outcome, START_DEADLINE, Waited, because, signals, wait, watch};
use crate::cli::{DemoOptions, OutputFormat};
use nix::sys::signal::Signal;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use touchline_common::control::views::StatusView;
use touchline_common::sys::signals::Signals;
use touchline_simulator::Auditor;
use touchline_simulator::api::{Api, ApiJudge, ApiOptions, ApiReport};

/// The event queue, in the demo's folder.
const STORE: &str = "touchline.db";
/// What one worker may follow: a third of 50 matches, and one of the workers the list, too.
const MAX_SUBSCRIPTIONS: usize = 18;
/// How long all may take to equal the truth once nothing changes any more: a list is asked for each half second.
const SETTLE: Duration = Duration::from_secs(15);
const SHOWN: usize = 5;

/// Holds the demo.
///
/// # Errors
/// A sentence when something could not be started or asked.
pub fn demo(options: &DemoOptions<ApiOptions>) -> Result<Outcome, String> {
    let mut signals = signals(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGWINCH])?;
    let folder = Folder::make(options)?;
    let outcome = hold(options, &folder.path, &mut signals);
    // What went wrong stands in the log that is there.
    folder.finish(*outcome.as_ref().unwrap_or(&Outcome::Bad));
    outcome
}

fn hold(options: &DemoOptions<ApiOptions>, folder: &Path, signals: &mut Signals) -> Result<Outcome, String> {
    // Each match is followed from its beginning on: goals before that are no events.
    let api = Api::start_paused(&options.server).map_err(because("the simulated server"))?;
    let auditor = Auditor::judged(&folder.join("audit.sock"), api.judge())
        .map_err(because("listening for the document feed"))?;
    let mut subject = Subject::start(folder, &configuration(folder, &api), Some(auditor.socket()))?;
    let mut progress = Progress::new(options.output);
    progress.poll_started(folder, &api, options);
    let mut waited = subject.wait_ready(START_DEADLINE, signals)?;
    api.resume();
    if waited != Waited::Interrupted {
        waited = watch(options, signals, &mut progress, &mut |progress| {
            progress.poll_report(subject.look()?, auditor.oracle().report(), api.requests());
            Ok(())
        })?;
    }
    if waited == Waited::Interrupted {
        // Ctrl-C reaches the daemon, too: then it may not answer any more.
        progress.poll_interrupted(subject.look().ok(), auditor.oracle().report(), api.requests());
        subject.stop()?;
        return Ok(Outcome::Good);
    }
    api.pause();
    let verdict = Verdict::reach(subject, &auditor, &api)?;
    Ok(verdict.report(&mut progress))
}

/// The list and, for each match of it, an answer of its own.
fn configuration(folder: &Path, api: &Api) -> String {
    let (head, at) = (subject::head(folder), api.address);
    let corners = |side: &str| {
        format!("/matchStatistics/[period=ALL]/groups/*/statisticsItems/[key=cornerKicks]/{side}Value")
    };
    let (home, away) = (corners("home"), corners("away"));
    format!(
        "{head}[[feed]]\nname = \"demo\"\nkind = \"poll\"\ninterval = \"500ms\"\nmax_subscriptions = {MAX_SUBSCRIPTIONS}\n\n\
         [[feed.source]]\nname = \"in-play\"\nurl = \"http://{at}/matches\"\nlist = \"/matches\"\n\
         page = {{ by = \"number\", param = \"page\", size = 100 }}\ntitle = \"/title\"\nstate = \"/status\"\n\n\
         [[feed.source]]\nname = \"match\"\nurl = \"http://{at}/matches/{{ID}}\"\nsport = \"soccer\"\nstate = \"/status\"\n\
         home = \"/homeTeam/name\"\naway = \"/awayTeam/name\"\nclock = {{ minute = \"/currentMatchMinute\" }}\n\
         score = {{ home = \"/homeScore/current\", away = \"/awayScore/current\" }}\n\
         stats = {{ corners = {{ home = \"{home}\", away = \"{away}\" }} }}\nevents = \"/liveEvents\"\n\
         event = {{ id = \"/id\", type = \"/type\", side = \"/team\", minute = \"/time\", details = {{ player = \"/player/name\" }} }}\n"
    )
}

/// Runs the simulated server alone until a signal.
///
/// # Errors
/// A sentence.
pub fn simulate(options: &ApiOptions, output: OutputFormat) -> Result<Outcome, String> {
    let mut signals = signals(&[Signal::SIGINT, Signal::SIGTERM])?;
    let api = Api::start(options).map_err(because("the simulated server"))?;
    let mut progress = Progress::new(output);
    let url = format!("http://{}", api.address);
    match output {
        OutputFormat::Json => {
            let line = json!({"server": url, "seed": options.seed, "list": format!("{url}/matches"),
                "match": format!("{url}/matches/{{ID}}"), "truth": format!("{url}/truth/{{ID}}")});
            progress.line(&line.to_string());
        }
        OutputFormat::Text => {
            progress.line(&format!("HTTP API at {url} seed={}", options.seed));
            progress.line(&format!(
                "list at {url}/matches, matches at {url}/matches/ID, ground truth at {url}/truth/ID"
            ));
        }
    }
    while wait(Instant::now() + Duration::from_secs(5), &mut signals) != Waited::Interrupted {
        progress.api_server(api.listed().len(), api.requests());
        if progress.is_closed() {
            break;
        }
    }
    progress.api_server(api.listed().len(), api.requests());
    Ok(Outcome::Good)
}

/// What a demo of polling finds in the end.
struct Verdict {
    published: ApiReport,
    documents: ApiReport,
    events: ApiReport,
    goals: ApiReport,
    settled: Duration,
    /// The most requests of one path that the server ever had at once.
    at_once: u64,
    requests: u64,
    status: StatusView,
    exit: Option<i32>,
    log: String,
}

impl Verdict {
    /// Compares until all is equal, or the time for it is over; then the daemon is stopped.
    fn reach(subject: Subject, auditor: &Auditor<ApiJudge>, api: &Api) -> Result<Verdict, String> {
        let began = Instant::now();
        let (documents, events, goals) = loop {
            wait_for_commits(&subject)?;
            let found = compare(&subject, auditor, api)?;
            let (documents, events, goals) = &found;
            let is_equal = [documents, events, goals].iter().all(|report| report.is_equal());
            if is_equal || began.elapsed() >= SETTLE {
                break found;
            }
        };
        let settled = began.elapsed();
        let status = subject.status()?;
        let log = subject.log().display().to_string();
        let published = auditor.oracle().report().clone();
        let exit = subject.stop()?;
        let at_once = api.asked().values().map(|asked| asked.most).max().unwrap_or(0);
        let requests = api.requests();
        Ok(Verdict { published, documents, events, goals, settled, at_once, requests, status, exit, log })
    }

    /// Prints the summary; the last line is the outcome.
    fn report(&self, progress: &mut Progress) -> Outcome {
        let checks = [
            (
                "each published document was true at its change",
                self.published.is_equal() && self.published.compared > 0,
            ),
            ("documents equal the ground truth", self.documents.is_equal() && self.documents.compared > 0),
            ("cards and substitutions equal the ground truth", self.events.is_equal()),
            ("goals equal the ground truth", self.goals.is_equal()),
            ("nothing was asked for twice at once", self.at_once == 1),
            ("the daemon exited with code 0", self.exit == Some(0)),
        ];
        let good = checks.iter().all(|(_, holds)| *holds);
        match progress.output() {
            OutputFormat::Json => progress.line(&self.json(good)),
            OutputFormat::Text => {
                progress.line("");
                for (what, holds) in checks {
                    progress.line(&format!("{}  {what}", if holds { "ok    " } else { "FAILED" }));
                }
                self.print_differences(progress);
                progress.line(&self.text(good));
                if !good {
                    progress.line(&format!("the log: {}", self.log));
                }
            }
        }
        if good { Outcome::Good } else { Outcome::Bad }
    }

    fn text(&self, good: bool) -> String {
        format!(
            "{}  matches={} workers={} requests={} published={} wrong={} unknown={} different_documents={} different_events={} different_goals={} settled_ms={} dropped={}",
            if good { "PASS" } else { "FAIL" },
            self.status.matches.listed,
            self.status.workers.ready,
            self.requests,
            self.published.compared,
            self.published.different,
            self.published.unknown,
            self.documents.different,
            self.events.different,
            self.goals.different,
            self.settled.as_millis(),
            self.status.recorder.dropped,
        )
    }

    fn json(&self, good: bool) -> String {
        json!({"ok": good, "matches": self.status.matches.listed, "workers": self.status.workers.ready, "requests": self.requests,
            "published": self.published.compared, "wrong": self.published.different, "unknown": self.published.unknown,
            "different_documents": self.documents.different, "different_events": self.events.different,
            "different_goals": self.goals.different, "settled_s": self.settled.as_secs_f64(), "at_once": self.at_once,
            "dropped": self.status.recorder.dropped, "exit": self.exit, "status": self.status})
        .to_string()
    }

    fn print_differences(&self, progress: &mut Progress) {
        for (what, report) in [
            ("wrong when published", &self.published),
            ("document differs", &self.documents),
            ("events differ", &self.events),
            ("goals differ", &self.goals),
        ] {
            for difference in report.explained.iter().take(SHOWN) {
                progress.line(&format!("        {what}: {difference}"));
            }
            let shown = report.explained.len().min(SHOWN) as u64;
            if report.different > shown {
                progress.line(&format!("        … and {} more", report.different - shown));
            }
        }
    }
}

/// Documents, cards with substitutions, and goals.
fn compare(
    subject: &Subject,
    auditor: &Auditor<ApiJudge>,
    api: &Api,
) -> Result<(ApiReport, ApiReport, ApiReport), String> {
    let mut documents = BTreeMap::new();
    for id in api.listed() {
        documents.extend(subject.document(&id)?.map(|document| (id, document)));
    }
    let store = subject.folder().join(STORE);
    let unreadable = because("reading the store");
    let judge = auditor.oracle();
    let events = judge.events(&store).map_err(unreadable)?;
    let goals = judge.goals(&store).map_err(unreadable)?;
    Ok((judge.documents(&documents), events, goals))
}
