//! The rows, by the names that the command line knows.

use crate::effort::Effort;
use crate::report::Row;
use crate::{incidents, instructions, live, loads, saturation, size};
use std::time::Instant;

/// A row of the table of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowName {
    /// A connection's loads at once.
    Loads,
    /// As many diffs as one worker can take.
    Saturation,
    /// From write to section.
    Latency,
    /// The same in ticks.
    Ticks,
    /// From write to row.
    Event,
    /// Processor time.
    Cpu,
    /// Processor time beside plain scanners.
    Peers,
    /// A worker that dies.
    Recovery,
    /// Ten thousand matches.
    Many,
    /// Incidents through the ledger.
    Events,
    /// Events into a sink.
    Redis,
    /// Lines of code.
    Size,
    /// The three ways to spread matches over connections.
    Strategies,
    /// Live rooms.
    Rooms,
    /// Sources that are polled.
    Poll,
    /// A JSON push server.
    Push,
    /// Instructions of the hot paths.
    Instructions,
}

impl RowName {
    /// All, in the order in which they are measured.
    pub const ALL: [RowName; 17] = [
        RowName::Peers,
        RowName::Loads,
        RowName::Saturation,
        RowName::Latency,
        RowName::Ticks,
        RowName::Event,
        RowName::Cpu,
        RowName::Recovery,
        RowName::Events,
        RowName::Redis,
        RowName::Size,
        RowName::Many,
        RowName::Strategies,
        RowName::Rooms,
        RowName::Poll,
        RowName::Push,
        RowName::Instructions,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            RowName::Loads => "loads",
            RowName::Saturation => "saturation",
            RowName::Latency => "latency",
            RowName::Ticks => "ticks",
            RowName::Event => "event",
            RowName::Cpu => "cpu",
            RowName::Peers => "peers",
            RowName::Recovery => "recovery",
            RowName::Events => "events",
            RowName::Redis => "redis",
            RowName::Size => "size",
            RowName::Many => "many",
            RowName::Strategies => "strategies",
            RowName::Rooms => "rooms",
            RowName::Poll => "poll",
            RowName::Push => "push",
            RowName::Instructions => "instructions",
        }
    }

    /// What it measures.
    pub fn title(self) -> &'static str {
        match self {
            RowName::Loads => "250 distinct loads of 128 kB, trees kept",
            RowName::Saturation => {
                "diffs of 43 B, 40,000 nodes, 80 % of the prices to 20 % of the nodes, one worker's path"
            }
            RowName::Latency => "250 matches, 20,000 diffs/s, one write each",
            RowName::Ticks => "250 matches, 100,000 diffs/s in ticks of 1 ms",
            RowName::Event => "goals among 20,000 diffs/s",
            RowName::Cpu => "processor time at 20,000 diffs/s, one write each, 6 connections",
            RowName::Peers => "processor time for a diff beside plain scanners: 50 matches, ticks of 1 ms",
            RowName::Recovery => "a worker is killed, or stopped",
            RowName::Events => "incidents through identity, order and lanes, in memory on one core",
            RowName::Redis => "a million stored events into a Redis on the same machine",
            RowName::Size => "lines of product code, to watch",
            RowName::Many => "10,000 matches, 200 workers, loads of 32 kB",
            RowName::Strategies => {
                "balanced, multiplex and dumps on the same feed: 250 matches, 20,000 diffs/s, 50 subscriptions a connection"
            }
            RowName::Rooms => {
                "300 rooms, 30,000 messages/s, every line stored, beside a Node and a Python client; 1,000 rooms at rest"
            }
            RowName::Poll => {
                "1,000 polled sources beside curl --parallel, some slow or dead; 10,000 on one worker"
            }
            RowName::Push => {
                "1,000 topics of JSON, 20,000 deltas/s, 200 subscriptions a connection, beside plain collectors"
            }
            RowName::Instructions => "instructions of the hot paths, beside those that were accepted",
        }
    }

    /// Whether it is measured without being named.
    pub fn is_usual(self) -> bool {
        match self {
            RowName::Loads
            | RowName::Saturation
            | RowName::Latency
            | RowName::Ticks
            | RowName::Event
            | RowName::Cpu
            | RowName::Peers
            | RowName::Recovery
            | RowName::Events
            | RowName::Redis
            | RowName::Size => true,
            RowName::Many
            | RowName::Strategies
            | RowName::Rooms
            | RowName::Poll
            | RowName::Push
            | RowName::Instructions => false,
        }
    }
}

/// Measures a row.
pub fn measure(name: RowName, effort: Effort) -> Row {
    let began = Instant::now();
    let measured = match name {
        RowName::Loads => loads::measure(effort),
        RowName::Saturation => saturation::measure(effort),
        RowName::Latency => live::latency_row(effort),
        RowName::Ticks => live::ticks_row(effort),
        RowName::Event => live::event_row(effort),
        RowName::Cpu => live::cpu_row(effort),
        RowName::Peers => live::peers_row(effort),
        RowName::Recovery => live::recovery_row(effort),
        RowName::Events => incidents::measure(effort),
        RowName::Redis => live::redis_row(effort),
        RowName::Size => size::measure(),
        RowName::Many => live::many_row(),
        RowName::Strategies => live::strategies_row(),
        RowName::Rooms => live::rooms_row(effort),
        RowName::Poll => live::poll_row(effort),
        RowName::Push => live::push_row(effort),
        RowName::Instructions => instructions::measure(effort),
    };
    Row::new(name, measured, began.elapsed().as_secs_f64())
}
