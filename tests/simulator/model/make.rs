//! Invents a match: teams, a state somewhere in its course, and markets until its load has the size that was asked for.

use super::change::Change;
use super::encode;
use super::history::History;
use super::ledger::Ledger;
use super::names::{GROUPS, Kind, Layout, PLAYERS, PRICES, TEAMS, competitions};
use super::pen::Pen;
use super::play::{self, Progress};
use super::random::Random;
use super::score::{Pair, Score};
use super::state::{
    Board, Clock, Entry, Figure, Group, Head, Ident, Market, Match, Odds, Selection, Sport, Stage, Strip,
};
use super::text::Text;
use super::time::Moment;
use std::collections::VecDeque;

/// What a match is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) number: u32,
    pub(crate) sport: Sport,
    /// Bytes that its load is to have.
    pub(crate) bytes: usize,
    pub(crate) sparse: bool,
    /// States, and changes of odds and commentary, that are remembered.
    pub(crate) history: usize,
    pub(crate) changes: usize,
    /// How many happenings already lie behind it.
    pub(crate) course: usize,
}

/// Invents a match.
pub(crate) fn make(plan: Plan, random: &mut Random, now: Moment) -> Match {
    let ident = Ident::new(plan.number, plan.sport);
    let leagues = competitions(plan.sport);
    let league = random.below(leagues.len());
    let head = head(plan, &ident, random, leagues.get(league).copied().unwrap_or_default(), now);
    let length = match plan.sport {
        Sport::Cricket => random.between(1, 2),
        Sport::Soccer | Sport::Tennis | Sport::Basketball | Sport::TableTennis => random.between(2, 3),
    };
    let mut m = Match {
        ident,
        sport: plan.sport,
        league,
        sparse: plan.sparse,
        head,
        groups: Vec::new(),
        last_number: 100,
        change: 0,
        head_digest: 0,
        markets_sum: 0,
        history: History::new(plan.history),
        sent: Vec::new(),
        ledger: Ledger::new(plan.changes),
        play: Progress { last: now.micros, next: now.micros, length, ..Progress::default() },
    };
    run(&mut m, plan.course, random, now);
    markets(&mut m, plan.bytes, random);
    m.history = History::new(plan.history);
    m.change = 1;
    m.redigest();
    super::pen::remember(&mut m);
    m
}

/// Plays what lies behind the match; none of that is sent.
fn run(m: &mut Match, course: usize, random: &mut Random, now: Moment) {
    let mut change = Change::default();
    for _ in 0..course {
        m.play.played += i64::from(2 * play::pause_between(m.sport)) * 1_000_000;
        play::play(m, random, &mut Pen { now, change: &mut change });
        change.clear();
        if m.is_over() {
            return;
        }
    }
}

fn head(plan: Plan, ident: &Ident, random: &mut Random, competition: &'static str, now: Moment) -> Head {
    let people = matches!(plan.sport, Sport::Tennis | Sport::TableTennis);
    let names = if people { &PLAYERS } else { &TEAMS };
    let first = random.below(names.len());
    let second = (first + 1 + random.below(names.len() - 1)) % names.len();
    let name = |place: usize| Text::from(names.get(place).copied().unwrap_or_default());
    let separator = match plan.sport {
        Sport::Basketball => random.word(&[" @ ", " vs "]),
        Sport::Soccer | Sport::Cricket => " v ",
        Sport::Tennis | Sport::TableTennis => " vs ",
    };
    let labels = labels(plan.sport, random);
    let figures: Vec<Figure> = labels
        .iter()
        .map(|label| if *label == "xG" { Figure::Words("0.00".into()) } else { Figure::Count(0) })
        .collect();
    let clock = match plan.sport {
        Sport::Soccer => Some(Clock { seconds: 0, running: false, down: false, at: None }),
        Sport::Basketball => Some(Clock { seconds: 600, running: false, down: true, at: None }),
        Sport::Tennis | Sport::Cricket | Sport::TableTennis => None,
    };
    Head {
        home: name(first),
        away: name(second),
        separator,
        competition: competition.into(),
        stage: Stage::NotStarted,
        suspended: false,
        period: if random.below(2) == 0 { "Not Started".into() } else { Text::EMPTY },
        half: (plan.sport == Sport::Soccer).then_some(0),
        clock,
        score: score(plan.sport),
        serving: None,
        comment: Text::EMPTY,
        extra: extra(ident, now),
        labels,
        figures: Pair { home: figures.clone(), away: figures },
        possession: None,
        kits: Pair { home: "#262626,#FFFFFF".into(), away: "#F0F0F0,#0080C0".into() },
        board: if plan.sport == Sport::Basketball { board(&name(first), &name(second)) } else { Vec::new() },
        log: (1..=4)
            .map(|number| Entry { number, label: "Warm-up".into(), minute: 0 })
            .collect::<VecDeque<_>>(),
    }
}

