//! The ways in which a simulated HTTP API fails, chosen by the beginning of a path.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Prompt,
    /// The answer begins after this time.
    Slow(Duration),
    /// So many bytes at a time, with this pause between them.
    Trickle(usize, Duration),
    /// It takes the request and never answers.
    Dead,
    /// It answers with this status and a page of HTML.
    Status(u16),
    /// It answers 429 and names this time in `Retry-After`.
    TooMany(Duration),
    /// Half of the body, then the end.
    Cut,
    /// All of the body, of which the head promises half.
    Understated,
    /// A page of HTML where JSON was promised.
    Html,
    /// Neither JSON nor HTML.
    Garbage,
    /// So many arrays within each other.
    Deep(usize),
    /// A text of so many bytes.
    Large(usize),
    /// A redirect to the same path.
    Circle,
    /// A redirect to a file of the machine.
    ToFile,
}

/// Which paths do what. The longest beginning that fits counts.
#[derive(Debug, Default)]
pub struct Behaviours(Vec<(String, Behaviour)>);

impl Behaviours {
    pub fn set(&mut self, prefix: &str, behaviour: Behaviour) {
        self.0.retain(|(known, _)| known != prefix);
        self.0.push((prefix.to_owned(), behaviour));
    }

    pub fn of(&self, path: &str) -> Behaviour {
        let fitting = self.0.iter().filter(|(prefix, _)| path.starts_with(prefix.as_str()));
        fitting.max_by_key(|(prefix, _)| prefix.len()).map_or(Behaviour::Prompt, |(_, behaviour)| *behaviour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_counts() {
        let mut behaviours = Behaviours::default();
        assert_eq!(behaviours.of("/matches"), Behaviour::Prompt);
        behaviours.set("/matches", Behaviour::Dead);
        behaviours.set("/matches/1", Behaviour::Html);
        assert_eq!(behaviours.of("/matches?page=2"), Behaviour::Dead);
        assert_eq!(behaviours.of("/matches/12"), Behaviour::Html);
        behaviours.set("/matches/1", Behaviour::Prompt);
        assert_eq!(behaviours.of("/matches/12"), Behaviour::Prompt);
    }
}
