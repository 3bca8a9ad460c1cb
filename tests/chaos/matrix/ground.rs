//! What a case stands on: a simulated server, the daemon with failpoints, and what can be asked of them.

use super::Verdict;
use super::pulse::Pulse;
use serde_json::{Map, Value};
use std::ops::{Deref, DerefMut};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use touchline_common::control::Client;
use touchline_harness::fixture::{Config, Fixture, INPLAY, quoted, run_command, wait_for_no_children};
use touchline_harness::process::{self, Running};
pub(super) use touchline_harness::process::{is_alive, send};
use touchline_harness::wait;
use touchline_simulator::server::Handle;
use touchline_simulator::{Options, Oracle, Simulator};

/// How long everything may take to be live: a start that hangs has 10 s, and back-off follows.
pub(super) const SETTLE: Duration = Duration::from_secs(45);
/// Children may outlive the coordinator by this.
pub(super) const GONE: Duration = Duration::from_secs(3);
/// How long the daemon may take to leave when it is asked to.
pub(super) const LEAVE: Duration = Duration::from_secs(30);
/// How long a fault may take to come.
const COMES: Duration = Duration::from_secs(20);
/// How long one answer may take, and the documents to equal the truth.
const ANSWER: Duration = Duration::from_secs(10);
/// How long events may take to: values settle after 2 s.
const EVENTS: Duration = Duration::from_secs(15);
/// Matches that the server has.
pub(super) const MATCHES: usize = 12;

/// How the daemon is started.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// `TOUCHLINE_FAILPOINTS`; `{once}` and `{when}` become files of the case, `{match}` the match of [`Ground::culprit`].
    pub(super) points: String,
    /// A bad child, which takes the first place after [`Ground::let_in_a_bad_child`].
    pub(super) bad_child: &'static str,
    /// Lines of the pool's part of the configuration.
    pub(super) pool: &'static str,
    /// Lines of the log's part.
    pub(super) log: &'static str,
    /// A process group of its own.
    pub(super) group: bool,
    /// The state stands in a folder of its own.
    pub(super) state: Option<PathBuf>,
    /// Another program than the one with failpoints: a copy that may be tampered with.
    pub(super) copy: bool,
    /// As this user.
    pub(super) uid: Option<u32>,
}

/// Everything that runs.
pub(super) struct Ground {
    // The order is the order of the end: the daemon goes before its server.
    fixture: Fixture,
    pub(super) simulator: Handle,
    plan: Plan,
    /// Descriptors of the coordinator when it was live, those of its children apart.
    own_descriptors: usize,
    known: Known,
}

impl Deref for Ground {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl DerefMut for Ground {
    fn deref_mut(&mut self) -> &mut Fixture {
        &mut self.fixture
    }
}

/// Whether every match has a committed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Some,
    All,
}

impl Ground {
    /// Starts everything and waits for nothing.
    pub(super) fn start(mut plan: Plan) -> Ground {
        let folder = tempfile::Builder::new().prefix("touchline-matrix-").tempdir().expect("a folder");
        let options = Options { matches: MATCHES, rate: 300.0, cap: Some(5), ..Options::default() };
        let simulator = Simulator::start(&options).expect("the simulated server");
        let store = quoted(&folder.path().join("touchline.db"));
        let config = Config {
            url: format!("dpt://{}", simulator.address()),
            feed: format!("{INPLAY}max_subscriptions = 5"),
            sections: format!("[pool]\n{}\n[log]\n{}\n[store]\npath = {store}", plan.pool, plan.log),
            state: plan.state.clone(),
        };
        config.write(folder.path());
        if plan.copy {
            std::fs::copy(process::faulty_program(), folder.path().join("touchline")).expect("a copy");
        }
        if let Some(uid) = plan.uid {
            let own = nix::unistd::chown(folder.path(), Some(uid.into()), None);
            own.expect("giving the folder away");
        }
        plan.points = plan.points.replace("{match}", &culprit(&simulator));
        let command = command(folder.path(), &plan);
        let fixture = Fixture::start(folder, command, ANSWER);
        Ground { fixture, simulator, plan, own_descriptors: 0, known: Known::Some }
    }

