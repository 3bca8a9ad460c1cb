//! The table against the contract, the verbs against a daemon of the test's own.

mod offered;
mod simulated;

use super::output::clean;
use super::*;
use crate::pool::Child;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use touchline_common::config::Config;
use touchline_common::control::{Request, VERBS, Verb};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Built {
    Yes,
    No,
}

/// The verbs of the contract, and whether this build has them.
const CONTRACT: &[(&str, Built)] = &[
    ("run", Built::Yes),
    ("demo", Built::Yes),
    ("simulate", Built::Yes),
    ("check", Built::Yes),
    ("status", Built::Yes),
    ("workers", Built::Yes),
    ("matches", Built::Yes),
    ("match", Built::Yes),
    ("gaps", Built::Yes),
    ("events", Built::Yes),
    ("odds", Built::Yes),
    ("probe", Built::Yes),
    ("health", Built::Yes),
    ("drain", Built::Yes),
    ("move", Built::Yes),
    ("rebalance", Built::Yes),
    ("scale", Built::Yes),
    ("resync", Built::Yes),
    ("release", Built::Yes),
    ("sink", Built::Yes),
    ("reload", Built::No),
    ("upgrade", Built::No),
    ("log", Built::Yes),
    ("dissect", Built::Yes),
    ("replay", Built::Yes),
    ("stop", Built::Yes),
    ("ping", Built::Yes),
    ("wait-ready", Built::Yes),
    ("metrics", Built::No),
    ("top", Built::No),
    ("doctor", Built::No),
    ("completions", Built::Yes),
    ("man", Built::Yes),
];

/// What was asked of the parts that are carried out elsewhere.
#[derive(Default)]
struct Asked(RefCell<Vec<String>>);

impl Asked {
    fn take(&self) -> String {
        self.0.borrow_mut().drain(..).collect::<Vec<_>>().join("\n")
    }

    fn note(&self, what: String) -> Code {
        self.0.borrow_mut().push(what);
        Code::Done
    }
}

impl Commands for Asked {
    fn run(&self, config: Config, socket: PathBuf) -> Result<Code, CommandError> {
        Ok(self.note(format!("run {} {}", config.feed.len(), socket.display())))
    }

    fn demo(&self, options: DemoOptions) -> Result<Code, CommandError> {
        Ok(self.note(format!("{options:?}")))
    }

    fn simulate(
        &self,
        server: touchline_simulator::Options,
        output: OutputFormat,
    ) -> Result<Code, CommandError> {
        Ok(self.note(format!("{server:?}, output: {output:?}")))
    }

    fn child(&self, child: Child, parent: u32) -> Code {
        self.note(format!("{child:?} {parent}"))
    }
}

struct Ran {
    code: Code,
    out: String,
    err: String,
    asked: String,
}

fn touchline(args: &[&str]) -> Ran {
    let asked = Asked::default();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = ["touchline"].iter().chain(args).map(OsString::from);
    let code = main_with(args, &asked, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code, out: text(out), err: text(err), asked: asked.take() }
}

/// A daemon that gives each answer once, in order, to the verb it is for, and then is gone.
struct Daemon {
    folder: tempfile::TempDir,
    thread: Option<std::thread::JoinHandle<Vec<Value>>>,
}

impl Daemon {
    fn answering(answers: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut socket, _) = listener.accept().unwrap();
                let mut line = String::new();
                BufReader::new(socket.try_clone().unwrap()).read_line(&mut line).unwrap();
                let request = Request::parse(line.as_bytes()).unwrap();
                // No real daemon would take another.
                Verb::by_name(&request.verb).unwrap().read(request.args).unwrap();
                asked.push(serde_json::from_str(&line).unwrap());
                // A client that has seen enough may be gone.
                let _ = socket.write_all(answer.as_bytes());
            }
            std::fs::remove_file(path).unwrap();
            asked
        });
        Self { folder, thread: Some(thread) }
    }

    fn ok(results: &[Value]) -> Self {
        Self::answering(
            results.iter().map(|result| format!("{}\n", json!({"ok": true, "result": result}))).collect(),
        )
    }

    fn run(&self, args: &[&str]) -> Ran {
        let socket = self.folder.path().join("control.sock");
        let mut args = args.to_vec();
        args.extend(["--socket", socket.to_str().unwrap()]);
        touchline(&args)
    }

    fn asked(mut self) -> Vec<Value> {
        self.thread.take().unwrap().join().unwrap()
    }
}

