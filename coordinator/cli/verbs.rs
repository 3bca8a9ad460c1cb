//! The one table of verbs, as clap takes it. Parser, help, man page and completions are made from it and from nothing else.
//!
//! Invariant: each verb of `CONTRACT.md` stands here once, also those that this build does not have ([`UNBUILT`]): these are parsed, to
//! say so, and never offered. An argument's id is its name: the option without dashes, or the place's name in lower case. Examples are in
//! `examples`.

use super::examples;
use super::parser::{address, burst, count, duration, message_type, number, shown, whole};
use clap::builder::{PossibleValue, PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, Command, value_parser};
use std::path::PathBuf;
use touchline_common::control::views::MatchViewState;
use touchline_common::control::{EventLane, UNBUILT, all_kinds};
use touchline_simulator::{BodyEncoding, OverCap, Payload};

/// The end of every help: what the exit codes mean.
const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 the daemon is not
running (run: another one is); 4 timed out or partial; 5 no permission.";

/// What is parsed: every verb.
pub(super) fn command() -> Command {
    program(verbs())
}

/// What is offered by completions, man pages and suggestions: the verbs that this build has.
pub(super) fn offered() -> Command {
    program(verbs().into_iter().filter(|verb| !verb.is_hide_set()))
}

fn program(verbs: impl IntoIterator<Item = Command>) -> Command {
    let verbs: Vec<Command> = verbs.into_iter().collect();
    let shown = verbs.iter().filter(|verb| !verb.is_hide_set());
    let pages: Vec<String> = shown.map(|verb| verb.get_name().to_owned()).collect();
    let command = Command::new("touchline")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Follows every live match on a push server that caps what one connection may subscribe to")
        .after_help(EXIT_CODES)
        .subcommand_help_heading("Verbs")
        .args(common().map(|arg| arg.global(true).help_heading("Common options")));
    with_verbs(command, verbs).mut_subcommand("man", |man| {
        let page = |arg: Arg| arg.value_parser(PossibleValuesParser::new(pages)).hide_possible_values(true);
        man.mut_arg("verb", page)
    })
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
    let command = Command::new(name).about(about.to_owned()).args(args).hide(UNBUILT.contains(&name));
    match examples::text(name) {
        Some(examples) => command.after_help(examples),
        None => command,
    }
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
        switch("json", "Print JSON instead of text"),
        option(
            "timeout",
            "DUR",
            duration,
            "Maximum time to wait for the daemon [else: 10s, or the verb's own]",
        ),
    ]
}

fn a_match() -> Arg {
    required("match", "ID", "The match: FEED/ID, or ID if only one feed has it")
}

fn dry_run() -> Arg {
    switch("dry-run", "Only print what would be done")
}

/// The options of the simulated server that `demo` has, too.
fn simulated() -> [Arg; 9] {
    [
        numeric("matches", "N", whole, "Number of simulated matches, rooms or topics").default_value("250"),
        numeric(
            "rate",
            "DIFFS_PER_S",
            number,
            "Diffs, messages of rooms, or changes of polled matches or topics, per second over all",
        )
        .default_value("1000"),
        option(
            "burst",
            "FACTOR,LEN,EVERY",
            burst,
            "FACTOR times the rate for LEN, each EVERY, such as 10,200ms,5s [else: no bursts]",
        ),
        numeric("seed", "S", whole, "Random seed").default_value("1"),
        option("replay", "FILE", path(), "Recorded matches to replay in addition [else: none]")
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
        numeric("cap", "N", count, "Maximum subscriptions per connection [else: no limit]"),
    ]
}

