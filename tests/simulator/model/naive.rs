//! A text model for tests: parses loads, applies deltas and reads a document out of the text, in the plainest way.
//! It shares no code with the model, so that one can be wrong without the other.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A node as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Node {
    pub(super) kind: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) children: Vec<Node>,
}

impl Node {
    fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
    fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().filter(move |node| node.kind == kind)
    }
    fn find(&mut self, it: &str) -> Option<&mut Node> {
        if self.get("IT") == it {
            return Some(self);
        }
        self.children.iter_mut().find_map(|node| node.find(it))
    }
    fn delete(&mut self, it: &str) -> bool {
        let before = self.children.len();
        self.children.retain(|node| node.get("IT") != it);
        self.children.len() < before || self.children.iter_mut().any(|node| node.delete(it))
    }
}

fn parse(text: &str) -> Node {
    let mut parts = text.split(';');
    let kind = parts.next().unwrap().to_owned();
    let attributes = parts.filter(|part| !part.is_empty()).map(|part| {
        let (key, value) = part.split_once('=').unwrap();
        (key.to_owned(), value.to_owned())
    });
    Node { kind, attributes: attributes.collect(), children: vec![] }
}

/// The types under which a node may stand.
fn parents(kind: &str) -> &'static [&'static str] {
    match kind {
        "TG" | "ES" | "SG" | "MG" => &["EV"],
        "TE" => &["TG"],
        "SC" => &["ES"],
        "SL" => &["SC"],
        "ST" => &["SG"],
        "MA" => &["MG", "EV"],
        "CO" => &["MA"],
        "PA" => &["CO", "MA"],
        other => panic!("unknown node {other}"),
    }
}

/// The tree in a load: a node goes under the nearest open one that it may stand under.
pub(super) fn parse_load(text: &str) -> Node {
    let mut lines = text.strip_prefix("F|").unwrap().split_terminator('|').map(parse);
    let mut open = vec![lines.next().unwrap()];
    let close = |open: &mut Vec<Node>| {
        let done = open.pop().unwrap();
        open.last_mut().unwrap().children.push(done);
    };
    for node in lines {
        while !parents(&node.kind).contains(&open.last().unwrap().kind.as_str()) {
            close(&mut open);
        }
        open.push(node);
    }
    while open.len() > 1 {
        close(&mut open);
    }
    open.pop().unwrap()
}

/// Without `OR`, which a shift of siblings does not write anew.
pub(super) fn strip_order(mut node: Node) -> Node {
    if node.kind != "SG" {
        node.attributes.remove("OR");
    }
    node.children = node.children.into_iter().map(strip_order).collect();
    node
}

/// A topic's tree.
pub(super) struct Naive {
    pub(super) root: Node,
}

impl Naive {
    pub(super) fn load(text: &str) -> Self {
        Self { root: parse_load(text) }
    }

    pub(super) fn apply(&mut self, topic: &str, body: &str) {
        let mut way = topic.rsplit('/');
        let target = way.next().unwrap();
        match body.split_once('|').unwrap() {
            ("U", rest) => {
                let node = self.root.find(target).unwrap_or_else(|| panic!("no {topic}"));
                node.attributes.extend(parse(&format!(";{}", rest.strip_suffix('|').unwrap())).attributes);
            }
            ("I", rest) => {
                let node = parse(rest.strip_suffix('|').unwrap());
                assert_eq!(node.get("IT"), target);
                let parent =
                    self.root.find(way.next().unwrap()).unwrap_or_else(|| panic!("no parent: {topic}"));
                let at = node.get("OR").parse().unwrap_or(parent.children.len()).min(parent.children.len());
                parent.children.insert(at, node);
            }
            ("D", "|") => {
                assert!(topic.starts_with(self.root.get("IT")), "a whole path: {topic}");
                assert!(self.root.delete(target), "{topic}");
            }
            other => panic!("{other:?}"),
        }
    }

