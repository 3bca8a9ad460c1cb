//! Tests of the whole forest.
