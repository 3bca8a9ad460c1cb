//! The same of a demo of rooms.

use super::Progress;
use crate::cli::{DemoOptions, OutputFormat};
use crate::demo::subject::Look;
use crate::demo::table::{Frame, Judged};
use serde_json::json;
use std::path::Path;
use touchline_common::control::views::counted;
use touchline_simulator::RoomOptions;
use touchline_simulator::rooms::{RoomHandle, RoomsReport};

impl Progress {
    pub fn rooms_started(
        &mut self,
        page: &str,
        folder: &Path,
        server: &RoomHandle,
        options: &DemoOptions<RoomOptions>,
    ) {
        let (tcp, websocket, http) = (server.address(), server.websocket_address(), server.http_address());
        let (socket, log) = (folder.join("control.sock"), folder.join("touchline.log"));
        let simulated = &options.server;
        if self.output == OutputFormat::Json {
            let line = json!({"page": page, "server": format!("tcp://{tcp}"), "websocket": format!("ws://{websocket}/sub"),
                "ranking": format!("http://{http}/ranking"), "control_socket": socket, "log": log, "seed": simulated.seed});
            return self.line(&line.to_string());
        }
        let duration = options.duration.map_or_else(|| "until Ctrl-C".to_owned(), |d| format!("{d:?}"));
        self.line(&format!("page         {page}"));
        self.line(&format!("room server  tcp://{tcp}, ws://{websocket}/sub"));
        self.line(&format!(
            "             {}, {:.0} messages/s, the busiest with {:.0} times the share of the quietest, seed {}",
            counted(simulated.rooms, "room", "rooms"),
            simulated.rate,
            simulated.spread,
            simulated.seed
        ));
        self.line(&format!("             ranking and truth http://{http}"));
        self.line(&format!("daemon       control socket {}", socket.display()));
        self.line(&format!("             log {}", log.display()));
        self.line(&format!("runs         {duration}"));
    }

    pub fn rooms_report(&mut self, look: Look, server: &RoomsReport) {
        self.frame = self.frame_of_rooms(look, server);
        self.show(&self.rooms_json(), &self.rooms_plain());
    }

    /// A line of the simulated server alone.
    pub fn room_server(&mut self, report: &RoomsReport) {
        let (elapsed, late) = (self.began.elapsed().as_secs_f64(), report.late_worst.as_secs_f64() * 1e3);
        let (messages, connections, joined) = (report.messages, report.connections.len(), report.joined());
        let line = match self.output {
            OutputFormat::Json => {
                json!({"elapsed_s": elapsed, "messages": messages, "connections": connections,
                "joined": joined, "refused": report.refused, "late_worst_ms": late})
                .to_string()
            }
            OutputFormat::Text => format!(
                "{elapsed:>6.1}s  messages={messages} connections={connections} joined={joined} refused={} late_worst_ms={late:.1}",
                report.refused
            ),
        };
        self.line(&line);
    }

    /// It was ended by hand: what it had done until then.
    pub fn rooms_interrupted(&mut self, look: Option<Look>, server: &RoomsReport) {
        if let Some(look) = look {
            self.frame = self.frame_of_rooms(look, server);
        }
        let text = match self.output {
            OutputFormat::Json => self.rooms_json(),
            OutputFormat::Text => {
                let Frame { elapsed, status, .. } = &self.frame;
                format!(
                    "interrupted after {:.1} s: {} on {}, {} from the server, {} stored",
                    elapsed.as_secs_f64(),
                    counted(status.matches.listed, "room", "rooms"),
                    counted(status.workers.ready, "worker", "workers"),
                    counted(server.messages, "message", "messages"),
                    counted(status.recorder.bulk, "line", "lines"),
                )
            }
        };
        self.line(&text);
    }

    fn frame_of_rooms(&self, look: Look, server: &RoomsReport) -> Frame {
        let before = self.frame.status.recorder.bulk;
        let stored = look.status.recorder.bulk;
        let judged =
            Judged::Lines { messages: server.messages, stored, stored_per_s: stored.saturating_sub(before) };
        Frame {
            elapsed: self.began.elapsed(),
            status: look.status,
            workers: look.workers,
            server_late: server.late_worst,
            judged,
        }
    }

    fn messages(&self) -> u64 {
        match self.frame.judged {
            Judged::Lines { messages, .. } => messages,
            Judged::Documents { .. } | Judged::Answers { .. } => 0,
        }
    }

    fn rooms_json(&self) -> String {
        let Frame { elapsed, status, workers, .. } = &self.frame;
        json!({"elapsed_s": elapsed.as_secs_f64(), "status": status, "workers": workers, "messages": self.messages()})
            .to_string()
    }

    /// A line of a pipe.
    fn rooms_plain(&self) -> String {
        let Frame { elapsed, status, .. } = &self.frame;
        format!(
            "{:>6.1}s  rooms={} live={} waiting={} workers={} restarts={} messages/s={:.0} lag_p99_us={} sent={} stored={} gaps_open={} dropped={}",
            elapsed.as_secs_f64(),
            status.matches.listed,
            status.matches.live,
            status.matches.waiting,
            status.workers.ready,
            status.workers.restarts,
            self.frame.diffs_per_s(),
            self.frame.lag_p99_us(),
            self.messages(),
            status.recorder.bulk,
            status.recorder.gaps_open,
            status.recorder.dropped,
        )
    }
}