    /// The document, read out of the text by the rules.
    pub(super) fn document(&self) -> Value {
        let event = &self.root;
        let teams: Vec<&Node> = event.all("TG").flat_map(|group| group.all("TE")).collect();
        let mut out = Map::new();
        out.insert("sport_id".into(), json!(event.get("CL")));
        let sport = match event.get("CL") {
            "1" => "soccer",
            "3" => "cricket",
            "13" => "tennis",
            "18" => "basketball",
            "92" => "table_tennis",
            other => panic!("no sport of the simulator: {other}"),
        };
        out.insert("sport".into(), json!(sport));
        put(&mut out, "competition", event.get("CT"));
        put(&mut out, "name", event.get("NA"));
        for (place, side) in ["home", "away"].into_iter().enumerate() {
            put(&mut out, side, teams[place].get("NA"));
        }
        let (period, status) = period(event, sport);
        out.insert("status".into(), json!(if event.get("SU") == "1" { "suspended" } else { status }));
        put(&mut out, "period", &period);
        if event.attributes.contains_key("TM") {
            let number = |key| event.get(key).parse::<i64>().unwrap();
            let mut clock = json!({"seconds": number("TM") * 60 + number("TS"), "running": event.get("TT") == "1", "down": event.get("TD") == "1"});
            let at = event.get("TU");
            if !at.is_empty() {
                // The tests' zone is an hour ahead.
                let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", at).unwrap();
                let utc = civil.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp()
                    - jiff::SignedDuration::from_hours(1);
                clock["at"] = json!(utc.to_string());
            }
            out.insert("clock".into(), clock);
        }
        if let Some(score) = score(event, sport, status == "finished") {
            out.insert("score".into(), score);
        }
        if let Some(stats) = stats(event, &teams) {
            out.insert("stats".into(), stats);
        }
        let mut order = vec![];
        let mut markets = Map::new();
        for group in event.all("MG") {
            for market in group.all("MA") {
                order.push(json!(market.get("IT")));
                markets.insert(market.get("IT").into(), self.market(market, Some(group.get("NA"))));
            }
        }
        for market in event.all("MA") {
            order.push(json!(market.get("IT")));
            markets.insert(market.get("IT").into(), self.market(market, None));
        }
        out.insert("market_order".into(), Value::Array(order));
        out.insert("markets".into(), Value::Object(markets));
        let mut extra =
            rest(event, "IT ID OR NA CL CT SS XP PI CP MD FS TM TS TT TD TU SU S1 S2 S3 S4 S5 S6 S7 S8");
        let mut nodes = vec![];
        unused(event, &mut nodes);
        extra.insert("nodes".into(), Value::Array(nodes));
        out.insert("extra".into(), Value::Object(extra));
        Value::Object(out)
    }

    fn market(&self, market: &Node, group: Option<&str>) -> Value {
        let mut out = Map::new();
        put(&mut out, "id", market.get("ID"));
        put(&mut out, "name", market.get("NA"));
        put(&mut out, "group", group.unwrap_or(""));
        let columns: Vec<&Node> = market.all("CO").collect();
        if !columns.is_empty() {
            out.insert("columns".into(), columns.iter().map(|column| json!(column.get("NA"))).collect());
        }
        out.insert("suspended".into(), json!(market.get("SU") == "1"));
        out.insert("extra".into(), Value::Object(rest(market, "IT ID OR NA SU")));
        let mut selections = Map::new();
        for (order, one) in market.all("PA").enumerate() {
            selections.insert(one.get("IT").into(), selection(one, order, None));
        }
        for (place, column) in columns.iter().enumerate() {
            for (order, one) in column.all("PA").enumerate() {
                selections.insert(one.get("IT").into(), selection(one, order, Some(place)));
            }
        }
        out.insert("selections".into(), Value::Object(selections));
        Value::Object(out)
    }
}

