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

/// `touchline run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// The file that the configuration came from, absolute, for a reload.
    pub config_path: PathBuf,
    /// Where the control socket is to be, if not where the configuration has it.
    pub socket: Option<PathBuf>,
}

/// `touchline demo`.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// The simulated server. The demo fills in where its certificate goes.
    pub server: Server,
    /// End after this long and hold the outcome against the truth; `None`: until a signal.
    pub duration: Option<Duration>,
    /// The folder for sockets and store; `None`: a temporary one.
    pub dir: Option<PathBuf>,
    pub keep: Keep,
    pub output: OutputFormat,
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

/// `touchline simulate`.
#[derive(Clone, Debug)]
pub struct SimulateOptions {
    pub server: Server,
    pub output: OutputFormat,
}

/// The hidden verbs of the forked processes. Their channel is descriptor 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildOptions {
    pub kind: ChildKind,
    /// The slot, for the process list only: what counts comes through the channel.
    pub slot: Option<u16>,
    /// The process that forked it: if it is another by now, the child leaves.
    pub parent: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildKind {
    Worker,
    Recorder,
}
