//! A push server with a known truth, for the demo, the tests and the benchmarks.
//!
//! `model` is pure: matches, what happens to them, the payload, and the document each must become. `oracle` holds
//! what a program published against it. `server` speaks the wire, `truth` is the way to ask, `replay` plays recorded
//! matches. `rooms` and `push` are servers of other kinds: rooms in which people talk, and JSON over a WebSocket. None of it uses the worker's tree: what both compute is computed twice, from the same page of rules.

pub mod api;
mod model;
pub mod options;
pub mod oracle;
pub mod push;
mod replay;
pub mod rooms;
pub mod server;
pub mod truth;

pub use options::{
    Aliases, BodyEncoding, Burst, LoadSize, Login, OnResume, Options, OverCap, OwnTopic, Payload, Protocol,
    Transport,
};
pub use oracle::{
    Auditor, ChatReport, DocumentJudge, EventsReport, FinalReport, Names, OddsReport, Oracle, OracleReport,
    Recorded, Upheaval, Verdict, compare_chat, settled_chat, settled_rooms,
};
pub use rooms::{RoomHandle, RoomOptions, RoomServer, RoomsTruth};
pub use server::{ConnectionReport, Handle, Lateness, Report, Reset, Simulator};
pub use truth::Truth;
