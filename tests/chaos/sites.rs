//! A run of random faults: its sites side by side, each a process of its own, and then what they came to.

use super::apart::{Apart, Received, What, be_apart};
use super::{interrupted, ourselves, panic_of};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use touchline_chaos::{FeedChoice, Options, Part, Progress, merge, run_site};

/// Lines of a site's standard error that are kept, so that its end can be explained.
const COMPLAINTS: usize = 400;

/// A site as the process that started it knows it.
#[derive(Default)]
struct Site {
    /// Before its lines, where there are several.
    who: String,
    folder: Option<PathBuf>,
    complaints: VecDeque<String>,
    part: Option<Part>,
    end: Option<ExitStatus>,
}

pub(crate) fn run(options: &Options, sites: usize) -> ExitCode {
    let Options { seed, faults, matches, rate, cap, connections, .. } = options;
    let (what, messages) = match options.feed {
        FeedChoice::Matches => ("matches", "diffs"),
        FeedChoice::Rooms => ("rooms", "messages"),
    };
    println!(
        "seed {seed}  {faults} faults, {matches} {what}, {rate:.0} {messages}/s, {cap} subscriptions a worker, {connections} connections a process"
    );
    let mut apart = Apart::new();
    let mut all: Vec<Site> = (0..sites).map(|site| begin(&mut apart, options, site, sites)).collect();
    while let Some(received) = apart.next() {
        match received {
            Received::Of(place, what) => {
                if let Some(site) = all.get_mut(place) {
                    site.on_message(what);
                }
            }
            Received::Interrupted(signal) => {
                drop(apart);
                all.iter()
                    .filter(|site| site.part.is_none())
                    .for_each(|site| println!("{}{}", site.who, site.place()));
                return interrupted(signal);
            }
        }
    }
    conclude(options.seed, all)
}

fn begin(apart: &mut Apart, options: &Options, site: usize, sites: usize) -> Site {
    let mut who = String::new();
    if sites > 1 {
        who = format!("site {site}: ");
        let share = options.share(site, sites);
        println!("{who}seed {}, {} faults", share.seed, share.faults);
    }
    let words = ["--sites".to_owned(), sites.to_string(), "--site".to_owned(), site.to_string()];
    apart.start(site, ourselves(std::env::args().skip(1).chain(words)));
    Site { who, ..Site::default() }
}

fn conclude(seed: u64, all: Vec<Site>) -> ExitCode {
    let parts: Vec<Result<Part, String>> = all.into_iter().map(Site::came_to).collect();
    let outcome = merge(seed, &parts);
    println!();
    for line in outcome.table.iter().chain(&outcome.wrong) {
        println!("{line}");
    }
    println!("{}", outcome.summary);
    if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Site {
    fn on_message(&mut self, what: What) {
        match what {
            What::Output(line) => match serde_json::from_str(&line) {
                Ok(Progress::Began(folder)) => self.folder = Some(folder),
                Ok(Progress::Line(line)) => println!("{}{line}", self.who),
                Ok(Progress::Done(part)) => self.part = Some(*part),
                Err(_) => println!("{}{line}", self.who),
            },
            What::Errors(line) => {
                eprintln!("{}{line}", self.who);
                if self.complaints.len() >= COMPLAINTS {
                    self.complaints.pop_front();
                }
                self.complaints.push_back(line);
            }
            What::Ended(status) => self.end = Some(status),
        }
    }

    /// Its outcome, or why there is none.
    fn came_to(self) -> Result<Part, String> {
        let why = panic_of(&self.complaints).map(|message| format!(": {message}")).unwrap_or_default();
        let end = self.end.map_or_else(|| "unknown status".to_owned(), |status| status.to_string());
        let place = self.place();
        self.part.ok_or_else(|| format!("it ended without its outcome ({end}){why}; {place}"))
    }

    fn place(&self) -> String {
        match &self.folder {
            Some(folder) => format!("log and store are kept in {}", folder.display()),
            None => "it had neither log nor store yet".to_owned(),
        }
    }
}

/// One site, here: who started us reads what it prints.
pub(crate) fn be_one(options: &Options) -> ExitCode {
    be_apart();
    let print =
        |progress: &Progress| println!("{}", serde_json::to_string(progress).expect("a line of JSON"));
    let part = run_site(options, &mut |progress| print(&progress));
    print(&Progress::Done(Box::new(part)));
    ExitCode::SUCCESS
}
