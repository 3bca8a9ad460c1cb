//! The words of the command line as what is wanted. Pure; the words that `main` gives to its own processes are among them.

use std::time::Duration;
use touchline_chaos::{Fault, FeedChoice, Options, SITES_MAX, Which, sites_for};

pub(crate) const USAGE: &str = "usage: chaos --faults N --seed S [--sites K] [--rate DIFFS_PER_S] [--matches N] [--feed matches|rooms] [--multiplex CONNECTIONS] [--slack MS] [--quick] [--only FAULT]
       chaos --matrix [NAME…] [--list]";

/// Connections of one process: with more, a kill would be one of everything.
const CONNECTIONS_MAX: usize = 8;
/// Messages a second of all rooms, unless it is said: what some twenty minutes bring is still held against the truth at once.
const ROOMS_RATE: f64 = 400.0;

/// What is wanted.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// Random faults, at so many sites.
    Faults {
        /// Of the whole run.
        options: Options,
        sites: usize,
    },
    /// One site of such a run, here: what it says is a line of JSON.
    Site {
        /// Of this site.
        options: Options,
    },
    /// The cases that contain one of these names, or all.
    Matrix(Vec<String>),
    /// The names of those.
    Names(Vec<String>),
    /// The case of exactly this name, here.
    Case(String),
}

/// # Errors
/// What cannot be understood, a line for people.
pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut words = words.peekable();
    if words.next_if_eq("--matrix").is_some() {
        let (lists, names): (Vec<String>, Vec<String>) = words.partition(|word| word == "--list");
        return Ok(if lists.is_empty() { Wanted::Matrix(names) } else { Wanted::Names(names) });
    }
    if words.next_if_eq("--case").is_some() {
        return Ok(Wanted::Case(words.next().unwrap_or_default()));
    }
    parse_faults(words)
}

fn parse_faults(mut words: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut options = Options::default();
    let (mut sites, mut site, mut rate) = (None, None, None);
    while let Some(word) = words.next() {
        if word == "--quick" {
            options.which = Which::Quick;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} lacks its value"))?;
        let bad = || format!("{word} {value:?}: expected a number");
        match word.as_str() {
            "--faults" => options.faults = value.parse().map_err(|_| bad())?,
            "--seed" => options.seed = value.parse().map_err(|_| bad())?,
            "--rate" => rate = Some(value.parse().map_err(|_| bad())?),
            "--feed" => options.feed = feed(&value)?,
            "--matches" => options.matches = value.parse().map_err(|_| bad())?,
            "--multiplex" => options.connections = value.parse().map_err(|_| bad())?,
            "--only" => {
                let fault = Fault::named(&value).ok_or_else(|| format!("{word} {value:?}: no such fault"))?;
                options.which = Which::Only(fault);
            }
            "--slack" => options.slack = Duration::from_millis(value.parse().map_err(|_| bad())?),
            "--sites" => sites = Some(value.parse().map_err(|_| bad())?),
            "--site" => site = Some(value.parse().map_err(|_| bad())?),
            _ => return Err(format!("{word} is no argument")),
        }
    }
    if !(1..=CONNECTIONS_MAX).contains(&options.connections) {
        return Err(format!("--multiplex {}: expected 1 to {CONNECTIONS_MAX}", options.connections));
    }
    options.rate = rate.unwrap_or(match options.feed {
        FeedChoice::Matches => options.rate,
        FeedChoice::Rooms => ROOMS_RATE,
    });
    let sites = sites.unwrap_or_else(|| sites_for(options.faults));
    if !(1..=SITES_MAX).contains(&sites) {
        return Err(format!("--sites {sites}: expected 1 to {SITES_MAX}"));
    }
    Ok(match site {
        Some(site) => Wanted::Site { options: options.share(site, sites) },
        None => Wanted::Faults { options, sites },
    })
}

fn feed(name: &str) -> Result<FeedChoice, String> {
    match name {
        "matches" => Ok(FeedChoice::Matches),
        "rooms" => Ok(FeedChoice::Rooms),
        _ => Err(format!("--feed {name:?}: expected matches or rooms")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Wanted, String> {
        parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_number_of_sites_follows_from_the_faults_unless_it_is_given() {
        let sites = |text| match parsed(text) {
            Ok(Wanted::Faults { sites, .. }) => sites,
            other => panic!("{other:?}"),
        };
        assert_eq!((sites("--faults 40"), sites("--faults 1000")), (1, 2));
        assert_eq!((sites("--faults 40 --sites 4"), sites("--faults 1000 --sites 1")), (4, 1));
    }

    #[test]
    fn the_words_of_a_run_and_a_site_are_that_sites_part() {
        let part =
            parsed("--faults 1000 --seed 7 --rate 500 --quick --slack 20 --multiplex 2 --sites 3 --site 1");
        let Ok(Wanted::Site { options }) = part else { panic!("{part:?}") };
        let whole = Options {
            faults: 1_000,
            seed: 7,
            rate: 500.0,
            connections: 2,
            which: Which::Quick,
            slack: Duration::from_millis(20),
            ..Options::default()
        };
        assert_eq!(format!("{options:?}"), format!("{:?}", whole.share(1, 3)));
        assert_eq!(options.faults, 333);
    }

    #[test]
    fn rooms_have_a_rate_of_their_own_unless_it_is_given() {
        let options = |text| match parsed(text) {
            Ok(Wanted::Faults { options, .. }) => (options.feed, options.rate),
            other => panic!("{other:?}"),
        };
        assert_eq!(options("--faults 4"), (FeedChoice::Matches, Options::default().rate));
        assert_eq!(options("--feed rooms"), (FeedChoice::Rooms, ROOMS_RATE));
        assert_eq!(options("--rate 7 --feed rooms"), (FeedChoice::Rooms, 7.0));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for text in [
            "--feed nothing",
            "--faults",
            "--faults x",
            "--sites 0",
            "--sites 5",
            "--multiplex 0",
            "--only nothing",
            "--what 1",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!(matches!(parsed("--matrix a --list"), Ok(Wanted::Names(names)) if names == ["a"]));
        assert!(matches!(parsed("--matrix"), Ok(Wanted::Matrix(names)) if names.is_empty()));
    }
}
