//! What the workers of a feed follow, whatever kind it is of: its list, its clock, the topics of a match.

use super::{FeedConfig, FeedKind};
use crate::config::template::{Part, Template};

/// The topic under which a ranking of rooms is followed.
const RANKING: &str = "ranking";

#[derive(Clone, Debug, PartialEq)]
pub struct Follows {
    /// Empty: the feed has no list.
    pub list_topic: String,
    /// Empty: the server has no clock.
    pub time_topic: String,
    pub match_id: Template,
    /// The first wins.
    pub match_topics: Vec<Template>,
}

/// The matches that the configuration names, where there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedMatches<'a> {
    pub ids: &'a [String],
    /// A file that names more, one a line; empty: none.
    pub file: &'a str,
}

impl FeedConfig {
    pub fn follows(&self) -> Follows {
        match self.kind {
            FeedKind::Rooms => Follows {
                list_topic: if self.rooms.ranking.url.is_empty() {
                    String::new()
                } else {
                    RANKING.to_owned()
                },
                time_topic: String::new(),
                match_id: room_id(),
                match_topics: vec![room_id()],
            },
            FeedKind::Diffusion | FeedKind::Poll | FeedKind::Push => Follows {
                list_topic: self.diffusion.list_topic.clone(),
                time_topic: self.diffusion.time_topic.clone(),
                match_id: self.diffusion.match_id.clone(),
                match_topics: self.diffusion.match_topics.clone(),
            },
        }
    }

    pub fn named_matches(&self) -> NamedMatches<'_> {
        match self.kind {
            FeedKind::Rooms => NamedMatches { ids: &self.rooms.rooms, file: &self.rooms.rooms_file },
            FeedKind::Push => NamedMatches { ids: &self.push.topics, file: &self.push.topics_file },
            FeedKind::Diffusion | FeedKind::Poll => {
                NamedMatches { ids: &self.matches, file: &self.matches_file }
            }
        }
    }
}

fn room_id() -> Template {
    Template::of("{ID}", &[Part::attribute("ID")])
}