fn status(state: &str) -> Value {
    json!({"version": "0.1.0", "build": "abc", "pid": 4_000_000_001_u64, "uptime_s": 192.5, "state": state, "epoch": 12,
        "workers": {"ready": 6, "starting": 0, "parked": 0, "restarts": 0, "max": 64},
        "matches": {"listed": 250, "waiting": 2, "subscribing": 0, "live": 248, "stale": 0, "quarantined": 0, "ended": 3},
        "feeds": [{"name": "inplay", "kind": "diffusion", "state": "degraded", "asked": 251, "acknowledged": 251,
            "live": 249, "cap": 50, "learned_cap": null, "why": "2 matches waiting for capacity"}],
        "recorder": {"state": "ready", "documents": 250, "events": 1234, "queue": 0, "dropped": 0},
        "gateway": {"state": "off", "clients": 0}, "sandbox": {"landlock": "off", "seccomp": "off"}})
}

#[test]
fn the_table_is_the_contracts() {
    let command = verbs::command();
    let built = |verb: &clap::Command| if verb.is_hide_set() { Built::No } else { Built::Yes };
    let table: Vec<(&str, Built)> =
        command.get_subcommands().map(|verb| (verb.get_name(), built(verb))).collect();
    assert_eq!(table, CONTRACT);
    let log = command.find_subcommand("log").unwrap();
    assert_eq!(log.get_subcommands().map(clap::Command::get_name).collect::<Vec<_>>(), ["level", "reopen"]);
    command.debug_assert();
    verbs::offered().debug_assert();
}

#[test]
fn the_command_line_and_the_socket_know_the_same_arguments() {
    let command = verbs::command();
    for known in VERBS.iter().filter(|verb| verb.name != "help") {
        let verb = command.find_subcommand(known.name).unwrap_or_else(|| panic!("{}", known.name));
        let taken: Vec<&str> = known.names().collect();
        let inner = verb.get_subcommands().flat_map(clap::Command::get_arguments);
        for arg in verb.get_arguments().chain(inner) {
            let name = arg.get_id().as_str().replace('-', "_");
            // How events are written is the command line's own business.
            let is_ours = (known.name, name.as_str()) == ("events", "format");
            assert!(is_ours || taken.contains(&name.as_str()), "{} {name}: {taken:?}", known.name);
        }
    }
    let daemon = Daemon::ok(&[json!({"moves": [], "drains": [], "feeds": []})]);
    assert_eq!(daemon.run(&["rebalance", "--dry-run"]).code, Code::Done);
    assert_eq!(daemon.asked(), [json!({"verb": "rebalance", "args": {"dry_run": true}})]);
}

#[test]
fn every_built_verb_is_carried_out() {
    for (verb, _) in CONTRACT.iter().filter(|(_, built)| *built != Built::No) {
        let inner: Vec<&[&str]> = match *verb {
            "log" => vec![&["level", "info"], &["reopen"]],
            "sink" => vec![&["rewind", "redis", "--since", "7"]],
            "drain" => vec![&["1"]],
            "move" => vec![&["inplay/7", "3"]],
            "rebalance" => vec![&[], &["--dry-run"]],
            "scale" => vec![&["--min", "1", "--max", "2"]],
            "match" | "odds" | "resync" | "release" => vec![&["inplay/7"]],
            "completions" => vec![&["bash"]],
            "dissect" => vec![&["/nowhere.pcap"]],
            "probe" => vec![&["inplay"]],
            "replay" => vec![&["--match", "inplay/7"], &["--raw", "/nowhere.raw"]],
            "wait-ready" => vec![&["--timeout", "1ms"]],
            _ => vec![&[]],
        };
        for rest in inner {
            let args =
                [&[*verb, "--socket", "/nowhere/control.sock", "--config", "/nowhere.toml"], rest].concat();
            let ran = touchline(&args);
            assert!(!ran.err.contains("not in this build"), "{args:?}: {}", ran.err);
            let expected = match *verb {
                "run" | "check" | "probe" | "replay" => Code::Usage,
                "dissect" => Code::Failed,
                "demo" | "simulate" | "completions" | "man" => Code::Done,
                _ => Code::NotRunning,
            };
            assert_eq!(ran.code, expected, "{args:?}: {}", ran.err);
        }
    }
}

