//! The one table of verbs, as clap takes it. Parser, help, man page and completions are made from it and from nothing else.
//!
//! Invariant: each verb of `CONTRACT.md` stands here once, also those that this build does not have ([`UNBUILT`]) and those
//! that only the coordinator uses, to start its children (hidden). An argument's id is its name: the option without
//! dashes, or the place's name in lower case.

use super::parser::{address, burst, count, duration, number, whole};
use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, Command, value_parser};
use std::path::PathBuf;
use touchline_simulator::{BodyEncoding, OverCap, Payload};

/// Verbs that end with code 1 and `not in this build`, however they are called: nothing of theirs is required.
pub(super) const UNBUILT: &[&str] = &["reload", "upgrade", "replay", "metrics", "top", "doctor"];

/// The end of every help: what the exit codes mean.
const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 the daemon is not
running (run: another one is); 4 timed out or partial; 5 no permission.";

pub(super) fn command() -> Command {
    let command = Command::new("touchline")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Follows every live match on a push server that caps what one connection may subscribe to")
        .after_help(EXIT_CODES)
        .subcommand_help_heading("Verbs")
        .args(common().map(|arg| arg.global(true).help_heading("Common options")));
    with_verbs(command, verbs())
}

/// A verb that has verbs of its own, one of which must be given.
fn with_verbs(command: Command, verbs: impl IntoIterator<Item = Command>) -> Command {
    command
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("VERB")
        .subcommands(verbs)
}

fn verb<const N: usize>(name: &'static str, about: &str, args: [Arg; N]) -> Command {
    let unbuilt = if UNBUILT.contains(&name) { " (not in this build)" } else { "" };
    Command::new(name).about(format!("{about}{unbuilt}")).args(args)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

fn option(name: &'static str, value: &'static str, kind: impl Into<ValueParser>, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).value_parser(kind.into()).help(help)
}

/// An option whose value is a number. Without this a negative one is taken for an unknown argument.
fn numeric(name: &'static str, value: &'static str, kind: impl Into<ValueParser>, help: &'static str) -> Arg {
    option(name, value, kind, help).allow_negative_numbers(true)
}

/// What stands in its place, always.
fn required(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name(value).help(help).required(true)
}

fn text() -> ValueParser {
    ValueParser::string()
}

fn path() -> ValueParser {
    value_parser!(PathBuf)
}

fn one_of(choices: &'static [&'static str]) -> PossibleValuesParser {
    PossibleValuesParser::new(choices)
}

fn common() -> [Arg; 4] {
    [
        option(
            "config",
            "FILE",
            path(),
            "The configuration [else: ./touchline.toml, /etc/touchline/touchline.toml]",
        ),
        option("socket", "PATH", path(), "The daemon's control socket [else: from the configuration]"),
        switch("json", "Print JSON for programs instead of text for people"),
        option("timeout", "DUR", duration, "Wait at most this long for the daemon, such as 500ms or 3s"),
    ]
}

fn a_match() -> Arg {
    required("match", "ID", "A match: FEED/ID, or ID where only one feed has it")
}

fn dry_run() -> Arg {
    switch("dry-run", "Only tell what would be done")
}

/// The options of the simulated server that `demo` has, too.
fn simulated() -> [Arg; 9] {
    [
        numeric("matches", "N", whole, "Simulated matches").default_value("250"),
        numeric("rate", "DIFFS_PER_S", number, "Diffs per second over all matches").default_value("1000"),
        option(
            "burst",
            "FACTOR,LEN,EVERY",
            burst,
            "FACTOR times the rate for LEN, each EVERY, such as 10,200ms,5s",
        ),
        numeric("seed", "S", whole, "The seed of everything random").default_value("1"),
        option("replay", "FILE", path(), "Recorded matches to play as well")
            .action(ArgAction::Append)
            .num_args(1..),
        numeric("speed", "N", number, "Seconds of a recorded match per second").default_value("1"),
        option(
            "transport",
            "T",
            one_of(&["dpt", "dpts", "ws", "wss"]),
            "TCP, TLS, WebSocket, WebSocket over TLS",
        )
        .default_value("dpt"),
        option("protocol", "P", one_of(&["v4", "zap"]), "The version of the wire; zap is for ws and wss")
            .default_value("v4"),
        numeric("cap", "N", count, "Subscriptions that one connection may hold [else: any number]"),
    ]
}

fn demo() -> Command {
    let server = simulated().map(|arg| match arg.get_id().as_str() {
        "rate" => arg.default_value("20000"),
        "burst" => arg.default_value("10,5s,20s"),
        "cap" => arg.default_value("50").help("Subscriptions that one connection may hold"),
        _ => arg,
    });
    verb("demo", "A simulated server and the whole daemon, compared with the truth", server).args([
        option("for", "DUR", duration, "End after this long and compare with the truth"),
        option("feed", "KIND", one_of(&["diffusion", "poll", "rooms"]), "The kind of the simulated server")
            .default_value("diffusion"),
        option("dir", "DIR", path(), "Where sockets and store are put [else: a temporary folder]"),
        switch("keep", "Keep the temporary folder"),
    ])
}

