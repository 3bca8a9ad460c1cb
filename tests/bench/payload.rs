//! Loads to measure with: a recorded one in distinct copies, or generated matches whose nodes are known.

use std::collections::BTreeMap;
use touchline_harness::data;

/// A topic's load.
#[derive(Clone, Debug)]
pub struct Load {
    /// The topic.
    pub topic: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Where loads come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A recorded load, copied with every topic id made distinct.
    Recorded,
    /// Generated.
    Generated,
}

/// `count` loads of 128 kB: copies of the recorded one if it is here.
pub fn large(count: usize) -> (Source, Vec<Load>) {
    let recorded = data::bytes("inplay/overview-load.bin");
    let body = recorded.as_deref().and_then(|bytes| bytes.splitn(2, |byte| *byte == 1).nth(1));
    match body {
        Some(body) => (Source::Recorded, (0..count).map(|n| copy(body, n)).collect()),
        None => {
            let shape = Shape::of_bytes(128_000);
            (Source::Generated, (0..count).map(|n| Generated { number: n, shape }.load()).collect())
        }
    }
}

/// A copy whose topic ids no other copy has.
fn copy(body: &[u8], number: usize) -> Load {
    const ID: &[u8] = b";IT=";
    let mut out = Vec::with_capacity(body.len() + body.len() / 32);
    let mark = format!("{number:03}");
    let mut rest = body;
    while let Some(at) = rest.windows(ID.len()).position(|window| window == ID) {
        let (before, after) = rest.split_at(at + ID.len());
        out.extend_from_slice(before);
        out.extend_from_slice(mark.as_bytes());
        rest = after;
    }
    out.extend_from_slice(rest);
    Load { topic: format!("6Vcopy{number:03}"), body: out }
}

/// How large a generated match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Markets.
    pub markets: usize,
    /// Selections in each.
    pub selections: usize,
}

impl Shape {
    /// A match with a load of about so many bytes: its markets have 7 selections of some 90 bytes each.
    pub fn of_bytes(bytes: usize) -> Shape {
        Shape { markets: (bytes / 730).max(1), selections: 7 }
    }
}

/// What of a match has changed since its first load.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Of each selection that changed its odds in tenths, and the number of its newest change.
    pub odds: BTreeMap<usize, (u64, u64)>,
    /// The number of the event node's newest change; 0: none yet.
    pub event: u64,
    /// The clock.
    pub seconds: u64,
    /// The home side's goals.
    pub goals: u64,
    /// The corners of each side.
    pub corners: [u64; 2],
}

/// A generated match. Every id is a function of its number, so that diffs can be written without looking anything up.
#[derive(Clone, Copy, Debug)]
pub struct Generated {
    /// Which match.
    pub number: usize,
    /// How large.
    pub shape: Shape,
}

impl Generated {
    /// The match's id.
    pub fn id(self) -> String {
        format!("{:08}C1A_1_3", self.number)
    }

    /// The topic of its own load, and the path of its event node.
    pub fn topic(self) -> String {
        format!("6V{}", self.id())
    }

    /// The event node; its topic id is `prefix` and the match's id.
    pub fn event(self, prefix: &str) -> String {
        let (id, number) = (self.id(), self.number);
        format!(
            "EV;CL=1;CP=;CT=Premier Division;FS=1;ID={id};IT={prefix}{id};MD=0;NA=Home {number} v Away {number};SS=0-0;TM=12;TS=30;TT=1;TU=20260102120000;UC=;|"
        )
    }

    /// The event node of the match's own load, and its two teams with their statistics.
    fn event_after(self, changes: &Changes) -> String {
        let (id, number, goals) = (self.id(), self.number, changes.goals);
        let (minutes, seconds) = (changes.seconds / 60, changes.seconds % 60);
        let mark = if changes.event > 0 { format!("ZC={};", changes.event) } else { String::new() };
        let mut text = format!(
            "EV;CL=1;CP=;CT=Premier Division;FS=1;ID={id};IT=6V{id};MD=0;NA=Home {number} v Away {number};S1=Corner;S2=Attacks;S3=On Target;SS={goals}-0;TM={minutes};TS={seconds};TT=1;TU=20260102120000;UC=;{mark}|TG;ID={number};IT=TG{id};OR=0;|"
        );
        for (side, name) in ["Home", "Away"].into_iter().enumerate() {
            let (path, corners) = (self.team_path(side), changes.corners.get(side).copied().unwrap_or(0));
            text.push_str(&format!(
                "TE;ID={};IT={path};NA={name} {number};OR={side};S1={corners};S2=31;S3=4;|",
                side + 1
            ));
        }
        text
    }