fn demo() -> Command {
    let server = simulated().map(|arg| match arg.get_id().as_str() {
        "rate" => arg.default_value("20000"),
        "burst" => arg.default_value("10,5s,20s").help("FACTOR times the rate for LEN, each EVERY"),
        "cap" => arg.default_value("50").help("Maximum subscriptions per connection"),
        _ => arg,
    });
    verb("demo", "Run a simulated server and the daemon, and verify the output against ground truth", server)
        .args([
            option(
                "for",
                "DUR",
                duration,
                "Stop after this time and verify the output [else: run until Ctrl-C]",
            ),
            feed_kind(),
            option("dir", "DIR", path(), "Directory for sockets and store [else: a temporary one]"),
            switch("keep", "Keep the temporary directory"),
            option(
                "sink",
                "KIND",
                one_of(&["redis"]),
                "Start this server beside it, send events and documents there, and verify those too [else: none]",
            ),
        ])
}

fn feed_kind() -> Arg {
    option("feed", "KIND", kinds(), "The kind of the simulated server").default_value("diffusion")
}

/// The kinds of feed.
fn kinds() -> PossibleValuesParser {
    let built = ["diffusion", "rooms", "poll", "push"].map(PossibleValue::new);
    PossibleValuesParser::new(built)
}

fn simulate() -> Command {
    verb("simulate", "Run the simulated server alone", simulated()).args([
        feed_kind(),
        option("listen", "ADDR", address, "Address to listen on").default_value("127.0.0.1:8080"),
        option("ca-file", "FILE", path(), "Write the CA certificate to this file (dpts, wss) [else: not written]"),
        option(
            "over-cap",
            "WHAT",
            one_of(OverCap::NAMES),
            "Reaction to a subscription above --cap: a reset, an error, nothing, deltas without a load, a tenth of the deltas",
        )
        .default_value("close"),
        option("payload", "P", one_of(Payload::NAMES), "How matches are published").default_value("inplay"),
        option("login", "USER:PASSWORD", text(), "The only login that is accepted [else: any]"),
        option(
            "session",
            "TOKEN",
            text(),
            "The only session token that is accepted: a login topic S_… with another one gets an error [else: any]",
        ),
        option("keep-alive", "DUR", duration, "How long to keep a session after its connection broke")
            .default_value("0s"),
        switch("reload-on-resume", "Send a load of each topic when a session is resumed (--keep-alive)"),
        option(
            "encoding",
            "E",
            one_of(BodyEncoding::NAMES),
            "Encoding of bodies for clients that support it (dpt, dpts)",
        )
        .default_value("none"),
        numeric("fragment-above", "BYTES", count, "Split longer bodies into fragments of this size [else: never]"),
        numeric("max-depth", "MESSAGES", count, "Close connections with more queued messages [else: never]"),
        numeric("churn", "MATCHES_PER_MIN", number, "Matches per minute that end and are replaced")
            .default_value("0"),
        option("fault", "SPEC", text(), "Faults to inject (not in this build)")
            .action(ArgAction::Append)
            .num_args(1..)
            .hide(true),
        option("truth", "ADDR", address, "Serve the ground truth over HTTP at this address [else: not served]"),
    ])
}

fn events() -> Command {
    verb(
        "events",
        "Print the event queue, one event a line",
        [
            switch("follow", "Keep printing new events as they happen"),
            numeric(
                "since",
                "SEQ",
                whole,
                "Only events after this sequence number [else: the newest 100; with --follow: new ones]",
            ),
            option("match", "ID", text(), "Only events of this match [else: all matches]"),
            option(
                "lane",
                "L",
                one_of(&EventLane::NAMES),
                "Only events of this lane [else: that of their types, or priority and normal]",
            ),
            option(
                "type",
                "TYPE",
                PossibleValuesParser::new(all_kinds()),
                "Only events of these types, such as goal or gift,super_chat [else: all types]",
            )
            .action(ArgAction::Append)
            .value_delimiter(',')
            .hide_possible_values(true),
            numeric("limit", "N", whole, "Maximum number of events [else: no limit with --since]"),
            option(
                "format",
                "F",
                one_of(&["text", "json", "csv"]),
                "Output format [else: text on a terminal, json elsewhere]",
            ),
        ],
    )
}

