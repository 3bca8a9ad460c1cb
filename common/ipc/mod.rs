//! The channels between the processes: a fixed header, a bincode body, one message enum per direction.
//!
//! Invariants: a length is checked against its limit before anything is allocated; a bad frame ends its channel,
//! never a re-sync; at most one descriptor belongs to a frame. `bincode` appears in `codec` and nowhere else.

pub mod channel;
pub mod codec;
pub mod frame;
pub mod messages;

pub use channel::{Channel, ChannelError, ReadOutcome};
pub use codec::{CodecError, decode, decode_borrowed, encode_frame};
pub use frame::{FrameError, FrameReader, Header, PROTO};
