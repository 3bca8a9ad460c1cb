//! What touchline's forked processes run: the scanning worker (`scan`, over `feed`, `net`, `wire` and `payload`) and the
//! recorder (`record`). `wire` and `payload` are pure: bytes in, messages and sections out.

pub mod feed;
pub mod net;
pub mod payload;
pub mod record;
pub mod scan;
pub mod wire;
