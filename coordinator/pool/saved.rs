//! What outlives the coordinator: the highest epoch, who had which match, how each slot fared, which caps were learned,
//! and what was given out of a quota.
//!
//! Invariant: the shape of `SavedStateV1` to `SavedStateV3` never changes (golden tests hold them); what must change becomes a
//! `V4`. The newest is written, all are read.
//! Feeds are named, not numbered, since a configuration may change between two runs. Assignments are hints only.

use super::cap::FeedCap;
use super::quota::Spent;
use super::{Pool, WORKERS_MAX};
use serde::{Deserialize, Serialize};
use std::fmt;
use touchline_common::model::{Generation, SlotId};

pub(super) const VERSION: u32 = 3;

/// The saved state, version 3, written as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedStateV3 {
    /// 3.
    pub version: u32,
    pub highest_epoch: u64,
    /// The generation of the recorder's last start.
    pub recorder_generation: u32,
    pub slots: Vec<SavedSlotV1>,
    pub assignments: Vec<SavedAssignmentV1>,
    /// What servers grant one connection, where it is less than configured.
    pub learned_caps: Vec<SavedCapV2>,
    /// Of each feed with a quota.
    pub quotas: Vec<SavedQuotaV3>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedQuotaV3 {
    pub feed: String,
    /// Since 1970 UTC.
    pub day: i64,
    /// Requests that were given out on that day.
    pub spent: u64,
}

/// The saved state, version 2: nothing was known of quotas then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedStateV2 {
    /// 2.
    pub version: u32,
    pub highest_epoch: u64,
    /// The generation of the recorder's last start.
    pub recorder_generation: u32,
    pub slots: Vec<SavedSlotV1>,
    pub assignments: Vec<SavedAssignmentV1>,
    /// What servers grant one connection, where it is less than configured.
    pub learned_caps: Vec<SavedCapV2>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedCapV2 {
    pub feed: String,
    pub cap: u32,
}

/// The saved state, version 1: no caps were learned then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedStateV1 {
    /// 1.
    pub version: u32,
    pub highest_epoch: u64,
    /// The generation of the recorder's last start.
    pub recorder_generation: u32,
    pub slots: Vec<SavedSlotV1>,
    pub assignments: Vec<SavedAssignmentV1>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSlotV1 {
    pub slot: u16,
    /// The generation of its last start: the next is above it, since the recorder counts by it.
    pub generation: u32,
    /// How often it was started again after a death.
    pub restarts: u32,
    /// How its last process ended, if one did.
    pub last_exit: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedAssignmentV1 {
    pub feed: String,
    #[serde(rename = "match")]
    pub id: String,
    pub slot: u16,
    pub epoch: u64,
}

/// Why a saved state cannot be used.
#[derive(Debug)]
pub enum SavedStateError {
    Shape(serde_json::Error),
    Version(u64),
}

impl fmt::Display for SavedStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SavedStateError::Shape(error) => {
                write!(f, "the saved state is damaged ({error}): move the file away to start without it")
            }
            SavedStateError::Version(version) => write!(
                f,
                "the saved state has version {version}, this program reads up to {VERSION}: run the newer program, or move the file away"
            ),
        }
    }
}

impl std::error::Error for SavedStateError {}

impl From<SavedStateV2> for SavedStateV3 {
    fn from(old: SavedStateV2) -> Self {
        SavedStateV3 {
            version: VERSION,
            highest_epoch: old.highest_epoch,
            recorder_generation: old.recorder_generation,
            slots: old.slots,
            assignments: old.assignments,
            learned_caps: old.learned_caps,
            quotas: Vec::new(),
        }
    }
}

impl From<SavedStateV1> for SavedStateV2 {
    fn from(old: SavedStateV1) -> Self {
        SavedStateV2 {
            version: 2,
            highest_epoch: old.highest_epoch,
            recorder_generation: old.recorder_generation,
            slots: old.slots,
            assignments: old.assignments,
            learned_caps: Vec::new(),
        }
    }
}

