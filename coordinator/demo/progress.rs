//! What a demo prints while it runs: a table that is drawn over itself on a terminal, plain lines in a pipe.

use super::spoken;
use super::subject::Look;
use crate::cli::{DemoOptions, OutputFormat};
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use touchline_common::control::views::WorkerView;
use touchline_simulator::OracleReport;
use touchline_simulator::server::Report;

const ROWS: usize = 16;

/// What was written to a closed pipe is lost; whoever runs the demo asks [`Progress::is_closed`].
pub struct Progress {
    output: OutputFormat,
    live: bool,
    drawn: usize,
    began: Instant,
    published: u64,
    closed: bool,
}

impl Progress {
    pub fn new(output: OutputFormat) -> Progress {
        let live = output == OutputFormat::Text && io::stdout().is_terminal();
        Progress { output, live, drawn: 0, began: Instant::now(), published: 0, closed: false }
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn started(&mut self, folder: &Path, server: SocketAddr, options: &DemoOptions) {
        if self.output == OutputFormat::Json {
            let url = format!("{}://{server}", options.server.transport.scheme());
            let (socket, log) = (folder.join("control.sock"), folder.join("touchline.log"));
            let line =
                json!({"server": url, "control_socket": socket, "log": log, "seed": options.server.seed});
            return self.line(&line.to_string());
        }
        let duration = options.duration.map_or_else(|| "until Ctrl-C".to_owned(), |d| format!("{d:?}"));
        self.line(&format!(
            "push server  {}://{server}{}  {} matches, {:.0} diffs/s, {} subscriptions a connection, seed {}",
            options.server.transport.scheme(),
            spoken(options.server.protocol),
            options.server.matches,
            options.server.rate,
            options.cap(),
            options.server.seed
        ));
        self.line(&format!("daemon       control socket {}", folder.join("control.sock").display()));
        self.line(&format!("             log {}  (tail -f it)", folder.join("touchline.log").display()));
        self.line(&format!("runs         {duration}"));
    }

    pub fn report(&mut self, look: &Look, oracle: &OracleReport, server: &Report) {
        let lines = match self.output {
            OutputFormat::Json => vec![self.json(look, oracle, server)],
            OutputFormat::Text if self.live => self.table(look, oracle, server),
            OutputFormat::Text => vec![format!("{} {}", self.matches(look), published(look, oracle))],
        };
        self.published = oracle.checked;
        self.draw(&lines);
    }

    pub fn server(&mut self, report: &Report) {
        let open = report.connections.iter().filter(|connection| connection.open).count();
        self.line(&format!(
            "{:>6.1}s  messages={} loads={} connections={open} over_cap={} late_worst={:?}",
            self.began.elapsed().as_secs_f64(),
            report.messages,
            report.loads,
            report.over_cap,
            report.lateness.worst
        ));
    }

    /// It was ended by hand: what it had done until then.
    pub fn interrupted(&mut self, look: Option<&Look>, oracle: &OracleReport, server: &Report) {
        let text = match (self.output, look) {
            (OutputFormat::Json, Some(look)) => self.json(look, oracle, server),
            (OutputFormat::Json, None) => return,
            (OutputFormat::Text, Some(look)) => {
                format!(
                    "interrupted: stopping\n{} {} messages={}",
                    self.matches(look),
                    published(look, oracle),
                    server.messages
                )
            }
            (OutputFormat::Text, None) => "interrupted: stopping".to_owned(),
        };
        self.line(&text);
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

    fn draw(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.live {
            // Without wrapping a line stays one line, however narrow the terminal is made.
            text.push_str("\x1b[?7l");
        }
        if self.live && self.drawn > 0 {
            // Up to the first line drawn, and everything below it away.
            text.push_str(&format!("\x1b[{}A\r\x1b[J", self.drawn));
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        if self.live {
            text.push_str("\x1b[?7h");
        }
        self.drawn = if self.live { lines.len() } else { 0 };
        self.write(&text);
    }

    fn matches(&self, look: &Look) -> String {
        let (diffs, lag) = totals(&look.workers);
        format!(
            "{:>6.1}s  matches={} live={} waiting={} workers={} restarts={} diffs/s={diffs:.0} lag_p99={lag}us",
            self.began.elapsed().as_secs_f64(),
            look.status.matches.listed,
            look.status.matches.live,
            look.status.matches.waiting,
            look.status.workers.ready,
            look.status.workers.restarts,
        )
    }

    fn table(&self, look: &Look, oracle: &OracleReport, server: &Report) -> Vec<String> {
        let mut lines = vec![
            self.matches(look),
            format!(
                "         {} published/s={}",
                published(look, oracle),
                oracle.checked.saturating_sub(self.published)
            ),
            format!("         the server's own lateness: worst {}", short(server.lateness.worst)),
            format!(
                "{:>6} {:>8} {:>9} {:>7} {:>5} {:>8} {:>8} {:>9} {:>8}",
                "worker", "pid", "state", "subs", "busy", "diffs/s", "queue", "lag p99", "rss"
            ),
        ];
        let workers = &look.workers;
        lines.extend(workers.iter().take(ROWS).map(row));
        if workers.len() > ROWS {
            lines.push(format!("       … and {} more", workers.len() - ROWS));
        }
        lines
    }

    fn json(&self, look: &Look, oracle: &OracleReport, server: &Report) -> String {
        json!({
            "elapsed_s": self.began.elapsed().as_secs_f64(), "status": look.status, "workers": look.workers,
            "checked": oracle.checked, "mismatches": oracle.mismatches, "messages": server.messages,
        })
        .to_string()
    }

    pub fn output(&self) -> OutputFormat {
        self.output
    }
}

fn published(look: &Look, oracle: &OracleReport) -> String {
    format!(
        "documents={} checked={} wrong={} events={}",
        look.status.recorder.documents, oracle.checked, oracle.mismatches, look.status.recorder.events,
    )
}

fn row(worker: &WorkerView) -> String {
    format!(
        "{:>6} {:>8} {:>9} {:>3}/{:<3} {:>4.0}% {:>8.0} {:>6} B {:>6} us {:>5.1} MB",
        worker.worker,
        worker.pid.unwrap_or_default(),
        worker.state,
        worker.subscriptions,
        worker.cap,
        worker.busy * 100.0,
        worker.diffs_per_s,
        worker.receive_queue_bytes,
        worker.lag_us.p99,
        worker.rss_bytes.unwrap_or_default() as f64 / 1e6,
    )
}

fn totals(workers: &[WorkerView]) -> (f64, u32) {
    let diffs = workers.iter().map(|worker| worker.diffs_per_s).sum();
    (diffs, workers.iter().map(|worker| worker.lag_us.p99).max().unwrap_or(0))
}

fn short(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
