//! What outlives the coordinator: the highest epoch, who had which match, how each slot fared.
//!
//! Invariant: the shape of `SavedStateV1` never changes (a golden test holds it); what must change becomes a `V2`.
//! Feeds are named, not numbered, since a configuration may change between two runs. Assignments are hints only.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The saved state, version 1, written as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedStateV1 {
    /// 1.
    pub version: u32,
    /// Every epoch up to this may have been used.
    pub highest_epoch: u64,
    /// The generation of the recorder's last start.
    pub recorder_generation: u32,
    /// The slots that were ever started.
    pub slots: Vec<SavedSlotV1>,
    /// The matches that were placed.
    pub assignments: Vec<SavedAssignmentV1>,
}

/// A slot's history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSlotV1 {
    /// Its number.
    pub slot: u16,
    /// The generation of its last start: the next is above it, since the recorder counts by it.
    pub generation: u32,
    /// How often it was started again after a death.
    pub restarts: u32,
    /// How its last process ended, if one did.
    pub last_exit: Option<String>,
}

/// Who had a match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedAssignmentV1 {
    /// The feed's name.
    pub feed: String,
    /// The match's id there.
    #[serde(rename = "match")]
    pub id: String,
    /// The slot that had it.
    pub slot: u16,
    /// Under this epoch.
    pub epoch: u64,
}

/// Why a saved state cannot be used.
#[derive(Debug)]
pub enum SavedStateError {
    /// It is no JSON of this shape.
    Shape(serde_json::Error),
    /// It was written by a newer program.
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
                "the saved state has version {version}, this program reads 1: run the newer program, or move the file away"
            ),
        }
    }
}

impl std::error::Error for SavedStateError {}

impl SavedStateV1 {
    /// The state as it is written.
    ///
    /// # Errors
    /// Those of the JSON writer; none are known for this shape.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// Reads what [`SavedStateV1::to_json`] wrote.
    ///
    /// # Errors
    /// [`SavedStateError`] when it is damaged or newer than this program.
    pub fn from_json(text: &str) -> Result<Self, SavedStateError> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let Version { version } = serde_json::from_str(text).map_err(SavedStateError::Shape)?;
        if version != 1 {
            return Err(SavedStateError::Version(version));
        }
        serde_json::from_str(text).map_err(SavedStateError::Shape)
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
        assert_eq!(golden().to_json().unwrap(), GOLDEN);
        assert_eq!(SavedStateV1::from_json(GOLDEN).unwrap(), golden());
    }

    #[test]
    fn a_newer_state_is_refused_by_its_version_not_by_its_shape() {
        let error = SavedStateV1::from_json(r#"{"version":2,"anything":[]}"#).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
    }

    #[test]
    fn a_damaged_state_is_an_error_and_no_panic() {
        for cut in 0..GOLDEN.len() - 3 {
            assert!(SavedStateV1::from_json(&GOLDEN[..cut]).is_err(), "cut at {cut}");
        }
    }
}
