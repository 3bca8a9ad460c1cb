//! The command line of a child, which is its title in the process list: `touchline: worker 3 inplay`, `touchline: recorder`.
//!
//! Invariant: what `supervise` writes here `cli` reads. The first word is no program's name that anybody types, so no verb of an operator
//! starts a child. What is nobody's business in a process list, the parent's pid, is a variable of the environment.

use crate::pool::Child;
use std::ffi::OsString;
use touchline_common::model::SlotId;

/// The name under which a child runs, with the colon of a title.
pub const PROGRAM: &str = "touchline:";

/// The variable with the pid of the process that starts a child.
pub const PARENT: &str = "TOUCHLINE_PARENT";

const WORKER: &str = "worker";
const RECORDER: &str = "recorder";
const GATEWAY: &str = "gateway";

/// What follows [`PROGRAM`]; `feed` is the feed that a worker is for.
pub fn write(child: Child, feed: Option<&str>) -> Vec<String> {
    match child {
        Child::Worker(slot) => {
            let mut args = vec![WORKER.to_owned(), slot.0.to_string()];
            args.extend(feed.map(str::to_owned));
            args
        }
        Child::RECORDER => vec![RECORDER.to_owned()],
        Child::GATEWAY => vec![GATEWAY.to_owned()],
    }
}

/// The child that this process is to be, by its whole command line; `None` if it is none.
pub fn read(args: &[OsString]) -> Option<Child> {
    let (program, rest) = args.split_first()?;
    if program != PROGRAM {
        return None;
    }
    let mut rest = rest.iter().map(|arg| arg.to_str());
    match rest.next()?? {
        WORKER => rest.next()??.parse().ok().map(|slot| Child::Worker(SlotId(slot))),
        RECORDER => Some(Child::RECORDER),
        GATEWAY => Some(Child::GATEWAY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(program: &str, rest: &[String]) -> Vec<OsString> {
        std::iter::once(program).chain(rest.iter().map(String::as_str)).map(OsString::from).collect()
    }

    #[test]
    fn a_child_is_read_from_its_title() {
        for (child, feed, title) in [
            (Child::Worker(SlotId(3)), Some("inplay"), "touchline: worker 3 inplay"),
            (Child::Worker(SlotId(65_535)), None, "touchline: worker 65535"),
            (Child::RECORDER, None, "touchline: recorder"),
            (Child::GATEWAY, None, "touchline: gateway"),
        ] {
            let rest = write(child, feed);
            assert_eq!(format!("{PROGRAM} {}", rest.join(" ")), title);
            assert_eq!(read(&line(PROGRAM, &rest)), Some(child));
            assert_eq!(read(&line("touchline", &rest)), None, "an operator starts no child");
        }
        let bad: [&[&str]; 5] = [&[], &["worker"], &["worker", "x"], &["worker", "70000"], &["status"]];
        for bad in bad {
            let bad: Vec<String> = bad.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(read(&line(PROGRAM, &bad)), None, "{bad:?}");
        }
    }
}
