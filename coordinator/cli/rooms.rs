//! The options of `demo` and `simulate` when the simulated server is one of rooms.
//!
//! They share the arguments with the other kind: `--matches` counts rooms and `--rate` their messages. What such a server does not have
//! is a mistake of whoever asks for it.

use super::Code;
use super::dispatch::{number, text, whole};
use super::output::Failure;
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::net::{Ipv4Addr, SocketAddr};
use touchline_simulator::RoomOptions;

/// Messages a second over all rooms, unless they are given.
const RATE: f64 = 5_000.0;

/// What a server of rooms does not have.
const FOREIGN: [&str; 17] = [
    "burst",
    "replay",
    "speed",
    "transport",
    "protocol",
    "cap",
    "sink",
    "ca-file",
    "over-cap",
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
pub(super) fn demo(matches: &ArgMatches) -> Result<RoomOptions, Failure> {
    let server = server(matches)?;
    if server.rooms == 0 {
        let error = "--matches 0: nothing would be followed; expected at least 1";
        return Err(Failure::new(Code::Usage, error));
    }
    Ok(server)
}

/// A server alone.
pub(super) fn simulated(matches: &ArgMatches) -> Result<RoomOptions, Failure> {
    let server = server(matches)?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Ok(RoomOptions {
        listen: matches.get_one("listen").copied().unwrap_or(server.listen),
        http: matches.get_one("truth").copied().unwrap_or(any),
        churn: number(matches, "churn"),
        ..server
    })
}

fn server(matches: &ArgMatches) -> Result<RoomOptions, Failure> {
    refuse_foreign(matches, &FOREIGN)?;
    let usual = RoomOptions::default();
    Ok(RoomOptions {
        rooms: if is_given(matches, "matches") { whole(matches, "matches") } else { usual.rooms },
        rate: if is_given(matches, "rate") { number(matches, "rate") } else { RATE },
        seed: whole(matches, "seed"),
        ..usual
    })
}

/// Refuses what a server of this kind does not have.
pub(super) fn refuse_foreign(matches: &ArgMatches, foreign: &[&str]) -> Result<(), Failure> {
    let Some(name) = foreign.iter().find(|name| is_given(matches, name)) else { return Ok(()) };
    let kind = text(matches, "feed");
    let error = format!("--{name}: a server of --feed {kind} has none; expected --feed diffusion with it");
    Err(Failure::new(Code::Usage, error))
}

pub(super) fn is_given(matches: &ArgMatches, name: &str) -> bool {
    let known = matches.try_contains_id(name).is_ok();
    known && matches.value_source(name) == Some(ValueSource::CommandLine)
}
