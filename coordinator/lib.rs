//! touchline, the program: the coordinator that forks, places, supervises and answers operators, and its command line.
//! It never parses feed data.

pub mod cli;
pub mod control;
pub mod demo;
pub mod pool;
pub mod supervise;