#[test]
fn slips_are_usage_errors_with_a_suggestion() {
    for (args, said) in [
        (&["statsu"][..], "status"),
        (&["status", "--jsn"], "--json"),
        (&["demo", "--fro", "5s"], "a similar argument exists: '--for'"),
        (&["--sokcet", "x", "status"], "--socket"),
        (&["log", "level", "--josn"], "--json"),
        (&["matches", "--state", "liv"], "live"),
        (&["events", "--limit", "x"], "--limit"),
        (&["ping", "--timeout", "soon"], "is not a duration"),
        (&["match"], "<ID>"),
        (&["log"], "level"),
        (&[], "Usage"),
        (&["log", "level", "loud"], "/nowhere"),
    ] {
        let args: Vec<&str> = if args.first() == Some(&"log") && args.len() > 1 {
            [args, &["--socket", "/nowhere"]].concat()
        } else {
            args.to_vec()
        };
        let ran = touchline(&args);
        assert_eq!(ran.code, Code::Usage, "{args:?}: {}", ran.err);
        let said = if said == "/nowhere" { "`loud` is not a level" } else { said };
        assert!(ran.err.contains(said) && ran.out.is_empty(), "{args:?}: {}", ran.err);
    }
    assert_eq!(touchline(&["--version"]).out, concat!("touchline ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn run_and_check_read_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("touchline.toml");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "[daemon]\nrun_dir = \"/r\"\nstate_dir = \"/s\"\n[[feed]]\n").unwrap();
    assert_eq!(touchline(&["run", "--config", file]).asked, "run 1 /r/control.sock");
    assert_eq!(touchline(&["run", "--config", file, "--socket", "s"]).asked, "run 1 s");
    let check = touchline(&["check", "--config", file]);
    assert_eq!((check.code, check.out), (Code::Done, format!("{file} is valid: 1 feed inplay\n")));
    let print = touchline(&["check", "--print", "--config", file]).out;
    assert!(
        Config::parse(&print, "printed").is_ok() && print.contains("publish_deadline = \"20ms\""),
        "{print}"
    );

    std::fs::write(&path, "[pool]\nmax_workers = 0\n[[feed]]\nkind = \"poll\"\n").unwrap();
    let run = touchline(&["run", "--config", file]);
    assert_eq!((run.code, run.asked.as_str(), run.err.lines().count()), (Code::Usage, "", 1));
    assert!(run.err.starts_with(&format!("touchline: {file}:2:15: `max_workers` is 0")), "{}", run.err);
    let check = touchline(&["check", "--config", file]);
    assert_eq!(check.code, Code::Usage);
    assert!(
        check.err.contains("^ expected at least 1") && check.err.contains("not in this build"),
        "{}",
        check.err
    );
    let json: Value = serde_json::from_str(&touchline(&["check", "--json", "--config", file]).out).unwrap();
    assert_eq!(json["mistakes"][1]["line"], 4);
    assert_eq!(json["mistakes"][1]["setting"], "feed[0].kind");
}

#[test]
fn what_cannot_work_is_refused_by_check_and_by_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(file("bad.toml"), "[event]\nscroe = \"SS\"\n").unwrap();
    std::fs::write(file("broken.toml"), "[event").unwrap();
    std::fs::write(file("good.toml"), "[event]\nscore = \"ZZ\"\n").unwrap();
    let dirs = format!("[daemon]\nrun_dir = {:?}\nstate_dir = {:?}\n", file("r"), file("s"));
    let tried = |verb: &str, text: &str| {
        std::fs::write(file("t.toml"), format!("{dirs}{text}\n")).unwrap();
        touchline(&[verb, "--config", &file("t.toml")])
    };
    let mapping = |name: &str| format!("[[feed]]\nmapping = {:?}", file(name));
    let target = |name: &str| format!("[log]\ntarget = {:?}", file(name));
    let no_variable = "[[feed]]\nusername = \"u\"\npassword_env = \"TOUCHLINE_NO_SUCH_VARIABLE\"";
    let no_authority = format!("[[feed]]\nurl = \"dpts://h:1\"\nca_file = {:?}", file("ca.pem"));
    for (text, said) in [
        (mapping("bad.toml"), "bad.toml: mapping, at line 2, column 1 (event.scroe)"),
        (mapping("broken.toml"), "broken.toml: mapping, at line 1"),
        (mapping("none.toml"), "none.toml: cannot read it"),
        (no_variable.to_owned(), "password_env: "),
        (no_authority, "ca.pem: "),
        (target("none/log"), "the folder of the log"),
        (target(""), "is a folder"),
    ] {
        let checked = tried("check", &text);
        assert_eq!(checked.code, Code::Usage, "{text}: {}", checked.out);
        assert!(checked.err.contains(said) && checked.err.contains("t.toml:"), "{text}: {}", checked.err);
        let ran = tried("run", &text);
        assert_eq!((ran.code, ran.asked.as_str(), ran.err.lines().count()), (Code::Usage, "", 1), "{text}");
        assert!(ran.err.contains(said), "{text}: {}", ran.err);
    }
    for text in [mapping("good.toml"), target("s/log"), target("log")] {
        let checked = tried("check", &text);
        assert_eq!(checked.code, Code::Done, "{text}: {}", checked.err);
    }
}