    /// Starts everything and waits until it is live.
    pub(super) fn live(plan: Plan) -> Ground {
        let mut ground = Ground::start(plan);
        ground.settle();
        ground
    }

    /// Starts the daemon again after its end, as a supervisor does.
    pub(super) fn restart(&mut self) {
        self.take_over(command(self.path(), &self.plan));
    }

    /// The daemon is started by another command from now on, in the case's folder.
    pub(super) fn take_over(&mut self, command: Command) {
        self.daemon = Running::command(self.path(), command);
        self.own_descriptors = 0;
    }

    /// From now on failpoints with `when` count.
    pub(super) fn now(&self) {
        std::fs::write(self.file("when"), "").expect("a file");
    }

    /// They do no longer.
    pub(super) fn no_more(&self) {
        std::fs::remove_file(self.file("when")).expect("the file");
    }

    /// The next worker that starts is the bad one.
    pub(super) fn let_in_a_bad_child(&self) {
        std::fs::create_dir(self.file("bad")).expect("a folder");
    }

    /// Waits until a failpoint with `once` has acted.
    pub(super) fn wait_for_the_fault(&self) {
        wait::until("the fault", COMES, || self.file("once").exists().then_some(()));
    }

    /// Waits until every match is live and every process is there.
    pub(super) fn settle(&mut self) {
        self.wait_for_status("every match live", SETTLE, is_settled);
        if self.known == Known::Some {
            self.wait_until_recorded(MATCHES, SETTLE);
            self.known = Known::All;
        }
        if self.own_descriptors == 0 {
            self.own_descriptors = self.fixture.own_descriptors();
        }
    }

    /// An operator who asks until it is stopped.
    pub(super) fn pulse(&self) -> Pulse {
        Pulse::start(self.socket())
    }

    /// Asks for something that takes its time, and does not wait for it.
    pub(super) fn begin(&self, verb: &'static str, args: Map<String, Value>) {
        let mut client = Client::connect(&self.socket()).expect("the control socket");
        // Its answer is not read: the coordinator may be dead by then.
        std::thread::spawn(move || client.request(verb, args, Duration::from_secs(60)));
    }

    /// The match that failpoints may be about.
    pub(super) fn culprit(&self) -> String {
        culprit(&self.simulator)
    }

    /// A verb of the program, as an operator types it in the daemon's folder.
    pub(super) fn operate(&self, words: &[&str]) -> Output {
        let mut command = Command::new(process::faulty_program());
        command.args(words).current_dir(self.path()).output().expect("the program")
    }

    pub(super) fn live_matches(&self) -> u64 {
        self.count("/matches/live")
    }

    /// The workers that have a process: slot and pid.
    pub(super) fn workers(&self) -> Vec<(u64, u32)> {
        self.fixture.workers().expect("the workers")
    }

    /// Some worker's pid.
    pub(super) fn worker(&self) -> u32 {
        self.workers().first().expect("a worker").1
    }

    pub(super) fn recorder(&self) -> u32 {
        self.child_called("tl-recorder").expect("a recorder")
    }

    /// A child by the name that `ps` shows.
    pub(super) fn child_called(&self, wanted: &str) -> Option<u32> {
        let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        process::children(self.daemon.pid()).into_iter().find(|pid| name(*pid).trim() == wanted)
    }

    /// The newest death of a child of this kind, which must be there.
    pub(super) fn death(&self, child: &str) -> Value {
        wait::until("the death in the status", COMES, || {
            let deaths = self.status("/deaths")?.as_array()?.clone();
            deaths.into_iter().find(|death| death.get("child").is_some_and(|kind| kind == child))
        })
    }

    /// Waits for a text of `status`.
    pub(super) fn wait_for_text(&self, path: &str, is: impl Fn(&str) -> bool) -> String {
        wait::until(&format!("{path} in the status"), COMES, || {
            let text = self.status(path)?.as_str()?.to_owned();
            is(&text).then_some(text)
        })
    }

