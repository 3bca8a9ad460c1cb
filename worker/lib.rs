//! What touchline's forked processes run: the scanning worker (`scan`, over `feed`, `wire` and `tree`) and the
//! recorder (`record`). `wire` and `tree` are pure: bytes in, messages and sections out.

pub mod feed;
pub mod record;
pub mod scan;
pub mod tree;
pub mod watch;
pub mod wire;
