//! The model that the processes agree on: ids, scores' registers, what a worker observes, prices.
//!
//! Invariant: everything here is plain data. Documents themselves are JSON text; the rules by which a tree becomes a document are in `docs/documents.md`.

pub mod change;
pub mod chat;
pub mod ids;
pub mod incident;
pub mod observation;
pub mod price;
pub mod register;
pub mod scoring;

pub use change::{Change, MarketValue, OddsChange, SelectionValue};
pub use chat::{ChatKind, ChatLine};
pub use ids::{Epoch, FeedId, Generation, Handle, MatchId, MatchKey, SlotId};
pub use incident::{IncidentListing, IncidentOrder, Incidents, StatedIncident};
pub use observation::{Clock, Facts, Listing, RegisterChange, RoundEnd};
pub use price::Price;
pub use register::{Phase, Register, Registers, Side};
pub use scoring::Scoring;
