//! A simulated room server and a daemon that follows its rooms.

use crate::{ANSWER, BACK};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;
use touchline_harness::fixture::{Config, Fixture, quoted, run_command};
use touchline_harness::process::{self, Reaper};
use touchline_harness::wait;
use touchline_simulator::rooms::{RoomHandle, RoomOptions, RoomServer, RoomsReport};
use touchline_simulator::{ChatReport, Names, settled_chat, settled_rooms};

/// How long rooms may take until all are live: they are joined a few at a time, and again after a failure.
pub const JOINED: Duration = Duration::from_secs(60);
/// How long rows may take to be committed.
const COMMITTED: Duration = Duration::from_secs(20);
/// The feed's name in the fixture's configuration.
pub const FEED: &str = "inplay";

/// How rooms are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Tcp,
    WebSocket,
    /// Over TLS.
    SecureWebSocket,
}

/// A room server and a daemon.
pub struct RoomSite {
    // The order is the order of the end: the daemon goes before its server, and the reaper looks last.
    fixture: Fixture,
    pub server: RoomHandle,
    _reaper: Reaper,
}

impl Deref for RoomSite {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl DerefMut for RoomSite {
    fn deref_mut(&mut self) -> &mut Fixture {
        &mut self.fixture
    }
}

impl RoomSite {
    /// Starts both; `feed` writes the rest of the feed's configuration, with the folder and the server before it.
    ///
    /// # Panics
    /// When one of them does not start.
    pub fn start(
        options: &RoomOptions,
        over: Over,
        feed: impl FnOnce(&Path, &RoomHandle) -> String,
    ) -> RoomSite {
        let reaper = Reaper::new();
        let folder = tempfile::tempdir().expect("a folder");
        let authority = folder.path().join("authority.pem");
        let written = (over == Over::SecureWebSocket).then(|| authority.clone());
        let options = RoomOptions { authority: written, ..options.clone() };
        let server = RoomServer::start(&options).expect("the simulated server");
        let (url, trust) = match over {
            Over::Tcp => (format!("tcp://{}", server.address()), String::new()),
            Over::WebSocket => (format!("ws://{}/sub", server.websocket_address()), String::new()),
            Over::SecureWebSocket => (
                format!("wss://{}/sub", server.websocket_address()),
                format!("ca_file = {}\n", quoted(&authority)),
            ),
        };
        let feed = trust + &feed(folder.path(), &server);
        Config { url, feed, ..Config::default() }.write(folder.path());
        let fixture = Fixture::start(folder, run_command(process::program()), ANSWER);
        RoomSite { fixture, server, _reaper: reaper }
    }

    /// As [`RoomSite::start`], and every room of the server is live.
    ///
    /// # Panics
    /// When they are not within the deadline.
    pub fn live(
        options: &RoomOptions,
        over: Over,
        feed: impl FnOnce(&Path, &RoomHandle) -> String,
    ) -> RoomSite {
        let site = RoomSite::start(options, over, feed);
        site.wait_live(options.rooms);
        site
    }

    /// Waits until exactly so many rooms are live.
    pub fn wait_live(&self, rooms: usize) {
        self.wait_for_status(&format!("{rooms} live rooms"), JOINED, |status| {
            status.pointer("/matches/live").is_some_and(|live| *live == rooms as u64)
        });
    }

    /// Waits until the server reports it.
    pub fn wait_for_server(&self, what: &str, is: impl Fn(&RoomsReport) -> bool) {
        wait::until(what, BACK, || is(&self.server.report()).then_some(()));
    }

    /// Waits until so many more lines are stored.
    pub fn wait_for_lines(&self, more: u64) {
        let before = self.count("/recorder/bulk");
        wait::until("stored lines", JOINED, || (self.count("/recorder/bulk") >= before + more).then_some(()));
    }

    /// Every line that was sent outside gaps is stored once, once nothing is left to commit, and nothing else. Pauses the server.
    ///
    /// # Panics
    /// When it is not within the deadline.
    pub fn assert_lines_are_true(&self, names: Names) -> ChatReport {
        self.server.pause();
        let report = settled_chat(&self.server.truth(), self.path(), FEED, names, COMMITTED);
        assert!(report.is_equal() && report.rows > 0, "{report:#?}\n{}", self.daemon.log());
        report
    }

    /// Every document of a ranked room says what its room said. Pauses the server.
    ///
    /// # Panics
    /// When it is not so within the deadline.
    pub fn assert_documents_are_true(&self) {
        self.server.pause();
        let report = settled_rooms(&self.server.truth(), COMMITTED, |room| self.document(room));
        assert!(report.is_equal() && report.compared > 0, "{report:#?}\n{}", self.daemon.log());
    }
}

/// A feed of the rooms in the server's ranking, which is asked for every 200 ms; `more` are further lines.
pub fn ranked(server: &RoomHandle, more: &str) -> String {
    format!("kind = \"rooms\"\nconnects_per_s = 100.0\n{}\n{more}", ranking(server.http_address(), "200ms"))
}

/// The line that names a ranking.
pub fn ranking(at: SocketAddr, every: &str) -> String {
    format!("ranking = {{ url = \"http://{at}/ranking\", every = \"{every}\", top = 1000 }}")
}

/// A file in `folder` with what rooms are joined with, and the line that names it.
///
/// # Panics
/// When it cannot be written.
pub fn joined_with(folder: &Path, text: &str) -> String {
    let file = folder.join("join.toml");
    std::fs::write(&file, text).expect("writing what rooms are joined with");
    format!("auth_file = {}\n", quoted(&file))
}
