//! The failpoints of a build that has them: the environment's text, and what is done at a place.
//!
//! A text that cannot be understood ends the process with code 2: a test whose fault never comes would prove nothing.

use super::Point;
use nix::sys::signal::{Signal, raise};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const VARIABLE: &str = "TOUCHLINE_FAILPOINTS";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Kill9,
    Stop,
    Exit(i32),
    Error,
    Delay(Duration),
    Panic,
    Spin,
}

#[derive(Debug)]
struct Rule {
    point: Point,
    action: Action,
    /// Only where it is about this match.
    of: Option<String>,
    /// As long as this file is not there, nothing counts.
    when: Option<PathBuf>,
    /// Passes that go by before.
    after: u64,
    once: Option<PathBuf>,
    passes: AtomicU64,
}

/// Does what the environment asks for at this place, where it is about `id`, a match.
///
/// # Errors
/// When it asks for an error.
pub(super) fn act(point: Point, id: Option<&str>) -> io::Result<()> {
    static RULES: OnceLock<Vec<Rule>> = OnceLock::new();
    let rules = RULES.get_or_init(|| {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        parse(&text).unwrap_or_else(|error| {
            let _ = writeln!(io::stderr(), "touchline: {VARIABLE}: {error}");
            std::process::exit(2)
        })
    });
    let due = rules.iter().find(|rule| rule.point == point && rule.is_due(id));
    due.map_or(Ok(()), |rule| rule.action.take(point))
}

impl Rule {
    fn is_due(&self, id: Option<&str>) -> bool {
        if self.of.is_some() && self.of.as_deref() != id {
            return false;
        }
        if self.when.as_ref().is_some_and(|path| !path.exists()) {
            return false;
        }
        if self.passes.fetch_add(1, Ordering::Relaxed) < self.after {
            return false;
        }
        self.once
            .as_ref()
            .is_none_or(|path| OpenOptions::new().write(true).create_new(true).open(path).is_ok())
    }
}

impl Action {
    #[allow(clippy::panic)] // It is what was asked for.
    fn take(self, point: Point) -> io::Result<()> {
        match self {
            // Neither can fail for a process that sends it to itself.
            Action::Kill9 => drop(raise(Signal::SIGKILL)),
            Action::Stop => drop(raise(Signal::SIGSTOP)),
            Action::Exit(code) => std::process::exit(code),
            Action::Error => return Err(io::Error::other(format!("failpoint {}", point.name()))),
            Action::Delay(time) => std::thread::sleep(time),
            Action::Panic => panic!("a failpoint asked for it"),
            Action::Spin => loop {
                std::hint::spin_loop();
            },
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<Vec<Rule>, String> {
    text.split(';').map(str::trim).filter(|rule| !rule.is_empty()).map(parse_rule).collect()
}

fn parse_rule(text: &str) -> Result<Rule, String> {
    let (name, rest) = text.split_once('=').ok_or_else(|| format!("{text:?}: NAME=ACTION is expected"))?;
    let point = Point::ALL.iter().copied().find(|point| point.name() == name);
    let point = point.ok_or_else(|| format!("no place is called {name:?}"))?;
    let mut words = rest.split(',');
    let action = parse_action(words.next().unwrap_or_default())?;
    let passes = AtomicU64::new(0);
    let mut rule = Rule { point, action, of: None, when: None, after: 0, once: None, passes };
    for word in words {
        match word.split_once('=') {
            Some(("after", passes)) => rule.after = number(word, passes)?,
            Some(("match", id)) if point.is_about_a_match() => rule.of = Some(id.to_owned()),
            Some(("match", _)) => return Err(format!("{word:?}: {name} is about no match")),
            Some(("when", path)) => rule.when = Some(path.into()),
            Some(("once", path)) => rule.once = Some(path.into()),
            Some(_) | None => {
                return Err(format!("{word:?}: match=ID, when=FILE, after=N or once=FILE is expected"));
            }
        }
    }
    Ok(rule)
}

fn parse_action(text: &str) -> Result<Action, String> {
    match (text, text.split_once('=')) {
        ("kill9", _) => Ok(Action::Kill9),
        ("stop", _) => Ok(Action::Stop),
        ("error", _) => Ok(Action::Error),
        ("panic", _) => Ok(Action::Panic),
        ("spin", _) => Ok(Action::Spin),
        (_, Some(("exit", code))) => number(text, code).map(Action::Exit),
        (_, Some(("delay", ms))) => Ok(Action::Delay(Duration::from_millis(number(text, ms)?))),
        _ => Err(format!("no action is called {text:?}")),
    }
}

fn number<N: std::str::FromStr>(word: &str, text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{word:?}: a number is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_for_one_place() {
        for point in Point::ALL {
            let text = format!("{}=exit=7,after=2,once=/tmp/x", point.name());
            let rules = parse(&text).unwrap();
            let [rule] = rules.as_slice() else { panic!("{rules:?}") };
            assert_eq!((rule.point, rule.action, rule.after), (*point, Action::Exit(7), 2));
            assert_eq!(rule.once.as_deref(), Some("/tmp/x".as_ref()));
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for text in [
            "ready.sent",
            "nowhere=kill9",
            "ready.sent=",
            "ready.sent=kill9,x",
            "ready.sent=exit=x",
            "ready.sent=kill9,match=1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(" ready.sent=stop ; hello.sent=delay=5;").is_ok_and(|rules| rules.len() == 2));
    }

    #[test]
    fn a_rule_lets_passes_go_by_and_once_is_once_for_all_processes() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("worker.turn=error,after=2,once={}", folder.path().join("done").display());
        let (mine, hers) = (parse(&text).unwrap(), parse(&text).unwrap());
        let due: Vec<bool> = (0..4).map(|_| mine[0].is_due(None)).collect();
        assert_eq!(due, [false, false, true, false]);
        assert!((0..4).all(|_| !hers[0].is_due(None)));
        let file = folder.path().join("now");
        let later = parse(&format!("worker.turn=error,after=1,when={}", file.display())).unwrap();
        assert!((0..4).all(|_| !later[0].is_due(None)));
        std::fs::write(&file, "").unwrap();
        let due: Vec<bool> = (0..2).map(|_| later[0].is_due(None)).collect();
        assert_eq!(due, [false, true]);
    }

    #[test]
    fn a_rule_of_one_match_acts_for_no_other_and_counts_no_other() {
        let rules = parse("assign.received=panic,match=7C1,after=1").unwrap();
        let due: Vec<bool> = [Some("8C1"), None, Some("7C1"), Some("7C"), Some("7C1")]
            .into_iter()
            .map(|id| rules[0].is_due(id))
            .collect();
        assert_eq!(due, [false, false, false, false, true]);
        let any = parse("assign.received=panic").unwrap();
        assert!(any[0].is_due(Some("8C1")) && any[0].is_due(None));
    }
}
