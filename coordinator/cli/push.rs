//! The options of `demo` and `simulate` when the simulated server is a JSON push server.
//!
//! They share the arguments with the other kinds: `--matches` counts topics and `--rate` their changes. What such a server does not have
//! is a mistake of whoever asks for it.

use super::Code;
use super::dispatch::{number, text, whole};
use super::kinds::{is_given, refuse, something};
use super::output::Failure;
use clap::ArgMatches;
use std::net::{Ipv4Addr, SocketAddr};
use touchline_simulator::OverCap as Shown;
use touchline_simulator::push::{OverCap, PushOptions};

/// Topics, changes a second and the cap of a connection, unless they are given.
const TOPICS: usize = 2_000;
const RATE: f64 = 4_000.0;
const CAP: usize = 100;

/// What a JSON push server does not have.
const FOREIGN: [&str; 15] = [
    "burst",
    "replay",
    "speed",
    "transport",
    "protocol",
    "sink",
    "ca-file",
    "payload",
    "login",
    "session",
    "keep-alive",
    "reload-on-resume",
    "encoding",
    "fragment-above",
    "max-depth",
];

/// The server of a demo.
pub(super) fn demo(matches: &ArgMatches) -> Result<PushOptions, Failure> {
    let server = server(matches)?;
    something(server.topics)?;
    Ok(server)
}

/// A server alone.
pub(super) fn simulated(matches: &ArgMatches) -> Result<PushOptions, Failure> {
    let server = server(matches)?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let over_cap = if is_given(matches, "over-cap") {
        let shown = text(matches, "over-cap").parse::<Shown>();
        match shown.map_err(|error| Failure::new(Code::Usage, error.to_string()))? {
            Shown::Close => OverCap::Close,
            Shown::Error => OverCap::Error,
            Shown::Ignore => OverCap::Ignore,
            Shown::NoLoad => OverCap::NoSnapshot,
            Shown::Thin => OverCap::Thin,
        }
    } else {
        OverCap::default()
    };
    Ok(PushOptions {
        listen: matches.get_one("listen").copied().unwrap_or(server.listen),
        http: matches.get_one("truth").copied().unwrap_or(any),
        over_cap,
        ..server
    })
}

fn server(matches: &ArgMatches) -> Result<PushOptions, Failure> {
    refuse(matches, &FOREIGN)?;
    Ok(PushOptions {
        topics: if is_given(matches, "matches") { whole(matches, "matches") } else { TOPICS },
        rate: if is_given(matches, "rate") { number(matches, "rate") } else { RATE },
        cap: if is_given(matches, "cap") { whole(matches, "cap") } else { CAP },
        seed: whole(matches, "seed"),
        ..PushOptions::default()
    })
}
