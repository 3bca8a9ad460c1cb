//! What the daemon of a site follows: matches of a push server, or live rooms. A fault asks either for the same.
//!
//! Whoever compares at the end takes it apart; everybody else asks it for what both have.

use super::{FeedChoice, Options};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use touchline_harness::fixture::{Config, INPLAY, run_command};
use touchline_harness::{process, wait};
use touchline_simulator::rooms::{Cut, Host, RoomHandle, RoomOptions, RoomServer};
use touchline_simulator::server::Handle;
use touchline_simulator::{Auditor, Burst, Reset, Simulator};

/// Changes of odds that the server remembers, over all matches: those before them are not compared.
const CHANGES: usize = 4_000_000;
/// Messages that a room says again to whoever joins it: what two workers bring, or one brings twice, is one line.
const OVERLAP: u64 = 30;

/// A simulated server.
pub(crate) enum Server {
    Matches(Matches),
    Rooms(RoomHandle),
}

/// A push server, and who holds what is published of it against its truth.
pub(crate) struct Matches {
    pub(crate) simulator: Handle,
    pub(crate) auditor: Auditor,
}

impl Server {
    /// Starts it; what it writes, and what is heard of it, lies in `folder`.
    pub(crate) fn start(options: &Options, folder: &Path) -> Server {
        match options.feed {
            FeedChoice::Matches => Server::Matches(Matches::start(options, folder)),
            FeedChoice::Rooms => Server::Rooms(start_rooms(options)),
        }
    }

    /// The daemon's configuration.
    pub(crate) fn config(&self, options: &Options) -> Config {
        let sections = "[pool]\nspare_workers = 1".to_owned();
        let (url, feed) = match self {
            Server::Matches(Matches { simulator, .. }) => {
                (format!("dpt://{}", simulator.address()), feed_of_matches(options))
            }
            Server::Rooms(rooms) => (format!("tcp://{}", rooms.address()), feed_of_rooms(options, rooms)),
        };
        Config { url, feed: feed + &strategy(options.connections), sections, state: None }
    }

    /// The command that runs the daemon.
    pub(crate) fn command(&self, folder: &Path) -> Command {
        let mut command = run_command(process::program());
        if let Server::Matches(_) = self {
            command.env(Auditor::VARIABLE, socket(folder));
        }
        command
    }

    /// Ids of the matches or rooms there are now.
    pub(crate) fn matches(&self) -> Vec<String> {
        match self {
            Server::Matches(Matches { simulator, .. }) => simulator.truth().matches(),
            Server::Rooms(rooms) => rooms.truth().rooms().iter().map(u64::to_string).collect(),
        }
    }

    /// How long it has taken to answer, since its start, as far as that is known.
    pub(crate) fn serving(&self) -> Duration {
        match self {
            Server::Matches(Matches { simulator, .. }) => simulator.report().serving,
            Server::Rooms(_) => Duration::ZERO,
        }
    }

    pub(crate) fn pause(&self) {
        match self {
            Server::Matches(Matches { simulator, .. }) => simulator.pause(),
            Server::Rooms(rooms) => rooms.pause(),
        }
    }

    pub(crate) fn resume(&self) {
        match self {
            Server::Matches(Matches { simulator, .. }) => simulator.resume(),
            Server::Rooms(rooms) => rooms.resume(),
        }
    }

    /// Resets connections, and waits until all that is there is followed again: the coordinator may not know yet, the server does.
    pub(crate) fn reset(&self, which: Reset, patience: Duration) {
        match self {
            Server::Matches(Matches { simulator, .. }) => reset_matches(simulator, which, patience),
            Server::Rooms(rooms) => {
                let cut = match which {
                    Reset::One(place) => Cut::One(place),
                    Reset::All => Cut::All,
                };
                let resets = rooms.report().resets;
                rooms.cut(cut);
                wait_joined(rooms, resets + 1, patience);
            }
        }
    }

    /// Its host cannot be reached for so long. Of matches the connections alone are reset.
    pub(crate) fn go_down(&self, lasts: Duration, patience: Duration) {
        match self {
            Server::Matches(_) => self.reset(Reset::All, patience),
            Server::Rooms(rooms) => {
                let resets = rooms.report().resets;
                rooms.set_host(Host::Down);
                std::thread::sleep(lasts);
                rooms.set_host(Host::Up);
                wait_joined(rooms, resets + 1, patience);
            }
        }
    }
}

impl Matches {
    fn start(options: &Options, folder: &Path) -> Matches {
        let simulator = Simulator::start(&touchline_simulator::Options {
            matches: options.matches,
            rate: options.rate,
            burst: Some(Burst {
                factor: 5.0,
                len: Duration::from_millis(200),
                every: Duration::from_secs(3),
            }),
            cap: Some(options.cap),
            seed: options.seed,
            churn: options.matches as f64 / 5.0,
            changes: CHANGES,
            ..touchline_simulator::Options::default()
        })
        .expect("the simulated server");
        let auditor =
            Auditor::start(&socket(folder), simulator.truth()).expect("listening for the document feed");
        Matches { simulator, auditor }
    }
}

fn socket(folder: &Path) -> std::path::PathBuf {
    folder.join("audit.sock")
}

fn start_rooms(options: &Options) -> RoomHandle {
    RoomServer::start(&RoomOptions {
        rooms: options.matches,
        rate: options.rate,
        spread: 100.0,
        seed: options.seed,
        churn: options.matches as f64 / 5.0,
        overlap: OVERLAP,
        ..RoomOptions::default()
    })
    .expect("the simulated server")
}

fn feed_of_matches(options: &Options) -> String {
    // `over_cap` is named: resets that come by chance must not teach a lower cap.
    format!("{INPLAY}max_subscriptions = {}\nover_cap = \"close\"\n", options.cap)
}

fn feed_of_rooms(options: &Options, rooms: &RoomHandle) -> String {
    format!(
        "kind = \"rooms\"\nmax_rooms = {cap}\nmax_per_address = {cap}\nconnects_per_s = 1000.0\nend_linger = \"2s\"\n\
         ranking = {{ url = \"http://{}/ranking\", every = \"1s\", list = \"/data/list\", id = \"/roomid\", \
         title = \"/title\", popularity = \"/online\", top = {} }}\n",
        rooms.http_address(),
        options.matches,
        cap = options.cap,
    )
}

fn strategy(connections: usize) -> String {
    match connections {
        1 => String::new(),
        more => format!("strategy = \"multiplex\"\nconnections_per_process = {more}\n"),
    }
}

fn reset_matches(simulator: &Handle, which: Reset, patience: Duration) {
    let least = match which {
        Reset::One(_) => 1,
        Reset::All => 2,
    };
    let resets = simulator.report().resets;
    simulator.reset_connections(which);
    wait::until("every match subscribed again", patience, || {
        let report = simulator.report();
        let held: usize = report.connections.iter().filter(|one| one.open).map(|one| one.subscriptions).sum();
        (report.resets >= resets + least && held > simulator.truth().matches().len()).then_some(())
    });
}

/// Waits until somebody is in every room there is, and so many connections were reset.
fn wait_joined(rooms: &RoomHandle, resets: u64, patience: Duration) {
    wait::until("somebody in every room again", patience, || {
        let report = rooms.report();
        let is_joined = |room: &u64| report.connections.iter().any(|one| one.room == Some(*room));
        (report.resets >= resets && rooms.truth().rooms().iter().all(is_joined)).then_some(())
    });
}