fn selection(one: &Node, order: usize, column: Option<usize>) -> Value {
    let mut out = Map::new();
    put(&mut out, "id", one.get("ID"));
    put(&mut out, "name", one.get("NA"));
    if let Some(column) = column {
        out.insert("column".into(), json!(column));
    }
    if let Some(price) = touchline_common::model::Price::from_text(one.get("OD")) {
        out.insert("odds".into(), serde_json::from_str(&price.to_string()).unwrap());
    }
    put(&mut out, "odds_text", one.get("OD"));
    put(&mut out, "handicap", one.get("HA"));
    out.insert("suspended".into(), json!(one.get("SU") == "1"));
    out.insert("order".into(), json!(order));
    out.insert("extra".into(), Value::Object(rest(one, "IT ID OR NA OD HA SU")));
    Value::Object(out)
}

fn put(out: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        out.insert(key.into(), json!(text));
    }
}

fn rest(node: &Node, used: &str) -> Map<String, Value> {
    let used: Vec<&str> = used.split(' ').collect();
    let left = node.attributes.iter().filter(|(key, _)| !used.contains(&key.as_str()));
    left.map(|(key, value)| (key.clone(), json!(value))).collect()
}

fn is_period(column: &Node) -> bool {
    column.get("NA") == "OT" || column.get("NA").parse::<u32>().is_ok()
}

/// Whether a line's value is nothing, or stands among the periods of the score.
fn is_known(column: &Node, line: &Node) -> bool {
    let cells: Vec<bool> = column.all("SL").map(|line| line.get("D1").parse::<i64>().is_ok()).collect();
    line.get("D1").is_empty() || is_period(column) && cells == [true, true]
}

fn unused(node: &Node, out: &mut Vec<Value>) {
    for child in &node.children {
        let used = match child.kind.as_str() {
            "MA" | "PA" => None,
            "TE" => Some("IT ID OR NA S1 S2 S3 S4 S5 S6 S7 S8"),
            "SL" if is_known(node, child) => Some("IT ID OR D1"),
            "SL" => Some("IT ID"),
            "SC" if child.get("NA").is_empty() => Some("IT ID OR NA"),
            "SC" if is_period(child) && child.all("SL").all(|line| is_known(child, line)) => {
                Some("IT ID OR NA")
            }
            "SC" => Some("IT ID OR"),
            "TG" | "ES" | "MG" | "CO" => Some("IT ID OR NA"),
            _ => Some("IT"),
        };
        if let Some(used) = used {
            let extra = rest(child, used);
            if !extra.is_empty() {
                out.push(json!({"type": child.kind, "id": child.get("IT"), "parent": node.get("IT"), "extra": extra}));
            }
        }
        unused(child, out);
    }
}

fn period(event: &Node, sport: &str) -> (String, &'static str) {
    let text = event.get("CP");
    let status = match text.to_lowercase().as_str() {
        "1st half" | "2nd half" | "q1" | "q2" | "q3" | "q4" | "ot" => "in_play",
        "1st innings" | "2nd innings" | "3rd innings" | "4th innings" => "in_play",
        "set 1" | "set 2" | "set 3" | "set 4" | "set 5" => "in_play",
        "ht" | "end q1" | "end q2" | "end q3" => "break",
        "ft" | "finished" | "ended" => "finished",
        "not started" => "not_started",
        _ => match (event.get("FS"), sport, event.get("MD"), event.get("TT")) {
            ("1", "soccer", "0", "1") => return ("first_half".into(), "in_play"),
            ("1", "soccer", "0", _) if event.get("TM").parse::<u32>().unwrap() >= 45 => {
                return ("half_time".into(), "break");
            }
            ("1", "soccer", "1", tt) if tt != "1" && event.get("TM") == "45" && event.get("TS") == "0" => {
                return ("half_time".into(), "break");
            }
            ("1", "soccer", "1", _) => return ("second_half".into(), "in_play"),
            ("1", ..) => "in_play",
            _ => "not_started",
        },
    };
    (text.into(), status)
}