fn feed() -> Command {
    let messages = |name, help| option(name, "FILE", path(), help).action(ArgAction::Append).num_args(1..);
    with_verbs(
        verb("feed", "Write a first configuration of a feed", []),
        [verb(
            "new",
            "Guess a feed of kind push from recorded messages; asks on a terminal",
            [
                option("name", "NAME", text(), "The feed's name").default_value("push"),
                option("url", "URL", text(), "The server's address: ws:// or wss:// [else: asked for]"),
                option("topics", "A,B", text(), "Topics to follow, a recorded one too [else: asked for]"),
                option(
                    "subscribe",
                    "JSON",
                    text(),
                    "The message that subscribes, with {TOPIC} or {TOPICS} [else: asked for]",
                ),
                option("unsubscribe", "JSON", text(), "The message that unsubscribes [else: none]"),
                numeric("max-subscriptions", "N", count, "Topics of one connection").default_value("50"),
                option("ping", "TEXT", text(), "Our heartbeat, each 10 s [else: WebSocket pings]"),
                option(
                    "login",
                    "JSON",
                    text(),
                    "The login message, with {USERNAME} and {PASSWORD} [else: none]",
                ),
                option("username", "NAME", text(), "The login's name [else: none]"),
                option("password-env", "VAR", text(), "Environment variable with its password [else: none]"),
                messages("snapshot", "Recorded messages with a whole document, one a line [else: none]"),
                messages("delta", "Recorded messages that change it, in their order [else: none]"),
                messages("removed", "Recorded messages that end a topic [else: none]"),
                messages("ignored", "Recorded messages that are nothing, such as heartbeats [else: none]"),
                messages("acknowledged", "Recorded acknowledgements of subscriptions [else: none]"),
                messages("refused", "Recorded refusals of subscriptions [else: none]"),
                messages("greeting", "What comes before the login [else: nothing]"),
                messages("accepted", "The answer to a good login [else: any message]"),
            ],
        )],
    )
}

fn log() -> Command {
    let filter =
        required("filter", "FILTER", "error, warn, info, debug, trace, off, or a filter as in RUST_LOG");
    with_verbs(
        verb("log", "Control logging at run time", []),
        [
            verb("level", "Set the log level", [filter]),
            verb("reopen", "Reopen the log file after it was moved", []),
        ],
    )
}

fn sink() -> Command {
    let since = numeric("since", "SEQ", whole, "Only rows after this sequence number").required(true);
    let lane = one_of(&["priority", "normal", "odds", "chat"]);
    with_verbs(
        verb("sink", "Control where events are sent on", []),
        [verb(
            "rewind",
            "Send rows again, or leave some out",
            [
                required("name", "NAME", "The sink, as `status` names it"),
                since,
                option(
                    "lane",
                    "L",
                    lane,
                    "The stream that SEQ counts in: that of this lane [else: the match stream]",
                ),
            ],
        )],
    )
}

