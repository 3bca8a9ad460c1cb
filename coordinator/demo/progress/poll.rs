//! The same of a demo of polling.

use super::Progress;
use crate::cli::{DemoOptions, OutputFormat};
use crate::demo::subject::Look;
use crate::demo::table::{Frame, Judged};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use touchline_common::control::views::counted;
use touchline_simulator::api::{Api, ApiOptions, ApiReport};

impl Progress {
    pub fn poll_started(&mut self, folder: &Path, api: &Api, options: &DemoOptions<ApiOptions>) {
        let (socket, log) = (folder.join("control.sock"), folder.join("touchline.log"));
        let (at, simulated) = (api.address, &options.server);
        if self.output == OutputFormat::Json {
            let line = json!({"server": format!("http://{at}"), "control_socket": socket, "log": log, "seed": simulated.seed});
            return self.line(&line.to_string());
        }
        let duration = options.duration.map_or_else(|| "until Ctrl-C".to_owned(), |d| format!("{d:?}"));
        self.line(&format!("HTTP API     http://{at}/matches, http://{at}/matches/ID"));
        self.line(&format!(
            "             {}, {:.0} changes/s, seed {}",
            counted(simulated.matches, "match", "matches"),
            simulated.rate,
            simulated.seed
        ));
        self.line(&format!("             truth http://{at}/truth/ID"));
        self.line(&format!("daemon       control socket {}", socket.display()));
        self.line(&format!("             log {}", log.display()));
        self.line(&format!("runs         {duration}"));
    }

    pub fn poll_report(&mut self, look: Look, judge: &ApiReport, requests: u64) {
        self.frame = self.frame_of_poll(look, judge, requests);
        self.show(&self.poll_json(), &self.poll_plain());
    }

    /// A line of the simulated server alone.
    pub fn api_server(&mut self, matches: usize, requests: u64) {
        let elapsed = self.began.elapsed().as_secs_f64();
        let line = match self.output {
            OutputFormat::Json => {
                json!({"elapsed_s": elapsed, "matches": matches, "requests": requests}).to_string()
            }
            OutputFormat::Text => format!("{elapsed:>6.1}s  matches={matches} requests={requests}"),
        };
        self.line(&line);
    }

    /// It was ended by hand: what it had done until then.
    pub fn poll_interrupted(&mut self, look: Option<Look>, judge: &ApiReport, requests: u64) {
        if let Some(look) = look {
            self.frame = self.frame_of_poll(look, judge, requests);
        }
        let text = match self.output {
            OutputFormat::Json => self.poll_json(),
            OutputFormat::Text => {
                let Frame { elapsed, status, .. } = &self.frame;
                format!(
                    "interrupted after {:.1} s: {} on {}, {}, {} checked, {} wrong, {}",
                    elapsed.as_secs_f64(),
                    counted(status.matches.listed, "match", "matches"),
                    counted(status.workers.ready, "worker", "workers"),
                    counted(requests, "request", "requests"),
                    counted(judge.compared, "document", "documents"),
                    judge.different,
                    counted(status.recorder.events, "event", "events"),
                )
            }
        };
        self.line(&text);
    }

    fn frame_of_poll(&self, look: Look, judge: &ApiReport, requests: u64) -> Frame {
        let (before, asked) = match self.frame.judged {
            Judged::Answers { checked, requests, .. } => (checked, requests),
            Judged::Documents { .. } | Judged::Lines { .. } => (0, 0),
        };
        let judged = Judged::Answers {
            requests,
            requests_per_s: requests.saturating_sub(asked),
            checked: judge.compared,
            checked_per_s: judge.compared.saturating_sub(before),
            wrong: judge.different,
        };
        Frame {
            elapsed: self.began.elapsed(),
            status: look.status,
            workers: look.workers,
            server_late: Duration::ZERO,
            judged,
        }
    }

    /// Requests, documents that were checked, and how many of those were wrong, when it was shown last.
    fn answers(&self) -> (u64, u64, u64) {
        match self.frame.judged {
            Judged::Answers { requests, checked, wrong, .. } => (requests, checked, wrong),
            Judged::Documents { .. } | Judged::Lines { .. } => (0, 0, 0),
        }
    }

    fn poll_json(&self) -> String {
        let Frame { elapsed, status, workers, .. } = &self.frame;
        let (requests, checked, wrong) = self.answers();
        json!({"elapsed_s": elapsed.as_secs_f64(), "status": status, "workers": workers, "requests": requests,
            "checked": checked, "mismatches": wrong})
        .to_string()
    }

    /// A line of a pipe.
    fn poll_plain(&self) -> String {
        let Frame { elapsed, status, .. } = &self.frame;
        let (requests, checked, wrong) = self.answers();
        format!(
            "{:>6.1}s  matches={} live={} waiting={} workers={} restarts={} requests={requests} lag_p99_us={} documents={} checked={checked} wrong={wrong} events={}",
            elapsed.as_secs_f64(),
            status.matches.listed,
            status.matches.live,
            status.matches.waiting,
            status.workers.ready,
            status.workers.restarts,
            self.frame.lag_p99_us(),
            status.recorder.documents,
            status.recorder.events,
        )
    }
}