    /// Sets a soft limit of a running process, with the program that every Debian has for it: gives what it was.
    pub(super) fn limit(&self, pid: u32, name: &str, value: &str) -> String {
        let mut get = self.as_the_daemons_user("prlimit");
        get.args(["--pid", &pid.to_string(), name, "--output", "SOFT", "--noheadings", "--raw"]);
        let before = get.output().expect("prlimit");
        let mut set = self.as_the_daemons_user("prlimit");
        set.args(["--pid", &pid.to_string(), &format!("{name}={value}:")]);
        assert!(set.status().is_ok_and(|code| code.success()), "prlimit {name}={value}:");
        String::from_utf8_lossy(&before.stdout).trim().to_owned()
    }

    /// Root in a container may not meddle with other users' limits, but they themselves may.
    fn as_the_daemons_user(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Some(uid) = self.plan.uid {
            command.uid(uid);
        }
        command
    }

    /// The saved state is whole, if it is there, and no part of one lies beside it that is ever read.
    pub(super) fn assert_state_is_whole(&self) {
        let state = self.plan.state.clone().unwrap_or_else(|| self.path().to_owned());
        if let Ok(text) = std::fs::read(state.join("state.json")) {
            assert!(serde_json::from_slice::<Value>(&text).is_ok(), "half a state");
        }
    }

    /// The coordinator has died: its children are gone soon.
    pub(super) fn assert_orphans_leave(&mut self) -> Duration {
        self.daemon.wait_for_end(COMES);
        let began = Instant::now();
        wait_for_no_children(GONE);
        began.elapsed()
    }

    /// Live again, all of it true, descriptors given back, and a clean end.
    pub(super) fn conclude(mut self, note: impl Into<String>) -> Verdict {
        self.settle();
        let oracle = Oracle::new(self.simulator.truth());
        // Not all that happened lies in the gap of the fault itself.
        wait::until("events to compare", SETTLE, || {
            std::thread::sleep(Duration::from_millis(100));
            (oracle.compare_events(&self.events()).registers > 0).then_some(())
        });
        self.simulator.pause();
        let events = oracle.settled_events(EVENTS, || self.events());
        assert!(events.is_equal() && events.registers > 0, "events differ: {events:?}");
        self.conclude_without_events(note)
    }

    /// As [`Ground::conclude`], where what happened first cannot be known.
    pub(super) fn conclude_without_events(mut self, note: impl Into<String>) -> Verdict {
        self.settle();
        let leaked = self.leaked_descriptors(self.own_descriptors);
        assert_eq!(leaked, 0, "descriptors beside {}", self.own_descriptors);
        self.simulator.pause();
        let oracle = Oracle::new(self.simulator.truth());
        let documents = oracle.settled_documents(ANSWER, |id| self.document(id));
        assert!(documents.is_equal(), "documents differ: {documents:?}");
        self.stop(LEAVE);
        Verdict::Good(note.into())
    }
}

fn is_settled(status: &Value) -> bool {
    let count = |path: &str| status.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    count("/matches/live") == MATCHES as u64
        && count("/matches/listed") == MATCHES as u64
        && count("/workers/starting") == 0
        && status.pointer("/recorder/state").is_some_and(|state| state == "ready")
}

/// Matches never end here: the first stays the first.
fn culprit(simulator: &Handle) -> String {
    simulator.truth().matches().into_iter().next().expect("a match")
}

fn command(folder: &Path, plan: &Plan) -> Command {
    let file = |name: &str| folder.join(name).display().to_string();
    let copy = folder.join("touchline");
    let mut command = run_command(if plan.copy { &copy } else { process::faulty_program() });
    let points = plan.points.replace("{once}", &file("once")).replace("{when}", &file("when"));
    command.env("TOUCHLINE_FAILPOINTS", points);
    if !plan.bad_child.is_empty() {
        command.env("TOUCHLINE_BAD_CHILD", format!("{},{}", plan.bad_child, file("bad/once")));
    }
    if let Some(uid) = plan.uid {
        command.uid(uid);
    }
    if plan.group {
        command.process_group(0);
    }
    command
}
