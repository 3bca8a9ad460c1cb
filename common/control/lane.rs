//! The lanes of events by their names: what `events --lane` takes, and `lane` on the control socket.
//!
//! The one table of them, for the parser of the command line, for the recorder, which answers, and for the columns of CSV.

/// A lane of the match stream (`priority`, `normal`) or of the bulk stream (`odds`, `chat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventLane {
    Priority,
    Normal,
    Odds,
    Chat,
}

impl EventLane {
    pub const ALL: [EventLane; 4] = [Self::Priority, Self::Normal, Self::Odds, Self::Chat];

    pub const NAMES: [&str; 4] =
        [Self::Priority.as_str(), Self::Normal.as_str(), Self::Odds.as_str(), Self::Chat.as_str()];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::Normal => "normal",
            Self::Odds => "odds",
            Self::Chat => "chat",
        }
    }

    pub fn by_name(name: &str) -> Option<EventLane> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_has_its_name() {
        for (lane, name) in EventLane::ALL.into_iter().zip(EventLane::NAMES) {
            assert_eq!((lane.as_str(), EventLane::by_name(name)), (name, Some(lane)));
        }
        assert_eq!(EventLane::by_name("odd"), None);
    }
}
