//! Deadlines, real processes, example consumers, real input, made captures and full stores for the tests.
//!
//! A test that starts processes holds a [`process::Reaper`]: whatever outlives the test becomes its child, and fails it.

pub mod consumer;
pub mod data;
pub mod fixture;
pub mod pcap;
pub mod process;
pub mod store;
pub mod wait;