/// Attributes that no rule uses. The first three change as the match is played.
fn extra(ident: &Ident, now: Moment) -> Vec<(&'static str, Text)> {
    vec![
        ("VC", Text::EMPTY),
        ("XY", Text::EMPTY),
        ("LM", "37".into()),
        ("C1", "1".into()),
        ("C2", ident.fixture().to_string().into()),
        ("T1", "5".into()),
        ("T2", "2".into()),
        ("ET", "0".into()),
        ("SM", (now.seconds() / 3_600 * 3_600).to_string().into()),
    ]
}

fn labels(sport: Sport, random: &mut Random) -> Vec<&'static str> {
    match sport {
        Sport::Soccer if random.below(2) == 0 => {
            vec![
                "Goals",
                "Corners",
                "Yellow Cards",
                "Red Cards",
                "Penalties",
                "Substitutions",
                "Attacks",
                "xG",
            ]
        }
        Sport::Soccer => {
            vec![
                "Corner",
                "Yellow",
                "Red",
                "Subs",
                "On Target",
                "Off Target",
                "Possession",
                "Dangerous Attacks",
            ]
        }
        Sport::Basketball => vec!["3 points", "2 points", "Free throws", "Time-outs", "Fouls"],
        Sport::Tennis => vec!["Aces", "Double faults"],
        Sport::Cricket | Sport::TableTennis => Vec::new(),
    }
}

fn score(sport: Sport) -> Score {
    match sport {
        Sport::Soccer | Sport::Basketball => Score::Plain(Pair::default()),
        Sport::Tennis => Score::Tennis { sets: vec![Pair::default()], points: Pair::default() },
        Sport::TableTennis => Score::Sets { done: Vec::new(), current: Some(Pair::default()) },
        Sport::Cricket => Score::Cricket(Pair::default()),
    }
}

fn board(home: &Text, away: &Text) -> Vec<Board> {
    let column = |number, name: &'static str, cells| Board { number, name: name.into(), cells };
    let empty = || Pair { home: Text::EMPTY, away: Text::EMPTY };
    let mut all = vec![column(0, "", Pair { home: home.clone(), away: away.clone() })];
    all.extend([(1, "1"), (2, "2"), (3, "3"), (4, "4")].map(|(number, name)| column(number, name, empty())));
    all.push(column(5, "T", Pair { home: "0".into(), away: "0".into() }));
    all
}