#[test]
fn status_as_json_is_what_the_daemon_wrote() {
    let answer = "{\"ok\":true,\"result\":{\"version\":\"1\",\"a\":1.50,\"z\":[]}}\n";
    let daemon = Daemon::answering(vec![answer.to_owned()]);
    let ran = daemon.run(&["status", "--json"]);
    assert_eq!((ran.code, ran.out.as_str()), (Code::Done, "{\"version\":\"1\",\"a\":1.50,\"z\":[]}\n"));
    assert_eq!(daemon.asked(), [json!({"verb": "status", "args": {}})]);
}

#[test]
fn status_for_people() {
    let golden = "\
touchline 0.1.0 (abc): degraded, up 3m12s
pid 4000000001, epoch 12

matches   250 listed, 248 live, 2 waiting; 3 ended
workers   6 of 64 ready; 0 restarts
recorder  ready: 250 documents, 1234 events, 0 queued, 0 dropped
gateway   off; sandbox: landlock off, seccomp off

FEED    KIND       STATE     ASKED  ACKED  LIVE  CAP
inplay  diffusion  degraded    251    251   249   50
inplay: 2 matches waiting for capacity
";
    let ran = Daemon::ok(&[status("degraded")]).run(&["status"]);
    assert_eq!(ran.out, golden);
    assert!(golden.lines().all(|line| line.len() <= 80));
    let mut after_deaths = status("degraded");
    let at = format!("{:.4}", jiff::Timestamp::now());
    let second = at[..19].to_owned();
    after_deaths["deaths"] = json!([
        {"child": "worker", "worker": 3, "feed": "inplay", "generation": 2, "pid": 71, "at": at, "exit": null,
            "signal": 6, "core": true, "why": "no load report for 10012 ms", "uptime_s": 65.0, "matches": 17, "match": "90000012C1A", "last_activity": "ready"},
        {"child": "recorder", "worker": null, "feed": "", "generation": 1, "pid": null, "at": at, "exit": 1,
            "signal": null, "core": false, "why": "", "uptime_s": 0.5, "matches": 0, "last_activity": "starting for 500 ms"},
        {"child": "worker", "worker": 4, "at": "2020-01-02T03:04:00Z", "uptime_s": 0.5, "matches": 0}]);
    let golden = golden.to_owned()
        + &format!(
            "
DIED                 WHO       PID  HOW                 UP  MATCHES
{second}  w3         71  signal 6 (core)  1m05s       17
{second}  recorder    -  exit 1           0.5 s        0
w3: no load report for 10012 ms, at match 90000012C1A
recorder: starting for 500 ms
1 death more than an hour ago
"
        );
    assert_eq!(Daemon::ok(&[after_deaths]).run(&["status"]).out, golden);
    let mut busy = status("ready");
    busy["workers"] =
        json!({"ready": 5, "starting": 1, "draining": 2, "parked": 3, "restarts": 1, "max": 64});
    busy["matches"] = json!({"listed": 9, "live": 7, "ending": 2, "ended": 1});
    let recent =
        json!({"child": "worker", "worker": 4, "at": at, "signal": 9, "why": "killed", "uptime_s": 0.5});
    busy["deaths"] = json!(vec![recent; 7]);
    let shown = Daemon::ok(&[busy]).run(&["status"]).out;
    for line in [
        "matches   9 listed, 7 live, 2 ending; 1 ended\n",
        "workers   5 of 64 ready, 1 starting, 2 draining, 3 parked; 1 restart\n",
        "2 more deaths in the last hour\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("hour ago"), "{shown}");
    // An empty answer, of whatever version, is shown all the same.
    assert_eq!(Daemon::ok(&[json!({})]).run(&["status"]).code, Code::Done);
}

#[test]
fn lists_for_people() {
    let workers = json!([{"worker": 1, "pid": 2, "state": "ready", "feed": "inplay", "connection": "up", "matches": 50,
        "subscriptions": 50, "reserved": 0, "cap": 50, "busy": 0.12, "diffs_per_s": 812.0, "bytes_per_s": 51234.0,
        "receive_queue_bytes": 0, "receive_queue_peak_bytes": 65536, "server_queue": null,
        "lag_us": {"p50": 90, "p99": 700}, "rss_bytes": 3145728, "restarts": 0, "generation": 1, "uptime_s": 9.1,
        "last_exit": null}]);
    let golden = "\
W  PID  STATE  FEED    LINK  SUBS/CAP  BUSY  DIFFS/S     P99  QUEUE     RSS     UP
1    2  ready  inplay  up       50/50   12%      812  700 us    0 B  3.1 MB  9.1 s
";
    assert_eq!(Daemon::ok(&[workers]).run(&["workers"]).out, golden);
    let matches = json!([{"match": "7", "feed": "inplay", "worker": 1, "epoch": 3, "state": "live", "version": 17,
        "updated_at": "x", "age_ms": 12, "name": "A\u{1b}[2J v B"}, {"match": "8", "feed": "inplay", "worker": null,
        "epoch": null, "state": "waiting", "version": null, "updated_at": null, "age_ms": null, "name": null}]);
    let golden = "\
MATCH     STATE    W  EPOCH  VERSION    AGE  NAME
inplay/7  live     1      3       17  12 ms  A\\u{1b}[2J v B
inplay/8  waiting  -      -        -      -  -
";
    let daemon = Daemon::ok(&[matches]);
    assert_eq!(daemon.run(&["matches", "--feed", "inplay", "--worker", "1", "--state", "live"]).out, golden);
    assert_eq!(
        daemon.asked(),
        [json!({"verb": "matches", "args": {"feed": "inplay", "worker": 1, "state": "live"}})]
    );
    let gap = json!([{"id": 1, "feed": "inplay", "match": "7", "worker": 2, "started_at": "a", "ended_at": null, "reason": "worker died"}]);
    assert!(Daemon::ok(&[gap]).run(&["gaps"]).out.ends_with("inplay/7  2  a        open   worker died\n"));
}

#[test]
fn a_document_for_people() {
    let document = json!({"match": "7", "feed": "inplay", "source": "match", "epoch": 3, "version": 17,
        "received_at": "r", "updated_at": "u", "stale": false, "sport": "soccer", "name": "A v B",
        "status": "in_play", "period": "2nd half", "clock": {"seconds": 2712, "running": true, "down": false, "at": "x"},
        "score": {"text": "1-0", "home": 1, "away": 0, "periods": [{"home": 1, "away": 0}]},
        "stats": {"corners": {"home": 3, "away": 1}}, "market_order": ["m2", "m1", "gone"],
        "markets": {"m1": {"name": "Second", "suspended": true, "selections": {}},
            "m2": {"name": "Result", "suspended": false, "selections": {
                "s2": {"name": "B", "odds": 3.5, "odds_text": "5/2", "suspended": true, "order": 1},
                "s1": {"name": "A", "odds": 2.25, "odds_text": "5/4", "open": 2.1, "suspended": false, "order": 0}}}}});
    let golden = "\
A v B  1-0 (1-0)
inplay/7
soccer, in_play, 2nd half, clock 45:12 running
version 17 of epoch 3, from the match, updated u
  corners 3-1

Result
  SELECTION  LINE  ODDS  AS WRITTEN  OPEN
  A             -  2.25         5/4   2.1
  B             -   3.5         5/2     -  suspended

Second (suspended)
";
    assert_eq!(Daemon::ok(&[document]).run(&["match", "inplay/7"]).out, golden);
}

#[test]
fn events_one_a_line() {
    let event = |seq: u64| json!({"seq": seq, "match": "7", "type": "goal", "score": {"home": 1, "away": 0}, "payload": {"a": "x,\"y\""}});
    let stream = |events: &[Value]| {
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        Daemon::answering(vec![format!("{{\"ok\":true,\"result\":null}}\n{lines}")])
    };
    let daemon = stream(&[event(1), event(2)]);
    let ran = daemon.run(&["events", "--since", "0", "--lane", "priority"]);
    assert_eq!((ran.code, ran.out), (Code::Done, format!("{}\n{}\n", event(1), event(2))));
    assert_eq!(daemon.asked(), [json!({"verb": "events", "args": {"since": 0, "lane": "priority"}})]);

    let csv = stream(&[event(1)]).run(&["events", "--format", "csv"]).out;
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("seq,id,revision") && lines[0].ends_with("recovered,payload"));
    assert_eq!(lines[1], r#"1,,,,7,,,goal,,,,,,,,,,,1-0,,,"{""a"":""x,\""y\""""}""#);

    let limited = stream(&[event(1), event(2), event(3)]).run(&["events", "--follow", "--limit", "2"]);
    assert_eq!((limited.code, limited.out.lines().count()), (Code::Done, 2));
    let ended = stream(&[event(1)]).run(&["events", "--follow"]);
    assert_eq!((ended.code, ended.out.lines().count()), (Code::NotRunning, 1));
    let part = |events: &[Value]| {
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        format!("{{\"ok\":true,\"result\":null}}\n{lines}")
    };
    let refused = format!("{}\n", json!({"ok": false, "code": 4, "error": "no recorder"}));
    let daemon = Daemon::answering(vec![part(&[event(1), event(2)]), refused, part(&[event(3)])]);
    let ran = daemon.run(&["events", "--follow", "--lane", "priority"]);
    assert_eq!((ran.code, ran.out.lines().count()), (Code::NotRunning, 3), "it goes on where it was");
    let again = json!({"verb": "events", "args": {"follow": true, "lane": "priority", "since": 2}});
    assert_eq!(daemon.asked()[1..], [again.clone(), again]);
}

#[test]
fn csv_has_its_header_and_quotes_what_would_break_a_line() {
    let rows = |rows: &[Value]| {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        Daemon::answering(vec![format!("{{\"ok\":true,\"result\":null}}\n{lines}")])
    };
    let comment = json!({"seq": 5, "match": "7", "feed": "f", "type": "comment", "lane": "chat", "id": "c",
        "user": "a,b", "text": "he said \"no\"\r\nand left", "amount": null, "at": "T", "feed_at": null});
    let csv = rows(&[comment]).run(&["events", "--lane", "chat", "--format", "csv"]).out;
    let quoted = "5,7,f,comment,chat,c,\"a,b\",\"he said \"\"no\"\"\r\nand left\",,T,\n";
    assert_eq!(csv, format!("seq,match,feed,type,lane,id,user,text,amount,at,feed_at\n{quoted}"));
    let none = rows(&[]).run(&["events", "--lane", "odds", "--format", "csv"]);
    assert_eq!((none.code, none.out.lines().count()), (Code::Done, 1), "the header alone");
}

#[test]
fn a_break_before_the_first_row_loses_none() {
    let begun = || format!("{}\n", json!({"ok": true, "result": {"seq": 41}}));
    let row = format!("{}{}\n", begun(), json!({"seq": 42, "match": "7", "type": "goal"}));
    let daemon = Daemon::answering(vec![begun(), row.clone()]);
    let ran = daemon.run(&["events", "--follow", "--json"]);
    assert_eq!((ran.code, ran.out.lines().count()), (Code::NotRunning, 2), "the row, and why it ends");
    assert_eq!(daemon.asked()[1], json!({"verb": "events", "args": {"follow": true, "since": 41}}));
    // Who asked for some of the past asks for it again, since none of it has come.
    let daemon = Daemon::answering(vec![begun(), row]);
    daemon.run(&["events", "--follow", "--since", "3", "--json"]);
    assert_eq!(daemon.asked()[1], json!({"verb": "events", "args": {"follow": true, "since": 3}}));
}

#[test]
fn events_in_words_name_their_matches() {
    let matches = json!([{"match": "7", "feed": "inplay", "name": "A v B"}]);
    let event = |id: &str| {
        json!({"seq": 1, "match": id, "feed": "inplay", "type": "goal", "side": "home", "minute": 12,
        "at": "2026-01-02T16:20:45.678901Z", "score": {"home": 1, "away": 0}, "payload": {"n": 1}})
    };
    let daemon = Daemon::answering(vec![
        format!("{}\n", json!({"ok": true, "result": matches})),
        format!("{{\"ok\":true,\"result\":null}}\n{}\n{}\n", event("7"), event("8")),
    ]);
    let ran = daemon.run(&["events", "--format", "text"]);
    let expected = "16:20:45 12' GOAL home 1-0 A v B\n16:20:45 12' GOAL home 1-0 8\n";
    assert_eq!((ran.code, ran.out.as_str()), (Code::Done, expected), "{}", ran.err);
}

#[test]
fn odds_of_an_unknown_match_are_an_error() {
    let unknown = "{\"ok\":false,\"code\":1,\"error\":\"no match 7 is known\"}\n";
    for args in [&["odds", "7"][..], &["odds", "7", "--json"]] {
        let none = format!("{}\n", json!({"ok": true, "result": []}));
        let daemon = Daemon::answering(vec![none, unknown.to_owned()]);
        let ran = daemon.run(args);
        assert_eq!(ran.code, Code::Failed, "{args:?}");
        let (out, err) = match args.contains(&"--json") {
            true => ("{\"code\":1,\"error\":\"no match 7 is known\",\"ok\":false}\n", ""),
            false => ("", "touchline: no match 7 is known\n"),
        };
        assert_eq!((ran.out.as_str(), ran.err.as_str()), (out, err), "{args:?}");
        assert_eq!(daemon.asked()[1], json!({"verb": "match", "args": {"match": "7"}}));
    }
    let ran = Daemon::answering(vec![unknown.to_owned()]).run(&["odds", "7", "--follow"]);
    assert_eq!(ran.code, Code::Failed);
    let ran = Daemon::ok(&[json!([]), json!({})]).run(&["odds", "7"]);
    assert_eq!((ran.code, ran.out.as_str()), (Code::Done, "no odds\n"));
}

#[test]
fn status_shows_each_sink_and_why_it_waits() {
    let sinks = json!([
        {"name": "redis", "state": "delivering", "delivered": 7, "last_error": "it was down"},
        {"name": "ndjson", "state": "backing off", "lag_rows": 1, "next_retry_s": 2.0, "last_error": "the disk is full"},
    ]);
    let ran = Daemon::ok(&[json!({"state": "ready", "recorder": {"state": "ready", "sinks": sinks}})])
        .run(&["status"]);
    let expected = "sink      redis delivering: 7 delivered, 0 refused, 0 rows behind\n\
        sink      ndjson backing off: 0 delivered, 0 refused, 1 row behind\n          tried again in 2.0 s: the disk is full\n";
    assert!(ran.out.contains(expected), "{}", ran.out);
}

#[test]
fn health_ping_and_acting_verbs() {
    let ran = Daemon::ok(&[json!({"healthy": true, "reasons": []})]).run(&["health"]);
    assert_eq!((ran.code, ran.out.as_str()), (Code::Done, "healthy\n"));
    let ran = Daemon::ok(&[json!({"healthy": false, "reasons": ["a waits", "b is down"]})]).run(&["health"]);
    assert_eq!((ran.code, ran.out.as_str()), (Code::Failed, "a waits\nb is down\n"));
    assert!(Daemon::ok(&[json!("pong")]).run(&["ping"]).out.starts_with("pong in "));
    let daemon = Daemon::ok(&[Value::Null]);
    assert_eq!(daemon.run(&["log", "level", "debug"]).out, "done\n");
    assert_eq!(daemon.asked(), [json!({"verb": "log", "args": {"action": "level", "filter": "debug"}})]);
    let daemon = Daemon::ok(&[json!("sink redis goes on after 7 in the match stream")]);
    let ran = daemon.run(&["sink", "rewind", "redis", "--since", "7"]);
    assert_eq!(ran.out, "sink redis goes on after 7 in the match stream\n");
    let args = json!({"action": "rewind", "name": "redis", "since": 7});
    assert_eq!(daemon.asked(), [json!({"verb": "sink", "args": args})]);
    let daemon = Daemon::answering(vec![
        "{\"ok\":false,\"code\":1,\"error\":\"two feeds have 7: a, b\"}\n".to_owned(),
    ]);
    let ran = daemon.run(&["resync", "7"]);
    assert_eq!((ran.code, ran.err.as_str()), (Code::Failed, "touchline: two feeds have 7: a, b\n"));
    let refused = "{\"ok\":false,\"code\":5,\"error\":\"uid 7 may not operate\"}\n".to_owned();
    assert_eq!(Daemon::answering(vec![refused; 2]).run(&["stop"]).code, Code::Refused);
}

#[test]
fn a_replay_is_of_a_match_or_of_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("touchline.toml");
    let state = Value::from(folder.path().to_str().unwrap());
    std::fs::write(&config, format!("[daemon]\nrun_dir = {state}\nstate_dir = {state}\n")).unwrap();
    let verb = ["replay", "--config", config.to_str().unwrap()];
    let run = |args: &[&str]| touchline(&[&verb[..], args].concat());
    for (args, code, error) in [
        (&[][..], Code::Usage, "expected either --match ID or --raw FILE"),
        (&["--match", "7", "--at", "later"][..], Code::Usage, "--at: expected a minute such as 45"),
        (&["--match", "7", "--speed", "0"][..], Code::Usage, "expected more than 0"),
        (&["--match", "7", "--at", "45", "--speed", "2"][..], Code::Usage, "cannot be used with"),
        (&["--match", "7"][..], Code::Failed, "the store "),
        (&["--raw", "/nowhere.raw"][..], Code::Failed, "/nowhere.raw: "),
    ] {
        let ran = run(args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(error) && ran.out.is_empty(), "{args:?}: {}", ran.err);
    }
}

#[test]
fn waiting_for_ready_names_what_is_missing() {
    let daemon = Daemon::ok(&[status("starting"), status("starting"), status("ready")]);
    let ran = daemon.run(&["wait-ready", "--timeout", "10s"]);
    assert_eq!((ran.code, ran.out.as_str()), (Code::Done, "ready\n"));
    let health = json!({"healthy": false, "reasons": ["feed inplay: no list"]});
    let ran = Daemon::ok(&[status("degraded"), health]).run(&["wait-ready"]);
    assert_eq!((ran.code, ran.err.as_str()), (Code::Partial, "touchline: degraded: feed inplay: no list\n"));
    let ran = Daemon::ok(&vec![status("starting"); 100]).run(&["wait-ready", "--timeout", "200ms"]);
    assert_eq!(ran.code, Code::Partial);
    let missing =
        "not ready after 200ms: feed inplay degraded (2 matches waiting for capacity); 2 matches waiting";
    assert!(ran.err.contains(missing), "{}", ran.err);
    let ran = touchline(&["wait-ready", "--timeout", "60ms", "--socket", "/nowhere"]);
    assert_eq!(ran.code, Code::NotRunning);
}

#[test]
fn stopping_waits_until_the_daemon_is_gone() {
    // Status, the request, a look while it drains; then the socket is gone, and no process has this pid.
    let daemon = Daemon::ok(&[status("ready"), Value::Null, status("draining")]);
    let ran = daemon.run(&["stop", "--now"]);
    assert_eq!((ran.code, ran.out.as_str()), (Code::Done, "stopped\n"), "{}", ran.err);
    assert_eq!(daemon.asked()[1], json!({"verb": "stop", "args": {"now": true}}));
    let ran = Daemon::ok(&vec![status("draining"); 200]).run(&["stop", "--timeout", "100ms"]);
    assert_eq!(ran.code, Code::Partial);
    assert!(ran.err.contains("pid 4000000001"), "{}", ran.err);
}

#[test]
fn a_closed_pipe_is_success_and_a_full_disk_is_not() {
    struct Broken(std::io::ErrorKind);
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for args in [&["man"][..], &["--help"], &["completions", "zsh"]] {
        let args = || ["touchline"].iter().chain(args).map(OsString::from);
        let run = |kind| main_with(args(), &Asked::default(), &mut Broken(kind), &mut Vec::new());
        assert_eq!(run(std::io::ErrorKind::BrokenPipe), Code::Done);
        assert_eq!(run(std::io::ErrorKind::StorageFull), Code::Failed);
    }
}

#[test]
fn numbers_as_people_read_them() {
    for (seconds, text) in
        [(0.41, "0.4 s"), (59.9, "59 s"), (185.0, "3m05s"), (7_620.0, "2h07m"), (356_400.0, "4d03h")]
    {
        assert_eq!(table::age(seconds), text);
    }
    assert_eq!(table::age(f64::NAN), "-");
    for (number, text) in [
        (0.0, "0"),
        (0.5, "0.5"),
        (812.0, "812"),
        (999.4, "999"),
        (999.9, "1.0k"),
        (51_234.0, "51.2k"),
        (999_999.0, "1.0M"),
        (4e12, "4.0T"),
    ] {
        assert_eq!(table::scaled(number), text, "{number}");
    }
    assert_eq!(micros(1_250), "1.2 ms");
    for (count, text) in [(0.0, "0 B"), (999.0, "999 B"), (51_234.0, "51.2 kB"), (3_145_728.0, "3.1 MB")] {
        assert_eq!(bytes(count), text);
    }
    assert_eq!(table::age_ms(12_000), "12 s");
    assert_eq!(short("Köln gegen", 5), "Köln…");
    assert_eq!(clean("a\u{202e}b\n"), "a\\u{202e}b\\u{a}");
}
