//! What a demo prints while it runs: a table that is drawn over itself on a terminal, plain lines in a pipe.

use super::subject::Look;
use super::{inside, is_live};
use crate::cli::{DemoOptions, OutputFormat};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use touchline_simulator::OracleReport;
use touchline_simulator::server::Report;

/// The teller. A closed pipe ends nothing: the outcome still counts.
pub struct Progress {
    output: OutputFormat,
    live: bool,
    drawn: usize,
    began: Instant,
    published: u64,
}

impl Progress {
    pub fn new(output: OutputFormat) -> Progress {
        Progress { output, live: is_live(output), drawn: 0, began: Instant::now(), published: 0 }
    }

    /// What runs where.
    pub fn started(&mut self, folder: &Path, server: SocketAddr, options: &DemoOptions) {
        let duration = options.duration.map_or_else(|| "until Ctrl-C".to_owned(), |d| format!("{d:?}"));
        self.line(&format!(
            "push server  dpt://{server}  {} matches, {:.0} diffs/s, {} subscriptions a connection, seed {}",
            options.matches, options.rate, options.cap, options.seed
        ));
        self.line(&format!("daemon       control socket {}", inside(folder, "control.sock").display()));
        self.line(&format!("             log {}  (tail -f it)", inside(folder, "touchline.log").display()));
        self.line(&format!("runs         {duration}"));
    }

    /// How things stand.
    pub fn tell(&mut self, look: &Look, oracle: &OracleReport, server: &Report) {
        let lines = match self.output {
            OutputFormat::Json => vec![self.json(look, oracle, server)],
            OutputFormat::Text if self.live => self.table(look, oracle, server),
            OutputFormat::Text => vec![self.summary(look, oracle)],
        };
        self.published = oracle.checked;
        self.draw(&lines);
    }

    /// The simulated server alone.
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

    /// One line, below whatever stands there.
    pub fn line(&mut self, text: &str) {
        self.drawn = 0;
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    fn draw(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.live && self.drawn > 0 {
            // Up to the first line drawn, and everything below it away: a resized terminal repairs itself so.
            text.push_str(&format!("\x1b[{}A\r\x1b[J", self.drawn));
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = if self.live { lines.len() } else { 0 };
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    fn summary(&self, look: &Look, oracle: &OracleReport) -> String {
        let count = |path: &str| look.status.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        let (diffs, lag) = totals(&look.workers);
        format!(
            "{:>6.1}s  matches={} live={} waiting={} workers={} diffs/s={diffs:.0} lag_p99={lag}us documents={} checked={} wrong={} events={} restarts={}",
            self.began.elapsed().as_secs_f64(),
            count("/matches/listed"),
            count("/matches/live"),
            count("/matches/waiting"),
            count("/workers/ready"),
            count("/recorder/documents"),
            oracle.checked,
            oracle.mismatches,
            count("/recorder/events"),
            count("/workers/restarts"),
        )
    }

    fn table(&self, look: &Look, oracle: &OracleReport, server: &Report) -> Vec<String> {
        let mut lines = vec![
            self.summary(look, oracle),
            format!(
                "        published/s={}  server lateness worst {}",
                oracle.checked.saturating_sub(self.published),
                short(server.lateness.worst)
            ),
            format!(
                "  {:>6} {:>8} {:>9} {:>6} {:>6} {:>5} {:>9} {:>11} {:>9} {:>8}",
                "worker", "pid", "state", "subs", "cap", "busy", "diffs/s", "queue", "lag p99", "rss"
            ),
        ];
        for worker in look.workers.as_array().into_iter().flatten() {
            let number = |path: &str| worker.pointer(path).and_then(Value::as_u64).unwrap_or(0);
            let float = |path: &str| worker.pointer(path).and_then(Value::as_f64).unwrap_or(0.0);
            lines.push(format!(
                "  {:>6} {:>8} {:>9} {:>6} {:>6} {:>4.0}% {:>9.0} {:>9} B {:>6} us {:>5.1} MB",
                number("/worker"),
                number("/pid"),
                worker.get("state").and_then(Value::as_str).unwrap_or_default(),
                number("/subscriptions"),
                number("/cap"),
                float("/busy") * 100.0,
                float("/diffs_per_s"),
                number("/receive_queue_bytes"),
                number("/lag_us/p99"),
                number("/rss_bytes") as f64 / 1e6,
            ));
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

    /// How it is told.
    pub fn output(&self) -> OutputFormat {
        self.output
    }
}

fn totals(workers: &Value) -> (f64, u64) {
    let all = || workers.as_array().into_iter().flatten();
    let diffs = all().filter_map(|worker| worker.get("diffs_per_s")?.as_f64()).sum();
    let lag = all().filter_map(|worker| worker.pointer("/lag_us/p99")?.as_u64()).max().unwrap_or(0);
    (diffs, lag)
}

fn short(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