/// Every verb, in the order of the help.
fn verbs() -> [Command; 34] {
    [
        verb("run", "Run the daemon in the foreground", []),
        demo(),
        simulate(),
        verb(
            "check",
            "Validate the configuration and report every error with its position",
            [switch("print", "Print the whole configuration with its defaults")],
        ),
        verb("status", "Show daemon status", []),
        verb("workers", "List workers and their load", []),
        verb(
            "matches",
            "List matches and their states",
            [
                option("feed", "F", text(), "Only matches of this feed [else: all feeds]"),
                numeric("worker", "N", whole, "Only matches of this worker [else: all workers]"),
                option(
                    "state",
                    "S",
                    one_of(&MatchViewState::NAMES),
                    "Only matches in this state [else: all states]",
                ),
            ],
        ),
        verb("match", "Show the document of a match", [a_match()]),
        verb("gaps", "List coverage gaps", []),
        events(),
        verb(
            "odds",
            "List the odds of a match over time",
            [
                a_match(),
                option("market", "KEY", text(), "Only odds of this market [else: all markets]"),
                switch("follow", "Keep printing new odds as they happen"),
            ],
        ),
        verb(
            "probe",
            "Connect to a feed step by step and report problems",
            [
                required("feed", "FEED", "The feed's name"),
                numeric(
                    "messages",
                    "N",
                    shown,
                    "Messages of a push server that are shown with what was made of them, at most 1000",
                )
                .default_value("8"),
            ],
        ),
        feed(),
        verb("health", "Exit with 0 if healthy, 1 if degraded; print the reasons", []),
        verb(
            "drain",
            "Move all matches off a worker, then stop it",
            [required("worker", "WORKER", "The worker's number")],
        ),
        verb(
            "move",
            "Move a match to another worker",
            [a_match(), required("worker", "WORKER", "Number of the worker to move it to")],
        ),
        verb("rebalance", "Balance matches across workers", [dry_run()]),
        verb(
            "scale",
            "Change the minimum and maximum number of workers",
            [
                numeric("min", "N", whole, "Minimum number of workers [else: unchanged]"),
                numeric("max", "N", whole, "Maximum number of workers [else: unchanged]"),
            ],
        ),
        verb("resync", "Compare a match with a fresh load, and repair what differs", [a_match()]),
        verb("release", "Release a match from quarantine", [a_match()]),
        sink(),
        verb("reload", "Apply configuration changes; print the differences first", [dry_run()]),
        verb(
            "upgrade",
            "Replace the running binary, keeping pid and matches",
            [dry_run(), switch("coordinator-only", "Do not restart workers")],
        ),
        log(),
        verb(
            "dissect",
            "Print a captured or recorded conversation message by message",
            [
                required(
                    "file",
                    "FILE",
                    "pcap, pcapng or .raw of record_raw, may be gzipped; - for standard input",
                ),
                option("topic", "TEXT", text(), "Only messages whose topic name contains this"),
                option("type", "NAME", message_type, "Only messages of this type, such as topic-load"),
            ],
        ),
        verb(
            "replay",
            "Replay a match from the store, or recorded bytes; needs no daemon",
            [
                option("match", "ID", text(), "The match: FEED/ID, or ID if only one feed has it"),
                option("at", "TIME|MINUTE", text(), "Only what was known then, prices included")
                    .conflicts_with("raw"),
                numeric("speed", "N", number, "N times as fast as it was [else: at once]")
                    .conflicts_with_all(["at", "raw"]),
                option("raw", "FILE", path(), "Files of state_dir/raw, sent through the same code again")
                    .action(ArgAction::Append)
                    .num_args(1..)
                    .conflicts_with("match"),
            ],
        ),
        verb(
            "stop",
            "Drain and stop the daemon, and wait until it has exited",
            [switch("now", "Stop at once, without draining")],
        ),
        verb("ping", "Check that the daemon answers", []),
        verb("wait-ready", "Wait until all matches have a worker", []),
        verb("metrics", "Print metrics in the OpenMetrics format", []),
        verb("top", "Show a live table of workers and matches", []),
        verb("doctor", "Check for common problems", []),
        verb(
            "completions",
            "Print shell completions",
            [required("shell", "SHELL", "The shell").value_parser(one_of(&[
                "bash",
                "elvish",
                "fish",
                "powershell",
                "zsh",
            ]))],
        ),
        verb(
            "man",
            "Print the man page of a verb, or the overview",
            [
                Arg::new("verb").value_name("VERB").help("The verb [else: the overview]"),
                option(
                    "dir",
                    "DIR",
                    path(),
                    "Write all pages to this directory: touchline.1, touchline-run.1, …",
                )
                .conflicts_with("verb"),
            ],
        ),
    ]
}