fn simulate() -> Command {
    verb("simulate", "The simulated server alone", simulated()).args([
        option("listen", "ADDR", address, "Where it listens").default_value("127.0.0.1:8080"),
        option("ca-file", "FILE", path(), "Write the authority of its certificate here (dpts, wss)"),
        option(
            "over-cap",
            "WHAT",
            one_of(OverCap::NAMES),
            "What a subscription above --cap gets: a reset, an error, nothing, changes without a load, a tenth of the changes",
        )
        .default_value("close"),
        option("payload", "P", one_of(Payload::NAMES), "How matches are published").default_value("inplay"),
        option("login", "USER:PASSWORD", text(), "The one login that may connect [else: anybody]"),
        option(
            "session",
            "TOKEN",
            text(),
            "The one session that is good: a login topic S_… with another token gets an error [else: any]",
        ),
        option("keep-alive", "DUR", duration, "Keep a session so long after its connection broke")
            .default_value("0s"),
        switch("reload-on-resume", "Send a session that goes on (--keep-alive) a load of each topic"),
        option(
            "encoding",
            "E",
            one_of(BodyEncoding::NAMES),
            "How bodies are written for clients that can take it (dpt, dpts)",
        )
        .default_value("none"),
        numeric("fragment-above", "BYTES", count, "Send longer bodies in pieces of that size"),
        numeric("max-depth", "MESSAGES", count, "Close connections for which more of them wait"),
        numeric("churn", "MATCHES_PER_MIN", number, "Matches that end while others appear")
            .default_value("0"),
        option("fault", "SPEC", text(), "Faults to inject (not in this build)")
            .action(ArgAction::Append)
            .num_args(1..),
        option("truth", "ADDR", address, "Serve the truth here over HTTP"),
    ])
}

fn events() -> Command {
    verb(
        "events",
        "The event queue, one event a line",
        [
            switch("follow", "Go on with what is yet to come"),
            numeric("since", "SEQ", whole, "Only those after this number"),
            option("match", "ID", text(), "Only of this match"),
            option(
                "lane",
                "L",
                one_of(&["priority", "normal", "odds", "chat"]),
                "Only of this lane; without it the match stream",
            ),
            numeric("limit", "N", whole, "At most so many"),
            option("format", "F", one_of(&["json", "csv"]), "How a line is written").default_value("json"),
        ],
    )
}

fn log() -> Command {
    let filter =
        required("filter", "FILTER", "error, warn, info, debug, trace, off, or as RUST_LOG writes it");
    with_verbs(
        verb("log", "Logging at run time", []),
        [
            verb("level", "Log from now on by this filter", [filter]),
            verb("reopen", "Open the log file anew, after it was moved", []),
        ],
    )
}

/// A child's own verb.
fn child(name: &'static str, about: &str) -> Command {
    let slot = numeric("slot", "N", whole, "Its slot, for the process list");
    let parent = numeric("parent", "PID", whole, "The process that forked it");
    verb(name, about, [slot, parent]).hide(true)
}

/// Every verb, in the order of the help.
fn verbs() -> [Command; 34] {
    [
        verb("run", "The daemon, in the foreground", []),
        demo(),
        simulate(),
        verb(
            "check",
            "Validate the configuration; tell every mistake with its place",
            [switch("print", "Print the whole configuration with its defaults")],
        ),
        verb("status", "How the daemon stands", []),
        verb("workers", "The workers and what they carry", []),
        verb(
            "matches",
            "The matches and their states",
            [
                option("feed", "F", text(), "Only of this feed"),
                numeric("worker", "N", whole, "Only at this worker"),
                option(
                    "state",
                    "S",
                    one_of(&["waiting", "subscribing", "live", "stale", "ending", "ended", "quarantined"]),
                    "Only in this state",
                ),
            ],
        ),
        verb("match", "The document of a match", [a_match()]),
        verb("gaps", "The times in which a match was not followed", []),
        events(),
        verb(
            "odds",
            "A match's odds over time",
            [
                a_match(),
                option("market", "KEY", text(), "Only of this market"),
                switch("follow", "Go on with what is yet to come"),
            ],
        ),
        verb(
            "probe",
            "Connect to a feed step by step and say what to change",
            [required("feed", "FEED", "The feed")],
        ),
        verb("health", "0 healthy, 1 degraded, a reason a line", []),
        verb("drain", "Empty a worker", [required("worker", "WORKER", "The worker")]),
        verb(
            "move",
            "Move a match to another worker",
            [a_match(), required("worker", "WORKER", "The worker that is to have it")],
        ),
        verb("rebalance", "Even out the workers", [dry_run()]),
        verb(
            "scale",
            "Change how many workers there may be",
            [numeric("min", "N", whole, "At least so many"), numeric("max", "N", whole, "At most so many")],
        ),
        verb("resync", "Subscribe a match again and take a fresh load", [a_match()]),
        verb("release", "Let a match out of quarantine", [a_match()]),
        verb("reload", "Apply the changed configuration, printing the difference first", [dry_run()]),
        verb(
            "upgrade",
            "Run the new binary under the same pid, no match dropped",
            [dry_run(), switch("coordinator-only", "Keep the workers as they are")],
        ),
        log(),
        verb(
            "dissect",
            "A captured conversation, message by message",
            [required("file", "FILE", "The capture, pcap or pcapng; - for standard input")],
        ),
        verb(
            "replay",
            "A recorded match or raw bytes again",
            [Arg::new("file").value_name("FILE").help("The recording").num_args(1..)],
        ),
        verb("stop", "Drain and stop the daemon, and wait until it is gone", [switch("now", "Do not drain")]),
        verb("ping", "Ask whether the daemon answers", []),
        verb("wait-ready", "Wait until every feed's matches have a place", []),
        verb("metrics", "The counters, as OpenMetrics", []),
        verb("top", "A live table", []),
        verb("doctor", "Look for what commonly goes wrong", []),
        verb(
            "completions",
            "Completions for a shell",
            [required("shell", "SHELL", "The shell").value_parser(one_of(&[
                "bash",
                "elvish",
                "fish",
                "powershell",
                "zsh",
            ]))],
        ),
        verb("man", "The man page", []),
        child("worker", "A scanning worker (started by the coordinator)"),
        child("recorder", "The recorder (started by the coordinator)"),
    ]
}
