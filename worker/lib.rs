//! What touchline's forked processes run: the scanning worker (`scan`, over `feed`, `net`, `wire` and `payload`) and the
//! recorder (`record`) and the gateway (`serve`). `wire` and `payload` are pure: bytes in, messages and sections out. `raw` is how received bytes are recorded, `replay`
//! sends them through the same code again.

pub mod coalesce;
pub mod feed;
pub mod net;
pub mod payload;
pub mod raw;
pub mod record;
pub mod replay;
pub mod scan;
pub mod serve;
pub mod wire;
