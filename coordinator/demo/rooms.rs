//! `touchline demo --feed rooms`: a simulated room server and the whole daemon, which follows the rooms of a ranking.
//!
//! The proof is the store: every line that the server sent to a joined connection, outside gaps, stands in the hour files exactly once,
//! with its texts, users and amounts, and nothing else does.

use super::progress::Progress;
use super::subject::{self, Subject};
use super::verdict::wait_for_commits;
use super::{Folder, Outcome, START_DEADLINE, Waited, because, signals, wait, watch};
use crate::cli::{DemoOptions, OutputFormat};
use nix::sys::signal::Signal;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use touchline_common::control::views::StatusView;
use touchline_common::sys::signals::Signals;
use touchline_simulator::rooms::{RoomHandle, RoomsReport};
use touchline_simulator::{
    ChatReport, FinalReport, Names, RoomOptions, RoomServer, settled_chat, settled_rooms,
};

/// The feed's name.
const FEED: &str = "demo";
/// What one worker may follow: a third of 300 rooms, and one of the workers the ranking, too.
const MAX_ROOMS: usize = 101;
/// How long rows may take to equal the truth once nobody says anything any more.
const SETTLE: Duration = Duration::from_secs(10);
const SHOWN: usize = 5;

/// Holds the demo.
///
/// # Errors
/// A sentence when something could not be started or asked.
pub fn demo(options: &DemoOptions<RoomOptions>) -> Result<Outcome, String> {
    let mut signals = signals(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGWINCH])?;
    let folder = Folder::make(options)?;
    let outcome = hold(options, &folder.path, &mut signals);
    // What went wrong stands in the log that is there.
    folder.finish(*outcome.as_ref().unwrap_or(&Outcome::Bad));
    outcome
}

fn hold(options: &DemoOptions<RoomOptions>, folder: &Path, signals: &mut Signals) -> Result<Outcome, String> {
    let server = RoomServer::start(&options.server).map_err(because("the simulated server"))?;
    let mut subject = Subject::start(folder, &configuration(folder, &server, options.server.rooms), None)?;
    let mut progress = Progress::new(options.output);
    progress.rooms_started(&subject.page(), folder, &server, options);
    let mut waited = subject.wait_ready(START_DEADLINE, signals)?;
    if waited != Waited::Interrupted {
        waited = watch(options, signals, &mut progress, &mut |progress| {
            progress.rooms_report(subject.look()?, &server.report());
            Ok(())
        })?;
    }
    if waited == Waited::Interrupted {
        // Ctrl-C reaches the daemon, too: then it may not answer any more.
        progress.rooms_interrupted(subject.look().ok(), &server.report());
        subject.stop()?;
        server.stop();
        return Ok(Outcome::Good);
    }
    server.pause();
    wait_for_commits(&subject)?;
    let lines = settled_chat(&server.truth(), subject.folder(), FEED, Names::Kept, SETTLE);
    let documents = settled_rooms(&server.truth(), SETTLE, |room| subject.document(room).ok().flatten());
    let status = subject.status()?;
    let log = subject.log().display().to_string();
    let exit = subject.stop()?;
    let verdict = Verdict { lines, documents, status, exit, log };
    Ok(verdict.report(&mut progress, &server.stop()))
}

/// The rooms of the ranking, in as many workers as their cap needs.
fn configuration(folder: &Path, server: &RoomHandle, rooms: usize) -> String {
    format!(
        "{}[[feed]]\nname = \"{FEED}\"\nkind = \"rooms\"\nurl = \"tcp://{}\"\nmax_rooms = {MAX_ROOMS}\n\
         max_per_address = {MAX_ROOMS}\nconnects_per_s = 200.0\n\
         ranking = {{ url = \"http://{}/ranking\", every = \"1s\", list = \"/data/list\", id = \"/roomid\", \
         title = \"/title\", popularity = \"/online\", top = {rooms} }}\n",
        subject::head(folder),
        server.address(),
        server.http_address(),
    )
}

