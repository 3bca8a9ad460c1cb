//! Codecs: bytes in, messages out, and back. No sockets, no clocks, no copies on the way in.
//!
//! One module per protocol. Both directions of each are here, so that the simulated server speaks with the same
//! code as the worker. Whatever arrives, a codec neither panics nor loops nor grows past its limit: what is unknown
//! is a value, what breaks the framing is an error. Callers: `feed`, the simulator, the fuzz targets.

pub mod amqp;
pub mod capture;
pub mod diffusion;
pub mod rooms;
pub mod websocket;