impl SavedStateV3 {
    /// The state as it is written.
    ///
    /// # Errors
    /// Those of the JSON writer; none are known for this shape.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// Reads what [`SavedStateV3::to_json`] wrote, or an older program.
    ///
    /// # Errors
    /// [`SavedStateError`] when it is damaged or newer than this program.
    pub fn from_json(text: &str) -> Result<Self, SavedStateError> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let Version { version } = serde_json::from_str(text).map_err(SavedStateError::Shape)?;
        match version {
            1 => serde_json::from_str(text).map(|old: SavedStateV1| SavedStateV2::from(old).into()),
            2 => serde_json::from_str(text).map(|old: SavedStateV2| old.into()),
            3 => serde_json::from_str(text),
            _ => return Err(SavedStateError::Version(version)),
        }
        .map_err(SavedStateError::Shape)
    }
}

impl Pool {
    pub(super) fn remember(&mut self, saved: &SavedStateV3) {
        for kept in &saved.slots {
            // There may have been more workers then; their numbers go on where they ended.
            if kept.slot <= WORKERS_MAX {
                self.children.make_slots(kept.slot);
            }
            if let Some(slot) = self.slot_mut(SlotId(kept.slot)) {
                slot.life.generation = Generation(kept.generation);
                slot.life.restarts = kept.restarts;
                slot.life.last_exit.clone_from(&kept.last_exit);
            }
        }
        for kept in &saved.learned_caps {
            let feed = self.feeds.by_name(&kept.feed).map(|feed| &mut self.feeds[feed]);
            if let Some(feed) = feed.filter(|feed| feed.plan.learns_cap) {
                feed.cap = FeedCap::new(feed.plan.cap, Some(kept.cap));
            }
        }
        for kept in &saved.quotas {
            let feed = self.feeds.by_name(&kept.feed).map(|feed| &mut self.feeds[feed]);
            if let Some(quota) = feed.and_then(|feed| feed.quota.as_mut()) {
                quota.remember(Spent { day: kept.day, requests: kept.spent });
            }
        }
        for kept in &saved.assignments {
            if let Some(feed) = self.feeds.by_name(&kept.feed) {
                self.feeds[feed].hints.insert(kept.id.as_str().into(), SlotId(kept.slot));
            }
        }
    }

    pub fn saved_state(&self) -> SavedStateV3 {
        let slots =
            self.children.slots.iter().filter(|slot| slot.life.generation.0 > 0).map(|slot| SavedSlotV1 {
                slot: slot.id.0,
                generation: slot.life.generation.0,
                restarts: slot.life.restarts,
                last_exit: slot.life.last_exit.clone(),
            });
        let assignments = self.catalog.matches.iter().filter_map(|(key, a_match)| {
            let owner = a_match.owner()?;
            Some(SavedAssignmentV1 {
                feed: self.feeds[key.feed].plan.name.clone(),
                id: key.id.as_str().to_owned(),
                slot: owner.slot.0,
                epoch: owner.epoch.0,
            })
        });
        // Until the first list is here, what the last run knew is still the best that is known.
        let hints = self.feeds.iter().flat_map(|feed| {
            feed.hints.iter().map(|(id, slot)| SavedAssignmentV1 {
                feed: feed.plan.name.clone(),
                id: id.as_str().to_owned(),
                slot: slot.0,
                epoch: 0,
            })
        });
        let learned_caps = self.feeds.iter().filter_map(|feed| {
            Some(SavedCapV2 { feed: feed.plan.name.clone(), cap: feed.cap.learner.learned()? })
        });
        let quotas = self.feeds.iter().filter_map(|feed| {
            let Spent { day, requests } = feed.quota.as_ref()?.spent();
            Some(SavedQuotaV3 { feed: feed.plan.name.clone(), day, spent: requests })
        });
        SavedStateV3 {
            version: VERSION,
            highest_epoch: self.placement.epochs.highest_possible(),
            recorder_generation: self.children.recorder.life.generation.0,
            slots: slots.collect(),
            assignments: assignments.chain(hints).collect(),
            learned_caps: learned_caps.collect(),
            quotas: quotas.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never edit: a state that an older program wrote must stay readable.
    const GOLDEN: &str = r#"{
  "version": 1,
  "highest_epoch": 3000,
  "recorder_generation": 4,
  "slots": [
    {
      "slot": 1,
      "generation": 7,
      "restarts": 2,
      "last_exit": "signal 9"
    },
    {
      "slot": 2,
      "generation": 1,
      "restarts": 0,
      "last_exit": null
    }
  ],
  "assignments": [
    {
      "feed": "inplay",
      "match": "90000012C1A",
      "slot": 1,
      "epoch": 2017
    }
  ]
}
"#;

    /// Never edit either.
    const GOLDEN_2: &str = r#"{
  "version": 2,
  "highest_epoch": 3000,
  "recorder_generation": 4,
  "slots": [],
  "assignments": [],
  "learned_caps": [
    {
      "feed": "inplay",
      "cap": 37
    }
  ]
}
"#;

