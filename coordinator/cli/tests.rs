//! The table against the contract, the verbs against a daemon of the test's own.

mod acting;
mod configured;
mod offered;
mod shown;
mod simulated;
mod streamed;

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
    ("feed", Built::Yes),
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

    fn demo_rooms(
        &self,
        options: DemoOptions<touchline_simulator::RoomOptions>,
    ) -> Result<Code, CommandError> {
        Ok(self.note(format!("{options:?}")))
    }

    fn demo_push(
        &self,
        options: DemoOptions<touchline_simulator::push::PushOptions>,
    ) -> Result<Code, CommandError> {
        Ok(self.note(format!("{options:?}")))
    }

    fn simulate_push(
        &self,
        server: touchline_simulator::push::PushOptions,
        output: OutputFormat,
    ) -> Result<Code, CommandError> {
        Ok(self.note(format!("{server:?}, output: {output:?}")))
    }

    fn simulate_rooms(
        &self,
        server: touchline_simulator::RoomOptions,
        output: OutputFormat,
    ) -> Result<Code, CommandError> {
        Ok(self.note(format!("{server:?}, output: {output:?}")))
    }

    fn demo_poll(
        &self,
        options: DemoOptions<touchline_simulator::api::ApiOptions>,
    ) -> Result<Code, CommandError> {
        Ok(self.note(format!("{options:?}")))
    }

    fn simulate_poll(
        &self,
        server: touchline_simulator::api::ApiOptions,
        output: OutputFormat,
    ) -> Result<Code, CommandError> {
        Ok(self.note(format!("{server:?}, output: {output:?}")))
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
            "feed" => vec![&["new", "--url", "ws://127.0.0.1:1/"]],
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
                "run" | "check" | "probe" | "replay" | "feed" => Code::Usage,
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
