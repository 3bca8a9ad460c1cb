//! The pool's events as log lines, and the log's own verbs.

use super::Daemon;
use crate::pool::{Child, LogEvent};
use touchline_common::ipc::messages::gateway::ToGateway;
use touchline_common::ipc::messages::recorder::ToRecorder;
use touchline_common::ipc::messages::worker::ToWorker;
use touchline_common::logging;

impl Daemon {
    pub(super) fn log_event(&self, event: &LogEvent) {
        let level = event.level();
        if log::log_enabled!(level) {
            let fields = event.fields(&|feed| self.pool.feed_name(feed));
            log::logger().log(
                &log::Record::builder()
                    .level(level)
                    .target(module_path!())
                    .key_values(&fields)
                    .args(format_args!("{}", event.name()))
                    .build(),
            );
        }
    }

    /// `status` as a log line, for SIGQUIT.
    pub(super) fn log_status(&self) {
        let status = serde_json::to_string(&self.status_view()).unwrap_or_default();
        log::info!(status = status.as_str(); "coord.status");
    }

    /// Opens the log's file anew, here first and then in every child.
    pub(super) fn reopen_log(&mut self) -> Result<String, String> {
        if self.children.listening().any(|child| child == Child::RECORDER) {
            // Files that sinks write are rotated by the same hands.
            self.send_recorder(&ToRecorder::ReopenSinks, 0);
        }
        let Some(path) = self.setup.log_file.clone() else {
            return Ok("the log goes to standard error: whoever made that descriptor rotates it".to_owned());
        };
        let file =
            logging::open_file(&path).map_err(|error| format!("opening {}: {error}", path.display()))?;
        self.log.set_file(file);
        let children: Vec<_> = self.children.listening().collect();
        for child in children {
            self.pass_log_file(child);
        }
        log::info!(file:% = path.display(); "log.reopened");
        Ok(format!("reopened {}", path.display()))
    }

    /// Gives a child the log's file, if the log is one; without it the child writes where we began.
    pub(super) fn pass_log_file(&mut self, child: Child) {
        let Some(path) = &self.setup.log_file else { return };
        let file = match logging::open_file(path) {
            Ok(file) => file,
            Err(error) => {
                log::error!(file:% = path.display(), error:% = error; "log.open_failed");
                return;
            }
        };
        let passed = match child {
            Child::Worker(_) => self.children.send_worker(child, &ToWorker::LogFile, 0, Some(file)),
            Child::RECORDER => self.children.send_recorder(&ToRecorder::LogFile, 0, Some(file)),
            Child::GATEWAY => self.children.send_gateway(&ToGateway::LogFile, Some(file)),
        };
        if let Err(error) = passed {
            log::error!(child:? = child, error:% = error; "log.pass_failed");
        }
    }

    pub(super) fn set_log_filter(&mut self, filter: &str) -> Result<String, String> {
        self.log.set_filter(filter).map_err(|error| error.to_string())?;
        let children: Vec<_> = self.children.listening().collect();
        self.log_filter = Some(filter.to_owned());
        for child in children {
            self.pass_log_filter(child);
        }
        log::info!(filter = filter; "log.filter");
        Ok(format!("log level set to {filter}"))
    }

    /// Sends a child the filter that was set since the start, if one was.
    pub(super) fn pass_log_filter(&mut self, child: Child) {
        let Some(filter) = self.log_filter.clone() else { return };
        let _ = match child {
            Child::Worker(_) => self.children.send_worker(child, &ToWorker::LogFilter { filter }, 0, None),
            Child::RECORDER => self.children.send_recorder(&ToRecorder::LogFilter { filter }, 0, None),
            Child::GATEWAY => self.children.send_gateway(&ToGateway::LogFilter { filter }, None),
        };
    }
}