/// Adds markets until the load is about `bytes` long.
fn markets(m: &mut Match, bytes: usize, random: &mut Random) {
    let grouped = matches!(m.sport, Sport::Soccer | Sport::Basketball);
    let groups = if grouped { GROUPS.len() } else { 1 };
    for number in 0..groups {
        let name = if grouped { GROUPS.get(number).map(|(name, _)| Text::from(*name)) } else { None };
        m.groups.push(Group { number: number as u32 + 1, name, markets: Vec::new() });
    }
    let mut text = Vec::new();
    encode::load(m, 0, &mut text);
    let mut size = text.len();
    let first = market(m, 0, Some((1777, "Fulltime Result", Layout::Three)), random);
    if let Some(group) = m.groups.first_mut() {
        group.markets.push(Market { listed: true, ..first });
    }
    while size < bytes {
        let group = random.below(groups);
        let market = market(m, group, None, random);
        text.clear();
        encode::market(m, &market, Some(0), &mut text);
        for (place, strip) in market.strips.iter().enumerate() {
            encode::market_column(m, &market, strip, place, &mut text);
            for (order, one) in strip.selections.iter().enumerate() {
                encode::selection(m, one, order, &mut text);
            }
        }
        size += text.len();
        if let Some(group) = m.groups.get_mut(group) {
            group.markets.push(market);
        }
    }
    m.play.markets = m.groups.iter().map(|group| group.markets.len()).sum();
}

/// Invents a market for a group; which one, if it is not given, is left to chance.
pub(crate) fn market(m: &mut Match, group: usize, which: Option<Kind>, random: &mut Random) -> Market {
    let group = if m.groups.len() == 1 { random.below(GROUPS.len()) } else { group };
    let all = GROUPS.get(group).map_or(&[][..], |(_, markets)| markets);
    let (kind, name, layout) =
        which.or_else(|| random.pick(all).copied()).unwrap_or((1, "Winner", Layout::Two));
    Market {
        number: m.fresh_number(),
        kind,
        name: name.into(),
        suspended: random.in_thousand(30),
        listed: false,
        strips: strips(m, layout, random),
        selections_sum: 0,
        share: 0,
    }
}

fn strips(m: &mut Match, layout: Layout, random: &mut Random) -> Vec<Strip> {
    let (home, away) = (m.head.home.clone(), m.head.away.clone());
    let named = |names: Vec<Text>| names.into_iter().map(|name| (name, Text::EMPTY)).collect::<Vec<_>>();
    let one = match layout {
        Layout::Three => named(vec![home, "Draw".into(), away]),
        Layout::Two => named(vec![home, away]),
        Layout::YesNo => named(vec!["Yes".into(), "No".into()]),
        Layout::Handicap => {
            let line = line(random);
            vec![(home, format!("-{line}").into()), (away, format!("+{line}").into())]
        }
        Layout::Players => {
            let first = random.below(PLAYERS.len());
            let count = random.between(6, 20) as usize;
            named(PLAYERS.iter().cycle().skip(first).take(count).map(|name| Text::from(*name)).collect())
        }
        Layout::Results => named(
            (0..=3).flat_map(|home| (0..=3).map(move |away| Text::from(format!("{home}-{away}")))).collect(),
        ),
        Layout::Lines => {
            let lines: Vec<Text> = (0..random.between(1, 6)).map(|_| Text::from(line(random))).collect();
            return ["Over", "Under"].map(|name| column(m, name, &lines, random)).into();
        }
    };
    let selections = one.into_iter().map(|(name, handicap)| selection(m, name, handicap, random)).collect();
    vec![Strip { column: None, selections }]
}

fn column(m: &mut Match, name: &'static str, lines: &[Text], random: &mut Random) -> Strip {
    let selections = lines.iter().map(|line| selection(m, name.into(), line.clone(), random)).collect();
    Strip { column: Some(name.into()), selections }
}

fn line(random: &mut Random) -> String {
    format!("{}.{}", random.below(5), random.word(&["0", "25", "5", "75"]))
}

/// Invents a selection.
pub(crate) fn selection(m: &mut Match, name: Text, handicap: Text, random: &mut Random) -> Selection {
    let odds = random.pick(&PRICES).map_or(Odds::Empty, |(n, d)| Odds::Fraction(*n, *d));
    let suspended = random.in_thousand(20);
    Selection { number: m.fresh_number(), name, odds, handicap, suspended, share: 0 }
}
