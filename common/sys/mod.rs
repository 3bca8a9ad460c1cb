//! The few kernel calls that std and nix do not offer safely, and those that decide who lives: descriptor passing,
//! pidfds, the start of a child, locks, folders under any umask, signals, the size of a terminal, the watchdog, the word that outlives its process. The only place in the project where `unsafe` may stand.

pub mod child;
pub mod crash_marker;
pub mod descriptors;
pub mod fdpass;
pub mod folders;
pub mod level_poll;
pub mod lock;
pub mod pidfd;
pub mod priority;
pub mod queue;
pub mod signals;
pub mod terminal;
pub mod watchdog;
