//! The same of a demo of a JSON push server.

use super::Progress;
use crate::cli::{DemoOptions, OutputFormat};
use crate::demo::subject::Look;
use crate::demo::table::{Frame, Judged};
use serde_json::json;
use std::path::Path;
use touchline_common::control::views::counted;
use touchline_simulator::push::{Judgement, PushHandle, PushOptions, PushReport};

impl Progress {
    pub fn push_started(&mut self, folder: &Path, server: &PushHandle, options: &DemoOptions<PushOptions>) {
        let (url, http) =
            (format!("ws://{}/", server.address()), format!("http://{}", server.http_address()));
        let (socket, log) = (folder.join("control.sock"), folder.join("touchline.log"));
        let simulated = &options.server;
        if self.output == OutputFormat::Json {
            let line = json!({"server": url, "topics": format!("{http}/topics"), "control_socket": socket, "log": log, "seed": simulated.seed});
            return self.line(&line.to_string());
        }
        let duration = options.duration.map_or_else(|| "until Ctrl-C".to_owned(), |d| format!("{d:?}"));
        self.line(&format!("push server  {url}"));
        self.line(&format!(
            "             {}, {:.0} changes/s, {} subscriptions per connection, seed {}",
            counted(simulated.topics, "topic", "topics"),
            simulated.rate,
            simulated.cap,
            simulated.seed
        ));
        self.line(&format!("             topics and truth {http}"));
        self.line(&format!("daemon       control socket {}", socket.display()));
        self.line(&format!("             log {}", log.display()));
        self.line(&format!("runs         {duration}"));
    }

    pub fn push_report(&mut self, look: Look, published: &Judgement, server: &PushReport) {
        self.frame = self.frame_of_push(look, published, server);
        self.show(&self.push_json(server), &self.plain());
    }

    /// A line of the simulated server alone.
    pub fn push_server(&mut self, report: &PushReport) {
        let (elapsed, late) = (self.began.elapsed().as_secs_f64(), report.late_worst.as_secs_f64() * 1e3);
        let (connections, subscriptions) = (report.connections.len(), report.subscriptions());
        let line = match self.output {
            OutputFormat::Json => {
                json!({"elapsed_s": elapsed, "changes": report.changes, "deltas": report.deltas,
                "images": report.images, "connections": connections, "subscriptions": subscriptions,
                "over_cap": report.over_cap, "late_worst_ms": late})
                .to_string()
            }
            OutputFormat::Text => format!(
                "{elapsed:>6.1}s  deltas={} images={} connections={connections} subscriptions={subscriptions} over_cap={} late_worst_ms={late:.1}",
                report.deltas, report.images, report.over_cap
            ),
        };
        self.line(&line);
    }

    /// It was ended by hand: what it had done until then.
    pub fn push_interrupted(&mut self, look: Option<Look>, published: &Judgement, server: &PushReport) {
        if let Some(look) = look {
            self.frame = self.frame_of_push(look, published, server);
        }
        let text = match self.output {
            OutputFormat::Json => self.push_json(server),
            OutputFormat::Text => {
                let Frame { elapsed, status, .. } = &self.frame;
                format!(
                    "interrupted after {:.1} s: {} on {}, {} from the server, {} checked, {} wrong",
                    elapsed.as_secs_f64(),
                    counted(status.matches.listed, "topic", "topics"),
                    counted(status.workers.ready, "worker", "workers"),
                    counted(server.deltas, "delta", "deltas"),
                    counted(published.compared, "document", "documents"),
                    published.different,
                )
            }
        };
        self.line(&text);
    }

    fn frame_of_push(&self, look: Look, published: &Judgement, server: &PushReport) -> Frame {
        let (before, _) = self.judged();
        Frame {
            elapsed: self.began.elapsed(),
            status: look.status,
            workers: look.workers,
            server_late: server.late_worst,
            judged: Judged::Documents {
                checked: published.compared,
                checked_per_s: published.compared.saturating_sub(before),
                wrong: published.different,
            },
        }
    }

    fn push_json(&self, server: &PushReport) -> String {
        let Frame { elapsed, status, workers, .. } = &self.frame;
        let (checked, wrong) = self.judged();
        json!({"elapsed_s": elapsed.as_secs_f64(), "status": status, "workers": workers, "checked": checked,
            "mismatches": wrong, "deltas": server.deltas})
        .to_string()
    }
}
