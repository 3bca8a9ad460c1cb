//! What the verbs that are carried out elsewhere were asked to do, as plain data.

use std::path::PathBuf;
use std::time::Duration;
use touchline_simulator::Options as Server;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputFormat {
    #[default]
    Text,
    Json,
}

/// `touchline demo`, with a simulated server of one of the kinds.
#[derive(Clone, Debug)]
pub struct DemoOptions<S = Server> {
    /// The simulated server. The demo fills in where a certificate of it goes.
    pub server: S,
    /// End after this long and compare the outcome with the truth; `None`: until a signal.
    pub duration: Option<Duration>,
    /// The folder for sockets and store; `None`: a temporary one.
    pub dir: Option<PathBuf>,
    pub keep: Keep,
    pub sink: Option<DemoSink>,
    pub output: OutputFormat,
}

/// What else the daemon of a demo writes to: a real server, started beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemoSink {
    Redis,
}

impl DemoOptions {
    pub fn cap(&self) -> usize {
        self.server.cap.unwrap_or(u32::MAX as usize)
    }
}

/// Whether the folder of a demo stays when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Yes,
    No,
}