fn sets(text: &str) -> Vec<(i64, i64)> {
    let two =
        |set: &str| set.split_once('-').map(|(home, away)| (home.parse().unwrap(), away.parse().unwrap()));
    text.split(',').filter_map(two).collect()
}

fn score(event: &Node, sport: &str, finished: bool) -> Option<Value> {
    let (ss, xp) = (event.get("SS"), event.get("XP"));
    if ss.is_empty() && xp.is_empty() {
        return None;
    }
    let mut out = Map::new();
    put(&mut out, "text", ss);
    let won = |sets: &[(i64, i64)]| {
        (sets.iter().filter(|(h, a)| h > a).count() as i64, sets.iter().filter(|(h, a)| a > h).count() as i64)
    };
    let mut periods = vec![];
    let totals = match sport {
        "tennis" => {
            periods = sets(ss);
            // A set that was given up is nobody's.
            let complete = |set: &(i64, i64)| match (set.0.max(set.1), set.0.min(set.1)) {
                (7, 6) => true,
                (more, less) => more >= 6 && more - less >= 2,
            };
            let counted = periods.len() - usize::from(!(finished && complete(periods.last().unwrap())));
            put(&mut out, "points", xp);
            let (home, away) = won(&periods[..counted]);
            (Some(home), Some(away))
        }
        "table_tennis" => {
            periods = sets(xp);
            let (home, away) = won(&periods);
            if !finished {
                periods.extend(sets(ss));
            }
            put(&mut out, "points", ss);
            (Some(home), Some(away))
        }
        "cricket" => {
            let runs = |side: Option<&str>| {
                side.map(|side| {
                    side.split(" & ").map(|one| one.split('/').next().unwrap().parse::<i64>().unwrap()).sum()
                })
            };
            let mut sides = ss.split(',');
            (runs(sides.next()), runs(sides.next()))
        }
        _ => {
            let both = sets(ss)[0];
            for column in event.all("ES").flat_map(|scores| scores.all("SC")) {
                let name = column.get("NA");
                let cells: Vec<Option<i64>> =
                    column.all("SL").map(|line| line.get("D1").parse().ok()).collect();
                if let ([Some(home), Some(away)], true) =
                    (cells.as_slice(), name == "OT" || name.parse::<u32>().is_ok())
                {
                    periods.push((*home, *away));
                }
            }
            (Some(both.0), Some(both.1))
        }
    };
    for (side, total) in [("home", totals.0), ("away", totals.1)] {
        if let Some(total) = total {
            out.insert(side.into(), json!(total));
        }
    }
    if !periods.is_empty() {
        out.insert(
            "periods".into(),
            periods.iter().map(|(home, away)| json!({"home": home, "away": away})).collect(),
        );
    }
    put(
        &mut out,
        "serving",
        match event.get("PI") {
            "1,0" => "home",
            "0,1" => "away",
            _ => "",
        },
    );
    Some(Value::Object(out))
}

fn stats(event: &Node, teams: &[&Node]) -> Option<Value> {
    let mut out = Map::new();
    for n in 1..=8 {
        let label = event.get(&format!("S{n}"));
        let key = match label.to_lowercase().replace(' ', "_").as_str() {
            "corner" => "corners".to_owned(),
            "yellow" => "yellow_cards".into(),
            "red" => "red_cards".into(),
            "subs" => "substitutions".into(),
            known @ ("goals" | "corners" | "yellow_cards" | "red_cards" | "penalties" | "substitutions"
            | "attacks" | "dangerous_attacks" | "on_target" | "off_target" | "possession") => known.into(),
            _ => label.into(),
        };
        let mut pair = Map::new();
        for (side, team) in ["home", "away"].into_iter().zip(teams) {
            let value = team.get(&format!("S{n}"));
            match value.parse::<i64>() {
                _ if value.is_empty() => {}
                Ok(number) => drop(pair.insert(side.into(), json!(number))),
                Err(_) => put(&mut pair, side, value),
            }
        }
        if !label.is_empty() && !pair.is_empty() {
            out.insert(key, Value::Object(pair));
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}
