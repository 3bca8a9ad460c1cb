//! What every touchline process shares: the messages between them, the configuration, the model of a match,
//! the requests of the control socket, log lines and the few kernel calls that std and nix lack.
//!
//! Nothing here owns a clock or a loop. `sys` is the only place in the project where `unsafe` may stand.

pub mod config;
pub mod control;
pub mod failpoint;
pub mod ipc;
pub mod logging;
pub mod model;
pub mod sys;
