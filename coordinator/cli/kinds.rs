//! The options of `demo` and `simulate` when the simulated server is one of rooms, or an HTTP API.
//!
//! They share the arguments with the first kind: `--matches` counts rooms and `--rate` their messages, or matches and their changes. What
//! such a server does not have is a mistake of whoever asks for it.

use super::Code;
use super::dispatch::{number, text, whole};
use super::output::Failure;
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::net::{Ipv4Addr, SocketAddr};
use touchline_simulator::RoomOptions;
use touchline_simulator::api::ApiOptions;

/// Messages a second over all rooms, unless they are given.
const ROOMS_RATE: f64 = 5_000.0;

/// What both do not have.
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

/// The rooms of a demo.
pub(super) fn demo_rooms(matches: &ArgMatches) -> Result<RoomOptions, Failure> {
    let server = room_server(matches)?;
    something(server.rooms)?;
    Ok(server)
}

/// A server of rooms alone.
pub(super) fn rooms(matches: &ArgMatches) -> Result<RoomOptions, Failure> {
    let server = room_server(matches)?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Ok(RoomOptions {
        listen: matches.get_one("listen").copied().unwrap_or(server.listen),
        http: matches.get_one("truth").copied().unwrap_or(any),
        churn: number(matches, "churn"),
        ..server
    })
}

/// The HTTP API of a demo.
pub(super) fn demo_poll(matches: &ArgMatches) -> Result<ApiOptions, Failure> {
    let server = api_server(matches)?;
    something(server.matches)?;
    Ok(server)
}

/// An HTTP API alone, which has its truth at its own address.
pub(super) fn poll(matches: &ArgMatches) -> Result<ApiOptions, Failure> {
    refuse(matches, &["truth"])?;
    let server = api_server(matches)?;
    Ok(ApiOptions {
        listen: matches.get_one("listen").copied().unwrap_or(server.listen),
        churn: number(matches, "churn"),
        ..server
    })
}

fn room_server(matches: &ArgMatches) -> Result<RoomOptions, Failure> {
    refuse(matches, &FOREIGN)?;
    let usual = RoomOptions::default();
    Ok(RoomOptions {
        rooms: if is_given(matches, "matches") { whole(matches, "matches") } else { usual.rooms },
        rate: if is_given(matches, "rate") { number(matches, "rate") } else { ROOMS_RATE },
        seed: whole(matches, "seed"),
        ..usual
    })
}

fn api_server(matches: &ArgMatches) -> Result<ApiOptions, Failure> {
    refuse(matches, &FOREIGN)?;
    let usual = ApiOptions::default();
    Ok(ApiOptions {
        matches: if is_given(matches, "matches") { whole(matches, "matches") } else { usual.matches },
        rate: if is_given(matches, "rate") { number(matches, "rate") } else { usual.rate },
        seed: whole(matches, "seed"),
        ..usual
    })
}

pub(super) fn refuse(matches: &ArgMatches, foreign: &[&str]) -> Result<(), Failure> {
    let Some(name) = foreign.iter().find(|name| is_given(matches, name)) else { return Ok(()) };
    let kind = text(matches, "feed");
    let error = format!("--{name}: a server of --feed {kind} has none; expected --feed diffusion with it");
    Err(Failure::new(Code::Usage, error))
}

pub(super) fn something(matches: usize) -> Result<(), Failure> {
    let error = "--matches 0: nothing would be followed; expected at least 1";
    if matches == 0 { Err(Failure::new(Code::Usage, error)) } else { Ok(()) }
}

pub(super) fn is_given(matches: &ArgMatches, name: &str) -> bool {
    let known = matches.try_contains_id(name).is_ok();
    known && matches.value_source(name) == Some(ValueSource::CommandLine)
}
