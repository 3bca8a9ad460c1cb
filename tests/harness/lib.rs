//! Deadlines, real processes and real input for the tests.

pub mod data;
