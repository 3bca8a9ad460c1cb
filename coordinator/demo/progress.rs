//! What a demo prints while it runs: a table that is drawn over itself on a terminal, plain lines in a pipe, objects with `--json`.

mod poll;
mod push;
mod rooms;

use super::spoken;
use super::subject::Look;
use super::table::{self, Frame, Judged};
use crate::cli::{DemoOptions, OutputFormat};
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;
use touchline_common::control::views::counted;
use touchline_common::sys::terminal::{self, TerminalSize};
use touchline_simulator::OracleReport;
use touchline_simulator::server::Report;

/// Of a terminal that does not say.
const USUAL: TerminalSize = TerminalSize { columns: 80, rows: 24 };

/// What was written to a closed pipe is lost; whoever runs the demo asks [`Progress::is_closed`].
pub struct Progress {
    output: OutputFormat,
    live: bool,
    drawn: usize,
    /// What was shown last.
    frame: Frame,
    began: Instant,
    closed: bool,
}

impl Progress {
    pub fn new(output: OutputFormat) -> Progress {
        let live = output == OutputFormat::Text && io::stdout().is_terminal();
        Progress { output, live, drawn: 0, frame: Frame::default(), began: Instant::now(), closed: false }
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// `page`: the address of the live page, which comes first.
    pub fn started(&mut self, page: &str, folder: &Path, server: SocketAddr, options: &DemoOptions) {
        if self.output == OutputFormat::Json {
            let url = format!("{}://{server}", options.server.transport.scheme());
            let (socket, log) = (folder.join("control.sock"), folder.join("touchline.log"));
            let line = json!({"page": page, "server": url, "control_socket": socket, "log": log, "seed": options.server.seed});
            return self.line(&line.to_string());
        }
        let duration = options.duration.map_or_else(|| "until Ctrl-C".to_owned(), |d| format!("{d:?}"));
        let simulated = &options.server;
        let (scheme, protocol) = (simulated.transport.scheme(), spoken(simulated.protocol));
        self.line(&format!("page         {page}"));
        self.line(&format!("push server  {scheme}://{server}{protocol}"));
        self.line(&format!(
            "             {}, {:.0} diffs/s, {} subscriptions per connection, seed {}",
            counted(simulated.matches, "match", "matches"),
            simulated.rate,
            options.cap(),
            simulated.seed
        ));
        self.line(&format!("daemon       control socket {}", folder.join("control.sock").display()));
        self.line(&format!("             log {}", folder.join("touchline.log").display()));
        self.line(&format!("runs         {duration}"));
    }

    /// Where a server beside the demo is.
    pub fn sink(&mut self, url: &str) {
        match self.output {
            OutputFormat::Json => self.line(&json!({ "redis": url }).to_string()),
            OutputFormat::Text => self.line(&format!("redis        {url}")),
        }
    }

    pub fn report(&mut self, look: Look, oracle: &OracleReport, server: &Report) {
        self.frame = self.frame_of(look, oracle, server);
        self.show(&self.json(server), &self.plain());
    }

    /// What is known now: drawn on a terminal, else an object or a line.
    fn show(&mut self, json: &str, plain: &str) {
        match self.output {
            OutputFormat::Json => self.line(json),
            OutputFormat::Text if self.live => self.draw(),
            OutputFormat::Text => self.line(plain),
        }
    }

    /// The terminal has another size: what was drawn may be broken into other lines, so all of it goes.
    pub fn resized(&mut self) {
        if self.live && self.drawn > 0 {
            self.drawn = 0;
            self.write("\x1b[2J\x1b[H");
            self.draw();
        }
    }

    /// A line of the simulated server alone.
    pub fn server(&mut self, report: &Report) {
        let open = report.connections.iter().filter(|connection| connection.open).count();
        let (elapsed, late) = (self.began.elapsed().as_secs_f64(), report.lateness.worst.as_secs_f64() * 1e3);
        let line = match self.output {
            OutputFormat::Json => json!({
                "elapsed_s": elapsed, "messages": report.messages, "loads": report.loads, "connections": open,
                "over_cap": report.over_cap, "late_worst_ms": late,
            })
            .to_string(),
            OutputFormat::Text => format!(
                "{elapsed:>6.1}s  messages={} loads={} connections={open} over_cap={} late_worst_ms={late:.1}",
                report.messages, report.loads, report.over_cap
            ),
        };
        self.line(&line);
    }

    /// It was ended by hand: what it had done until then.
    pub fn interrupted(&mut self, look: Option<Look>, oracle: &OracleReport, server: &Report) {
        if let Some(look) = look {
            self.frame = self.frame_of(look, oracle, server);
        }
        let text = match self.output {
            OutputFormat::Json => self.json(server),
            OutputFormat::Text => self.totals(server),
        };
        self.line(&text);
    }

    fn frame_of(&self, look: Look, oracle: &OracleReport, server: &Report) -> Frame {
        let (before, _) = self.judged();
        let checked_per_s = oracle.checked.saturating_sub(before);
        Frame {
            elapsed: self.began.elapsed(),
            status: look.status,
            workers: look.workers,
            server_late: server.lateness.worst,
            judged: Judged::Documents { checked: oracle.checked, checked_per_s, wrong: oracle.mismatches },
        }
    }

    /// Documents that were checked, and how many were wrong, when it was shown last.
    fn judged(&self) -> (u64, u64) {
        match self.frame.judged {
            Judged::Documents { checked, wrong, .. } => (checked, wrong),
            Judged::Lines { .. } | Judged::Answers { .. } => (0, 0),
        }
    }

    /// One line, below whatever stands there.
    pub fn line(&mut self, text: &str) {
        self.drawn = 0;
        self.write(&format!("{text}\n"));
    }

    fn write(&mut self, text: &str) {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.closed |= written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
    }

    fn draw(&mut self) {
        let known = terminal::size(io::stdout().as_fd()).ok();
        let size = known.filter(|size| size.columns > 0 && size.rows > 0).unwrap_or(USUAL);
        let lines = table::lines(&self.frame, size);
        // Without wrapping a line stays one line, however narrow the terminal is made.
        let mut text = "\x1b[?7l".to_owned();
        if self.drawn > 0 {
            // Up to the first line drawn, and everything below it away.
            text.push_str(&format!("\x1b[{}A\r\x1b[J", self.drawn));
        }
        for line in &lines {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("\x1b[?7h");
        self.drawn = lines.len();
        self.write(&text);
    }

    /// A line of a pipe.
    fn plain(&self) -> String {
        let Frame { elapsed, status, .. } = &self.frame;
        let (checked, wrong) = self.judged();
        format!(
            "{:>6.1}s  matches={} live={} waiting={} workers={} restarts={} diffs/s={:.0} lag_p99_us={} documents={} checked={checked} wrong={wrong} events={}",
            elapsed.as_secs_f64(),
            status.matches.listed,
            status.matches.live,
            status.matches.waiting,
            status.workers.ready,
            status.workers.restarts,
            self.frame.diffs_per_s(),
            self.frame.lag_p99_us(),
            status.recorder.documents,
            status.recorder.events,
        )
    }

    fn totals(&self, server: &Report) -> String {
        let Frame { elapsed, status, .. } = &self.frame;
        let (checked, wrong) = self.judged();
        let (workers, recorder) = (status.workers, &status.recorder);
        format!(
            "interrupted after {:.1} s: {} on {}, {}\n{} from the server, {} checked, {wrong} wrong, {}",
            elapsed.as_secs_f64(),
            counted(status.matches.listed, "match", "matches"),
            counted(workers.ready, "worker", "workers"),
            counted(workers.restarts, "restart", "restarts"),
            counted(server.messages, "message", "messages"),
            counted(checked, "document", "documents"),
            counted(recorder.events, "event", "events"),
        )
    }

    fn json(&self, server: &Report) -> String {
        let Frame { elapsed, status, workers, .. } = &self.frame;
        let (checked, wrong) = self.judged();
        json!({
            "elapsed_s": elapsed.as_secs_f64(), "status": status, "workers": workers,
            "checked": checked, "mismatches": wrong, "messages": server.messages,
        })
        .to_string()
    }

    pub fn output(&self) -> OutputFormat {
        self.output
    }
}
