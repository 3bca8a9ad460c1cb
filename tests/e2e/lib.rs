//! End-to-end tests stand in `tests/`.