/// Runs the simulated server alone until a signal.
///
/// # Errors
/// A sentence.
pub fn simulate(options: &RoomOptions, output: OutputFormat) -> Result<Outcome, String> {
    let mut signals = signals(&[Signal::SIGINT, Signal::SIGTERM])?;
    let server = RoomServer::start(options).map_err(because("the simulated server"))?;
    let mut progress = Progress::new(output);
    let (tcp, websocket) =
        (format!("tcp://{}", server.address()), format!("ws://{}/sub", server.websocket_address()));
    let http = format!("http://{}", server.http_address());
    match output {
        OutputFormat::Json => {
            let line = json!({"server": tcp, "websocket": websocket, "seed": options.seed,
                "ranking": format!("{http}/ranking"), "truth": http});
            progress.line(&line.to_string());
        }
        OutputFormat::Text => {
            progress.line(&format!("room server at {tcp} and {websocket} seed={}", options.seed));
            progress.line(&format!("ranking at {http}/ranking, ground truth at {http}"));
        }
    }
    while wait(Instant::now() + Duration::from_secs(5), &mut signals) != Waited::Interrupted {
        progress.room_server(&server.report());
        if progress.is_closed() {
            break;
        }
    }
    progress.room_server(&server.stop());
    Ok(Outcome::Good)
}

/// What a demo of rooms finds in the end.
struct Verdict {
    lines: ChatReport,
    documents: FinalReport,
    status: StatusView,
    exit: Option<i32>,
    log: String,
}

impl Verdict {
    /// Prints the summary; the last line is the outcome.
    fn report(&self, progress: &mut Progress, server: &RoomsReport) -> Outcome {
        let lines = &self.lines;
        let checks = [
            ("the store could be read, and holds lines", lines.unreadable.is_none() && lines.rows > 0),
            ("every line that was sent outside gaps is stored", lines.missing == 0),
            ("none is stored twice", lines.doubled == 0),
            ("none is stored that was never sent", lines.invented == 0),
            ("texts, users and amounts equal the ground truth", lines.altered == 0),
            (
                "every document says what its room said",
                self.documents.is_equal() && self.documents.compared > 0,
            ),
            ("the daemon exited with code 0", self.exit == Some(0)),
        ];
        let good = checks.iter().all(|(_, holds)| *holds);
        match progress.output() {
            OutputFormat::Json => progress.line(&self.json(good, server)),
            OutputFormat::Text => {
                progress.line("");
                for (what, holds) in checks {
                    progress.line(&format!("{}  {what}", if holds { "ok    " } else { "FAILED" }));
                }
                self.print_differences(progress);
                progress.line(&self.text(good, server));
                if !good {
                    progress.line(&format!("the log: {}", self.log));
                }
            }
        }
        if good { Outcome::Good } else { Outcome::Bad }
    }

    fn text(&self, good: bool, server: &RoomsReport) -> String {
        let ChatReport { rows, sent, retracts, excused, missing, doubled, altered, invented, .. } =
            &self.lines;
        format!(
            "{}  rooms={} workers={} messages={} sent={sent} stored={rows} retracts={retracts} excused={excused} missing={missing} doubled={doubled} altered={altered} invented={invented} documents={} dropped={}",
            if good { "PASS" } else { "FAIL" },
            self.status.matches.listed,
            self.status.workers.ready,
            server.messages,
            self.documents.compared,
            self.status.recorder.dropped,
        )
    }

    fn json(&self, good: bool, server: &RoomsReport) -> String {
        let lines = &self.lines;
        json!({"ok": good, "rooms": self.status.matches.listed, "workers": self.status.workers.ready,
            "messages": server.messages, "sent": lines.sent, "stored": lines.rows, "retracts": lines.retracts,
            "excused": lines.excused, "missing": lines.missing, "doubled": lines.doubled, "altered": lines.altered,
            "invented": lines.invented, "documents": self.documents.compared, "dropped": self.status.recorder.dropped, "exit": self.exit, "status": self.status})
        .to_string()
    }

    fn print_differences(&self, progress: &mut Progress) {
        let lines = self.lines.unreadable.iter().chain(&self.lines.differences);
        let differences = lines.chain(&self.documents.different).chain(&self.documents.missing);
        let known = differences.clone().count();
        for difference in differences.take(SHOWN) {
            progress.line(&format!("        {difference}"));
        }
        if known > SHOWN {
            progress.line(&format!("        … and {} more", known - SHOWN));
        }
    }
}