    /// The path of a team: 0 is home.
    pub fn team_path(self, side: usize) -> String {
        format!("TE{:08}-{side}_1_3", self.number)
    }

    /// The path of a selection, always 24 bytes.
    pub fn selection_path(self, selection: usize) -> String {
        format!("OV{:08}-{selection:09}_1_3", self.number)
    }

    /// Selections in all its markets.
    pub fn selections(self) -> usize {
        self.shape.markets * self.shape.selections
    }

    /// The load before anything changed.
    pub fn load(self) -> Load {
        self.load_after(&Changes::default())
    }

    /// The load after these changes.
    pub fn load_after(self, changes: &Changes) -> Load {
        use std::fmt::Write;
        let Generated { number, shape } = self;
        let mut body = String::with_capacity(shape.markets * 750 + 400);
        body.push_str("F|");
        body.push_str(&self.event_after(changes));
        for market in 0..shape.markets {
            // Writing to a String cannot fail.
            let _ = write!(
                body,
                "MA;CN={};FI={number};ID={};IT=OV{number:08}C1-{market}_1_3;NA=Market number {market};OR={market};PE=0;PY=;SU=0;SY=0;|",
                shape.selections,
                1_777 + market,
            );
            for place in 0..shape.selections {
                let selection = market * shape.selections + place;
                let _ = write!(
                    body,
                    "PA;FI={number:08};HA=;HD=;ID={selection};IT={};NA=Selection {place};",
                    self.selection_path(selection),
                );
                let _ = match changes.odds.get(&selection) {
                    Some((tenths, change)) => write!(body, "OD={tenths}/10;OR={place};SU=0;ZC={change};|"),
                    None => write!(body, "OD=11/{};OR={place};SU=0;|", 10 + place),
                };
            }
        }
        Load { topic: self.topic(), body: body.into_bytes() }
    }
}

/// Numbers that look random and are the same in every run.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence; a seed of 0 counts as 1.
    pub fn new(seed: u64) -> Random {
        Random(seed.max(1))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        ((drawn * bound as u64) >> 32) as usize
    }

    /// A place below `bound`: in 8 of 10 cases one of the first fifth, scattered over the whole.
    pub fn hot(&mut self, bound: usize) -> usize {
        let hot = (bound / 5).max(1);
        let place = if self.below(10) < 8 { self.below(hot) } else { hot + self.below(bound - hot) };
        // The hot ones are every fifth, not neighbours in memory.
        (place * 5 + place * 5 / bound) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_load_has_the_size_asked_for() {
        for bytes in [32_000, 128_000] {
            let load = Generated { number: 7, shape: Shape::of_bytes(bytes) }.load();
            assert!(load.body.len().abs_diff(bytes) < bytes / 8, "{} for {bytes}", load.body.len());
        }
    }

    #[test]
    fn copies_share_no_topic_id() {
        let ids = |n| {
            let load = copy(b"F|EV;IT=a;NA=x;|MA;NA=;IT=b;|", n);
            String::from_utf8(load.body).unwrap()
        };
        assert_eq!(ids(1), "F|EV;IT=001a;NA=x;|MA;NA=;IT=001b;|");
        assert_ne!(ids(1), ids(2));
    }

    #[test]
    fn four_of_five_draws_go_to_a_fifth() {
        let mut random = Random::new(1);
        let mut counts = vec![0_u32; 1_000];
        (0..100_000).for_each(|_| counts[random.hot(1_000)] += 1);
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let hot: u32 = counts[..200].iter().sum();
        assert!((78_000..82_000).contains(&hot), "{hot}");
    }
}