    /// Never edit either.
    const GOLDEN_3: &str = r#"{
  "version": 3,
  "highest_epoch": 3000,
  "recorder_generation": 4,
  "slots": [],
  "assignments": [],
  "learned_caps": [],
  "quotas": [
    {
      "feed": "api",
      "day": 20423,
      "spent": 1234
    }
  ]
}
"#;

    fn golden() -> SavedStateV1 {
        SavedStateV1 {
            version: 1,
            highest_epoch: 3000,
            recorder_generation: 4,
            slots: vec![
                SavedSlotV1 { slot: 1, generation: 7, restarts: 2, last_exit: Some("signal 9".into()) },
                SavedSlotV1 { slot: 2, generation: 1, restarts: 0, last_exit: None },
            ],
            assignments: vec![SavedAssignmentV1 {
                feed: "inplay".into(),
                id: "90000012C1A".into(),
                slot: 1,
                epoch: 2017,
            }],
        }
    }

    #[test]
    fn the_shape_of_version_1_never_changes() {
        let written = format!("{}\n", serde_json::to_string_pretty(&golden()).unwrap());
        assert_eq!(written, GOLDEN);
        assert_eq!(SavedStateV3::from_json(GOLDEN).unwrap(), SavedStateV2::from(golden()).into());
    }

    #[test]
    fn the_shape_of_version_2_never_changes() {
        let golden = SavedStateV2 {
            version: 2,
            highest_epoch: 3000,
            recorder_generation: 4,
            learned_caps: vec![SavedCapV2 { feed: "inplay".into(), cap: 37 }],
            ..SavedStateV2::default()
        };
        let written = format!("{}\n", serde_json::to_string_pretty(&golden).unwrap());
        assert_eq!(written, GOLDEN_2);
        assert_eq!(SavedStateV3::from_json(GOLDEN_2).unwrap(), golden.into());
    }

    #[test]
    fn the_shape_of_version_3_never_changes() {
        let golden = SavedStateV3 {
            version: 3,
            highest_epoch: 3000,
            recorder_generation: 4,
            quotas: vec![SavedQuotaV3 { feed: "api".into(), day: 20_423, spent: 1_234 }],
            ..SavedStateV3::default()
        };
        assert_eq!(golden.to_json().unwrap(), GOLDEN_3);
        assert_eq!(SavedStateV3::from_json(GOLDEN_3).unwrap(), golden);
    }

    #[test]
    fn a_newer_state_is_refused_by_its_version_not_by_its_shape() {
        let error = SavedStateV3::from_json(r#"{"version":4,"anything":[]}"#).unwrap_err();
        assert!(error.to_string().contains("version 4"), "{error}");
    }

    #[test]
    fn a_damaged_state_is_an_error_and_no_panic() {
        for cut in 0..GOLDEN.len() - 3 {
            assert!(SavedStateV3::from_json(&GOLDEN[..cut]).is_err(), "cut at {cut}");
        }
    }
}
