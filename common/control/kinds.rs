//! Types of rows by the stream that has them: what `events --type` takes, and `type` on the control socket.
//!
//! Some types are of two streams: `comment` is a source's commentary and what people say in a room. The lane that is asked for says
//! which, else the types do, else what the rows are of. Callers: the command line, which must know the columns, and the recorder.

use super::EventLane;
use crate::config::EVENT_TYPES;
use crate::model::ChatKind;

/// Types of rows of odds.
const ODDS_TYPES: &[&str] = &["odds_change", "suspended", "resumed", "market_open", "market_close", "base"];
/// Types of rows of rooms.
const CHAT_TYPES: &[&str] = &[
    ChatKind::Comment.as_str(),
    ChatKind::Gift.as_str(),
    ChatKind::SuperChat.as_str(),
    ChatKind::Retract.as_str(),
];

/// What rows are asked for, as far as lane and types do not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// Of rooms.
    Rooms,
    /// Of matches, or of both.
    Matches,
}

/// Which rows types are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KindsOf {
    /// This lane; `None`: both of the match stream.
    Lane(Option<EventLane>),
    /// Rooms have them, and the match stream: what is followed decides.
    MatchesOrRooms,
}

impl KindsOf {
    pub fn decided(self, by: Followed) -> Option<EventLane> {
        match (self, by) {
            (KindsOf::Lane(lane), _) => lane,
            (KindsOf::MatchesOrRooms, Followed::Rooms) => Some(EventLane::Chat),
            (KindsOf::MatchesOrRooms, Followed::Matches) => None,
        }
    }
}

/// Every type that there is, each once.
pub fn all_kinds() -> Vec<&'static str> {
    let mut all = EVENT_TYPES.to_vec();
    for name in ODDS_TYPES.iter().chain(CHAT_TYPES) {
        if !all.contains(name) {
            all.push(name);
        }
    }
    all
}

/// Which rows to look at for `types`, of which there may be none, in the `lane` that is asked for, if one is.
///
/// # Errors
/// In words: a type that there is not, or that the lane has not, or types that no lane has together.
pub fn kinds_of(lane: Option<EventLane>, types: &[impl AsRef<str>]) -> Result<KindsOf, String> {
    let has_all = |known: &[&str]| types.iter().all(|name| known.contains(&name.as_ref()));
    let known = all_kinds();
    if let Some(unknown) = types.iter().find(|name| !known.contains(&name.as_ref())) {
        return Err(format!(
            "there is no type {:?}; expected some of {}",
            unknown.as_ref(),
            known.join(", ")
        ));
    }
    if let Some(lane) = lane {
        let own = of_lane(lane);
        return match types.iter().find(|name| !own.contains(&name.as_ref())) {
            None => Ok(KindsOf::Lane(Some(lane))),
            Some(other) => {
                let (lane, other) = (lane.as_str(), other.as_ref());
                Err(format!("the lane {lane} has no {other}; it has {}", own.join(", ")))
            }
        };
    }
    match (has_all(EVENT_TYPES), has_all(CHAT_TYPES), has_all(ODDS_TYPES)) {
        (true, true, _) if !types.is_empty() => Ok(KindsOf::MatchesOrRooms),
        (true, _, _) => Ok(KindsOf::Lane(None)),
        (false, true, _) => Ok(KindsOf::Lane(Some(EventLane::Chat))),
        (false, false, true) => Ok(KindsOf::Lane(Some(EventLane::Odds))),
        (false, false, false) => {
            let types: Vec<&str> = types.iter().map(AsRef::as_ref).collect();
            Err(format!("no lane has all of {}: ask for those of each lane by themselves", types.join(", ")))
        }
    }
}

fn of_lane(lane: EventLane) -> &'static [&'static str] {
    match lane {
        EventLane::Priority | EventLane::Normal => EVENT_TYPES,
        EventLane::Odds => ODDS_TYPES,
        EventLane::Chat => CHAT_TYPES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EventLane::{Chat, Normal, Odds};

    #[test]
    fn types_say_which_rows_are_meant() {
        let of = |lane, types: &[&str]| kinds_of(lane, types).unwrap();
        assert_eq!(of(None, &[]), KindsOf::Lane(None));
        assert_eq!(of(Some(Odds), &[]), KindsOf::Lane(Some(Odds)));
        assert_eq!(of(None, &["goal", "comment"]), KindsOf::Lane(None));
        assert_eq!(of(None, &["comment", "retract"]), KindsOf::MatchesOrRooms);
        assert_eq!(of(None, &["comment", "gift"]), KindsOf::Lane(Some(Chat)));
        assert_eq!(of(Some(Chat), &["comment"]), KindsOf::Lane(Some(Chat)));
        assert_eq!(of(Some(Normal), &["comment"]), KindsOf::Lane(Some(Normal)));
        assert_eq!(of(None, &["suspended", "odds_change"]), KindsOf::Lane(Some(Odds)));
        assert_eq!(of(None, &["suspended"]), KindsOf::Lane(None));
        assert_eq!(KindsOf::MatchesOrRooms.decided(Followed::Rooms), Some(Chat));
        assert_eq!(KindsOf::MatchesOrRooms.decided(Followed::Matches), None);
        for (lane, types, said) in [
            (None, &["goals"][..], "there is no type \"goals\""),
            (Some(Odds), &["gift"], "the lane odds has no gift"),
            (None, &["goal", "gift"], "no lane has all of goal, gift"),
        ] {
            let error = kinds_of(lane, types).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn each_kind_of_line_has_its_type_and_none_stands_twice() {
        assert_eq!(CHAT_TYPES, ChatKind::ALL.map(ChatKind::as_str));
        let all = all_kinds();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(["goal", "base", "gift"].iter().all(|name| all.contains(name)));
    }
}
