//! The one table of verbs. Parser, help, man page and completions are made from it and from nothing else.
//!
//! Invariant: each verb of `CONTRACT.md` stands here once, also those that this build does not have; a test holds both
//! against each other.

use touchline_simulator::{BodyEncoding, OverCap, Payload};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Built {
    Yes,
    /// It ends with code 1 and `not in this build`.
    No,
    /// It does, but no operator types it: the coordinator starts its children with it.
    Hidden,
}

#[derive(Clone, Copy, Debug)]
pub struct Verb {
    pub name: &'static str,
    pub summary: &'static str,
    /// Its own arguments, besides [`COMMON`].
    pub args: &'static [Arg],
    /// Whether it exists yet.
    pub built: Built,
    /// Verbs of its own, one of which must be given.
    pub verbs: &'static [Verb],
}

#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name: the option without dashes, or the place's name in lower case.
    pub name: &'static str,
    /// How its value is called; empty for a switch.
    pub value: &'static str,
    pub kind: Kind,
    /// What its value must be.
    pub check: Check,
    /// What holds without it; empty: nothing.
    pub default: &'static str,
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `--name`
    Switch,
    /// `--name VALUE`
    Option,
    /// `--name VALUE…`, any number of times
    Options,
    /// In its place, always.
    Required,
    /// In their places, at least one.
    Places,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    Text,
    /// A whole number of at least 0.
    Whole,
    /// A whole number of at least 1.
    Count,
    /// A number of at least 0.
    Number,
    /// `250ms`, `3s`, or whole seconds without a unit.
    Duration,
    Path,
    /// `127.0.0.1:8080`
    Address,
    /// `FACTOR,LEN,EVERY`
    Burst,
    Choice(&'static [&'static str]),
}

const fn verb(name: &'static str, summary: &'static str, args: &'static [Arg]) -> Verb {
    Verb { name, summary, args, built: Built::Yes, verbs: &[] }
}

impl Verb {
    const fn unbuilt(self) -> Self {
        Self { built: Built::No, ..self }
    }

    const fn hidden(self) -> Self {
        Self { built: Built::Hidden, ..self }
    }

    const fn with(self, verbs: &'static [Verb]) -> Self {
        Self { verbs, ..self }
    }
}

const fn arg(name: &'static str, value: &'static str, kind: Kind, check: Check, help: &'static str) -> Arg {
    Arg { name, value, kind, check, default: "", help }
}

const fn switch(name: &'static str, help: &'static str) -> Arg {
    arg(name, "", Kind::Switch, Check::Text, help)
}

const fn option(name: &'static str, value: &'static str, check: Check, help: &'static str) -> Arg {
    arg(name, value, Kind::Option, check, help)
}

const fn required(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    arg(name, value, Kind::Required, Check::Text, help)
}

impl Arg {
    const fn or(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    const fn many(self) -> Self {
        Self { kind: Kind::Options, ..self }
    }

    const fn checked(self, check: Check) -> Self {
        Self { check, ..self }
    }
}

pub const COMMON: &[Arg] = &[
    option(
        "config",
        "FILE",
        Check::Path,
        "The configuration [else: ./touchline.toml, /etc/touchline/touchline.toml]",
    ),
    option("socket", "PATH", Check::Path, "The daemon's control socket [else: from the configuration]"),
    switch("json", "Print JSON for programs instead of text for people"),
    option("timeout", "DUR", Check::Duration, "Wait at most this long for the daemon, such as 500ms or 3s"),
];

const MATCH: Arg = required("match", "ID", "A match: FEED/ID, or ID where only one feed has it");
const DRY_RUN: Arg = switch("dry-run", "Only tell what would be done");

const MATCHES: Arg = option("matches", "N", Check::Whole, "Simulated matches").or("250");
const RATE: Arg =
    option("rate", "DIFFS_PER_S", Check::Number, "Diffs per second over all matches").or("1000");
const BURST: Arg = option(
    "burst",
    "FACTOR,LEN,EVERY",
    Check::Burst,
    "FACTOR times the rate for LEN, each EVERY, such as 10,200ms,5s",
);
const SEED: Arg = option("seed", "S", Check::Whole, "The seed of everything random").or("1");
const REPLAY: Arg = option("replay", "FILE", Check::Path, "Recorded matches to play as well").many();
const SPEED: Arg = option("speed", "N", Check::Number, "Seconds of a recorded match per second").or("1");

const TRANSPORT: Arg = option(
    "transport",
    "T",
    Check::Choice(&["dpt", "dpts", "ws", "wss"]),
    "TCP, TLS, WebSocket, WebSocket over TLS",
)
.or("dpt");
const PROTOCOL: Arg =
    option("protocol", "P", Check::Choice(&["v4", "zap"]), "The version of the wire; zap is for ws and wss")
        .or("v4");

const STATES: &[&str] = &["waiting", "subscribing", "live", "stale", "ended", "quarantined"];

/// Every verb, in the order of the help.
pub const VERBS: &[Verb] = &[
    verb("run", "The daemon, in the foreground", &[]),
    verb(
        "demo",
        "A simulated server and the whole daemon, held against the truth",
        &[
            MATCHES,
            RATE.or("20000"),
            option("for", "DUR", Check::Duration, "End after this long and compare with the truth"),
            option(
                "feed",
                "KIND",
                Check::Choice(&["diffusion", "poll", "rooms"]),
                "The kind of the simulated server",
            )
            .or("diffusion"),
            REPLAY,
            SPEED,
            option("dir", "DIR", Check::Path, "Where sockets and store are put [else: a temporary folder]"),
            switch("keep", "Keep the temporary folder"),
            SEED,
            option("cap", "N", Check::Count, "Subscriptions that one connection may hold").or("50"),
            TRANSPORT,
            PROTOCOL,
            BURST.or("10,5s,20s"),
        ],
    ),
    verb(
        "simulate",
        "The simulated server alone",
        &[
            option("listen", "ADDR", Check::Address, "Where it listens").or("127.0.0.1:8080"),
            TRANSPORT,
            PROTOCOL,
            option("ca-file", "FILE", Check::Path, "Write the authority of its certificate here (dpts, wss)"),
            MATCHES,
            RATE,
            BURST,
            option("cap", "N", Check::Count, "Subscriptions that one connection may hold [else: any number]"),
            option(
                "over-cap",
                "WHAT",
                Check::Choice(OverCap::NAMES),
                "What a subscription above --cap gets: a reset, an error, nothing, changes without a load, a tenth of the changes",
            )
            .or("close"),
            option("payload", "P", Check::Choice(Payload::NAMES), "How matches are published")
                .or("inplay"),
            option("login", "USER:PASSWORD", Check::Text, "The one login that may connect [else: anybody]"),
            option(
                "session",
                "TOKEN",
                Check::Text,
                "The one session that is good: a login topic S_… with another token gets an error [else: any]",
            ),
            option("keep-alive", "DUR", Check::Duration, "Keep a session so long after its connection broke")
                .or("0s"),
            switch("reload-on-resume", "Send a session that goes on (--keep-alive) a load of each topic"),
            option(
                "encoding",
                "E",
                Check::Choice(BodyEncoding::NAMES),
                "How bodies are written for clients that can take it (dpt, dpts)",
            )
            .or("none"),
            option("fragment-above", "BYTES", Check::Count, "Send longer bodies in pieces of that size"),
            option("max-depth", "MESSAGES", Check::Count, "Close connections for which more of them wait"),
            SEED,
            REPLAY,
            SPEED,
            option("churn", "MATCHES_PER_MIN", Check::Number, "Matches that end while others appear").or("0"),
            option("fault", "SPEC", Check::Text, "Faults to inject (not in this build)").many(),
            option("truth", "ADDR", Check::Address, "Serve the truth here over HTTP"),
        ],
    ),
    verb(
        "check",
        "Validate the configuration; tell every mistake with its place",
        &[switch("print", "Print the whole configuration with its defaults")],
    ),
    verb("status", "How the daemon stands", &[]),
    verb("workers", "The workers and what they carry", &[]),
    verb(
        "matches",
        "The matches and their states",
        &[
            option("feed", "F", Check::Text, "Only of this feed"),
            option("worker", "N", Check::Whole, "Only at this worker"),
            option("state", "S", Check::Choice(STATES), "Only in this state"),
        ],
    ),
    verb("match", "The document of a match", &[MATCH]),
    verb("gaps", "The times in which a match was not followed", &[]),
    verb(
        "events",
        "The event queue, one event a line",
        &[
            switch("follow", "Go on with what is yet to come"),
            option("since", "SEQ", Check::Whole, "Only those after this number"),
            option("match", "ID", Check::Text, "Only of this match"),
            option("lane", "L", Check::Choice(&["priority", "normal", "odds", "chat"]), "Only of this lane; without it the match stream"),
            option("limit", "N", Check::Whole, "At most so many"),
            option("format", "F", Check::Choice(&["json", "csv"]), "How a line is written").or("json"),
        ],
    ),
    verb(
        "odds",
        "A match's odds over time",
        &[
            MATCH,
            option("market", "KEY", Check::Text, "Only of this market"),
            switch("follow", "Go on with what is yet to come"),
        ],
    ),
    verb(
        "probe",
        "Connect to a feed step by step and say what to change",
        &[required("feed", "FEED", "The feed")],
    ),
    verb("health", "0 healthy, 1 degraded, a reason a line", &[]),
    verb("drain", "Empty a worker", &[required("worker", "WORKER", "The worker")]),
    verb(
        "move",
        "Move a match to another worker",
        &[MATCH, required("worker", "WORKER", "The worker that is to have it")],
    ),
    verb("rebalance", "Even out the workers", &[DRY_RUN]),
    verb(
        "scale",
        "Change how many workers there may be",
        &[
            option("min", "N", Check::Whole, "At least so many"),
            option("max", "N", Check::Whole, "At most so many"),
        ],
    ),
    verb("resync", "Subscribe a match again and take a fresh load", &[MATCH]),
    verb("release", "Let a match out of quarantine", &[MATCH]),
    verb("reload", "Apply the changed configuration, printing the difference first", &[DRY_RUN]).unbuilt(),
    verb(
        "upgrade",
        "Run the new binary under the same pid, no match dropped",
        &[DRY_RUN, switch("coordinator-only", "Keep the workers as they are")],
    )
    .unbuilt(),
    verb("log", "Logging at run time", &[]).with(&[
        verb(
            "level",
            "Log from now on by this filter",
            &[required("filter", "FILTER", "error, warn, info, debug, trace, off, or as RUST_LOG writes it")],
        ),
        verb("reopen", "Open the log file anew, after it was moved", &[]),
    ]),
    verb(
        "dissect",
        "A captured conversation, message by message",
        &[required("file", "FILE", "The capture, pcap or pcapng; - for standard input")],
    ),
    verb(
        "replay",
        "A recorded match or raw bytes again",
        &[arg("file", "FILE", Kind::Places, Check::Path, "The recording")],
    )
    .unbuilt(),
    verb("stop", "Drain and stop the daemon, and wait until it is gone", &[switch("now", "Do not drain")]),
    verb("ping", "Ask whether the daemon answers", &[]),
    verb("wait-ready", "Wait until every feed's matches have a place", &[]),
    verb("metrics", "The counters, as OpenMetrics", &[]).unbuilt(),
    verb("top", "A live table", &[]).unbuilt(),
    verb("doctor", "Look for what commonly goes wrong", &[]).unbuilt(),
    verb(
        "completions",
        "Completions for a shell",
        &[required("shell", "SHELL", "The shell").checked(Check::Choice(&[
            "bash",
            "elvish",
            "fish",
            "powershell",
            "zsh",
        ]))],
    ),
    verb("man", "The man page", &[]),
    verb("worker", "A scanning worker (started by the coordinator)", CHILD).hidden(),
    verb("recorder", "The recorder (started by the coordinator)", CHILD).hidden(),
];

const CHILD: &[Arg] = &[
    option("slot", "N", Check::Whole, "Its slot, for the process list"),
    option("parent", "PID", Check::Whole, "The process that forked it"),
];
