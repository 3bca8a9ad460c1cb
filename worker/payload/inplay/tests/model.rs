//! A plain model of a match's tree, and its document by `docs/documents.md`, written without regard to cost. Random
//! edits go to it and to the forest; after each step both must say the same.

use crate::payload::sport::Sport;
use serde_json::{Map, Value, json};
use touchline_common::model::{Price, Scoring};

/// A node with its children.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) kind: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Node>,
    open: Option<Price>,
    step: i8,
}

impl Node {
    pub(super) fn parse(text: &str) -> Node {
        let mut parts = text.split(';');
        let kind = parts.next().unwrap().to_owned();
        let attributes = parts.filter_map(|part| part.split_once('='));
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let mut node = Node { kind, attributes, ..Node::default() };
        node.open = price(node.get("OD"));
        node
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn said(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }

    fn set(&mut self, key: &str, value: &str) {
        if key == "OD" && self.kind == "PA" {
            self.price_moves(price(self.get(key)), price(Some(value)));
        }
        match self.attributes.iter_mut().find(|(name, _)| name == key) {
            Some(place) => value.clone_into(&mut place.1),
            None => self.attributes.push((key.to_owned(), value.to_owned())),
        }
    }

    fn price_moves(&mut self, old: Option<Price>, new: Option<Price>) {
        self.open = self.open.or(old).or(new);
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            self.step = if new > old { 1 } else { -1 };
        }
    }

    pub(super) fn preorder(&self) -> Vec<&Node> {
        let mut all = vec![self];
        for child in &self.children {
            all.extend(child.preorder());
        }
        all
    }

    fn of_kind(&self, kind: &str) -> Vec<&Node> {
        self.preorder().into_iter().filter(|node| node.kind == kind).collect()
    }

    fn find(&mut self, it: &str) -> Option<&mut Node> {
        if self.get("IT") == Some(it) {
            return Some(self);
        }
        self.children.iter_mut().find_map(|child| child.find(it))
    }

    fn take(&mut self, it: &str) -> Option<Node> {
        if let Some(place) = self.children.iter().position(|child| child.get("IT") == Some(it)) {
            return Some(self.children.remove(place));
        }
        self.children.iter_mut().find_map(|child| child.take(it))
    }

    fn suspended(&self) -> bool {
        !matches!(self.get("SU"), None | Some("" | "0"))
    }
}

fn price(text: Option<&str>) -> Option<Price> {
    Price::from_text(text?)
}

/// A topic's tree below a root that stands for the topic.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) root: Node,
}

impl Plain {
    /// From `(depth, text)` in pre-order: what the load must become, without the rules of nesting.
    pub(super) fn load(nodes: &[(usize, &str)]) -> Plain {
        let mut root = Node { attributes: vec![("IT".to_owned(), "T".to_owned())], ..Node::default() };
        for (depth, text) in nodes {
            let mut place = &mut root;
            for _ in 0..*depth {
                place = place.children.last_mut().unwrap();
            }
            place.children.push(Node::parse(text));
        }
        Plain { root }
    }

    pub(super) fn update(&mut self, it: &str, changes: &[(String, String)]) -> bool {
        let Some(node) = self.root.find(it) else { return false };
        for (key, value) in changes {
            node.set(key, value);
        }
        true
    }

    pub(super) fn insert(&mut self, parent: &str, it: &str, text: &str) -> bool {
        if self.root.find(parent).is_none() {
            return false;
        }
        let mut node = Node::parse(text);
        if let Some(held) = self.root.find(it) {
            if held.find(parent).is_some() {
                return false;
            }
            let held = self.root.take(it).unwrap();
            if held.kind == node.kind && node.kind == "PA" {
                let new = price(node.get("OD"));
                (node.open, node.step) = (held.open, held.step);
                node.price_moves(price(held.get("OD")), new);
            }
            node.children = held.children;
        }
        let parent = self.root.find(parent).unwrap();
        let order = node.get("OR").and_then(|text| text.parse::<usize>().ok());
        let like = parent.children.iter().enumerate().filter(|(_, child)| child.kind == node.kind);
        let place = order.and_then(|order| like.map(|(place, _)| place).nth(order));
        parent.children.insert(place.unwrap_or(parent.children.len()), node);
        true
    }

    pub(super) fn delete(&mut self, it: &str) -> bool {
        self.root.take(it).is_some()
    }

    pub(super) fn document(&self) -> Value {
        let none = Node::default();
        let events = self.root.of_kind("EV");
        let event = events.first().copied().unwrap_or(&none);
        let mut out = Map::new();
        let above = |kind: &str, key: &str| self.above(event, kind)?.said(key).map(str::to_owned);
        let sport_id = event.said("CL").map(str::to_owned).or_else(|| above("CL", "ID"));
        let sport = sport_id.as_deref().and_then(Sport::by_id);
        let mut put = |key: &str, value: Option<Value>| value.map(|value| out.insert(key.to_owned(), value));
        put("sport_id", sport_id.map(Value::from));
        put("sport", sport.map(|sport| sport.name.into()));
        put(
            "competition",
            event.said("CT").map(str::to_owned).or_else(|| above("CT", "NA")).map(Value::from),
        );
        let name = event.get("NA").map(str::trim).filter(|name| !name.is_empty());
        put("name", name.map(Value::from));
        let teams = ["0", "1"]
            .map(|order| self.root.of_kind("TE").into_iter().find(|te| te.get("OR") == Some(order)));
        let split = name.and_then(|name| name.split_once(" v "));
        let split =
            split.map(|(a, b)| [a.trim(), b.trim()]).filter(|sides| sides.iter().all(|s| !s.is_empty()));
        for (place, key) in ["home", "away"].into_iter().enumerate() {
            let team =
                teams[place].and_then(|te| te.get("NA")).map(str::trim).filter(|name| !name.is_empty());
            put(key, team.or(split.map(|sides| sides[place])).map(Value::from));
        }
        let (period, status) = progress(event, sport);
        put("period", period.map(Value::from));
        put("status", Some(status.into()));
        put("clock", clock(event));
        put("score", score(event, sport));
        let board = scoreboard(&self.root);
        put("stats", stats(event, &teams, &board));
        let markets = self.root.of_kind("MA");
        let order: Vec<&str> = markets.iter().filter_map(|market| market.said("IT")).collect();
        put("market_order", Some(json!(order)));
        let mut extra = others(event, EVENT);
        let nodes: Vec<Value> = nodes_below(event, &board);
        if !nodes.is_empty() {
            extra.insert("nodes".to_owned(), json!(nodes));
        }
        put("extra", (!extra.is_empty()).then_some(Value::Object(extra)));
        let mut all = Map::new();
        for market in markets {
            all.insert(market.get("IT").unwrap().to_owned(), self.market(market));
        }
        put("markets", Some(Value::Object(all)));
        Value::Object(out)
    }

    fn above(&self, node: &Node, kind: &str) -> Option<&Node> {
        let all = self.root.preorder();
        let mut above: Vec<&Node> =
            all.into_iter().filter(|n| n.preorder().iter().any(|below| std::ptr::eq(*below, node))).collect();
        above.retain(|n| n.kind == kind);
        above.pop()
    }

    fn market(&self, market: &Node) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Option<Value>| value.map(|value| out.insert(key.to_owned(), value));
        put("id", market.said("ID").map(Value::from));
        put("name", market.said("NA").map(Value::from));
        put("group", self.above(market, "MG").and_then(|group| group.said("NA")).map(Value::from));
        put("suspended", Some(market.suspended().into()));
        let columns: Vec<&Node> = market.children.iter().filter(|child| child.kind == "CO").collect();
        let names: Vec<&str> = columns.iter().map(|column| column.get("NA").unwrap_or_default()).collect();
        put("columns", (!names.is_empty()).then(|| json!(names)));
        let mut selections = Map::new();
        let mut take = |parent: &Node, column: Option<usize>| {
            for (order, pa) in parent.children.iter().filter(|child| child.kind == "PA").enumerate() {
                selections.insert(pa.get("IT").unwrap().to_owned(), selection(pa, order, column));
            }
        };
        take(market, None);
        for (place, column) in columns.into_iter().enumerate() {
            take(column, Some(place));
        }
        put("selections", Some(Value::Object(selections)));
        let extra = others(market, &["IT", "ID", "OR", "NA", "SU"]);
        put("extra", (!extra.is_empty()).then_some(Value::Object(extra)));
        Value::Object(out)
    }
}

const EVENT: &[&str] = &[
    "IT", "ID", "OR", "NA", "CL", "CT", "SS", "XP", "PI", "CP", "MD", "FS", "TM", "TS", "TT", "TD", "TU",
    "SU", "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8",
];

fn others(node: &Node, used: &[&str]) -> Map<String, Value> {
    let unused = node.attributes.iter().filter(|(key, _)| !used.contains(&key.as_str()));
    unused.map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect()
}

fn selection(pa: &Node, order: usize, column: Option<usize>) -> Value {
    let number = |price: Price| serde_json::from_str::<Value>(&price.to_string()).unwrap();
    let now = price(pa.get("OD"));
    let mut out = Map::new();
    let mut put = |key: &str, value: Option<Value>| value.map(|value| out.insert(key.to_owned(), value));
    put("id", pa.said("ID").map(Value::from));
    put("name", pa.said("NA").map(Value::from));
    put("column", column.map(Value::from));
    put("odds", now.map(number));
    put("odds_text", pa.said("OD").map(Value::from));
    put("open", pa.open.or(now).map(number));
    put("move", Some(pa.step.into()));
    put("handicap", pa.said("HA").map(Value::from));
    put("suspended", Some(pa.suspended().into()));
    put("order", Some(order.into()));
    let extra = others(pa, &["IT", "ID", "OR", "NA", "OD", "HA", "SU"]);
    put("extra", (!extra.is_empty()).then_some(Value::Object(extra)));
    Value::Object(out)
}

/// The statistics that columns of the scoreboard state, as written, and their values for home and away.
type Board<'a> = Vec<(&'static str, [Option<&'a str>; 2])>;

/// The statistic that a column is named for.
fn quantity(column: &Node) -> Option<&'static str> {
    match column.get("NA").filter(|_| column.kind == "SC")?.trim().to_lowercase().as_str() {
        "icorner" => Some("corners"),
        "ithrowin" => Some("throw_ins"),
        _ => None,
    }
}

fn value(line: &Node) -> &str {
    line.get("D1").unwrap_or_default().trim()
}

fn scoreboard(root: &Node) -> Board<'_> {
    let mut board: Board<'_> = Vec::new();
    for column in root.of_kind("SC") {
        let Some(key) = quantity(column) else { continue };
        for line in column.children.iter().filter(|child| child.kind == "SL") {
            if ["", "-"].contains(&value(line)) {
                continue;
            }
            let side = match line.get("OR") {
                Some("0") => 0,
                Some("1") => 1,
                _ => continue,
            };
            if !board.iter().any(|(held, _)| *held == key) {
                board.push((key, [None, None]));
            }
            let (_, values) = board.iter_mut().find(|(held, _)| *held == key).unwrap();
            values[side] = values[side].or(Some(value(line)));
        }
    }
    board
}

/// Whether a line of a column says nothing, or what the statistics say.
fn is_shown(column: &Node, line: &Node, board: &Board<'_>) -> bool {
    let said = |key: &str, side: usize| {
        board.iter().any(|(held, values)| *held == key && values[side] == Some(value(line)))
    };
    match (value(line), quantity(column), line.get("OR")) {
        ("", ..) | ("-", Some(_), _) => true,
        (_, Some(key), Some("0")) => said(key, 0),
        (_, Some(key), Some("1")) => said(key, 1),
        _ => false,
    }
}

fn nodes_below(top: &Node, board: &Board<'_>) -> Vec<Value> {
    let mut out = Vec::new();
    for child in &top.children {
        let all_shown = || {
            let mut lines = child.children.iter().filter(|line| line.kind == "SL");
            quantity(child).is_some() && lines.all(|line| is_shown(child, line, board))
        };
        let used: Option<&[&str]> = match child.kind.as_str() {
            "EV" | "MA" | "PA" => None,
            "SC" if child.said("NA").is_some() && !all_shown() => Some(&["IT", "ID", "OR"]),
            "SL" if !is_shown(top, child, board) => Some(&["IT", "ID"]),
            "TG" | "ES" | "SC" | "MG" | "CO" => Some(&["IT", "ID", "OR", "NA"]),
            "TE" => Some(&["IT", "ID", "OR", "NA", "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8"]),
            "SL" => Some(&["IT", "ID", "OR", "D1"]),
            _ => Some(&["IT"]),
        };
        let always = !["TG", "ES", "SC", "MG", "CO", "TE", "SL"].contains(&child.kind.as_str());
        if let Some(used) = used {
            let extra = others(child, used);
            if always || !extra.is_empty() {
                let (id, parent) = (child.get("IT"), top.get("IT"));
                out.push(json!({"type": child.kind, "id": id, "parent": parent, "extra": extra}));
            }
        }
        out.extend(nodes_below(child, board));
    }
    out
}

fn whole(text: Option<&str>, most: i64) -> Option<i64> {
    let text = text.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))?;
    text.parse().ok().filter(|n| *n <= most)
}

fn progress(event: &Node, sport: Option<&Sport>) -> (Option<String>, &'static str) {
    let by_flag = match event.get("FS") {
        Some("1") => "in_play",
        Some("0" | "") => "not_started",
        _ => "unknown",
    };
    let (period, status) = match event.said("CP") {
        Some(text) => {
            let status = match text.to_lowercase().as_str() {
                "1st half" | "q3" => "in_play",
                "ht" => "break",
                "ft" => "finished",
                _ => by_flag,
            };
            (Some(text.to_owned()), status)
        }
        None if sport.is_some_and(|sport| sport.id == "1") && event.get("FS") == Some("1") => {
            let running = event.get("TT") == Some("1");
            let (tm, ts) = (whole(event.get("TM"), 1 << 30), whole(event.get("TS"), 1 << 30));
            match event.get("MD") {
                Some("0") if running => (Some("first_half".to_owned()), "in_play"),
                Some("0") if tm >= Some(45) => (Some("half_time".to_owned()), "break"),
                Some("1") if !running && tm == Some(45) && ts.unwrap_or(0) == 0 => {
                    (Some("half_time".to_owned()), "break")
                }
                Some("1") => (Some("second_half".to_owned()), "in_play"),
                _ => (None, by_flag),
            }
        }
        None => (None, by_flag),
    };
    (period, if event.suspended() { "suspended" } else { status })
}

fn clock(event: &Node) -> Option<Value> {
    let (tm, ts) = (whole(event.get("TM"), 1 << 30), whole(event.get("TS"), 1 << 30));
    if tm.is_none() && ts.is_none() {
        return None;
    }
    let seconds = tm.unwrap_or(0) * 60 + ts.unwrap_or(0);
    let mut out = json!({"seconds": seconds, "running": event.get("TT") == Some("1"), "down": event.get("TD") == Some("1")});
    if event.get("TU") == Some("20190517140307") {
        out["at"] = "2019-05-17T13:03:07Z".into();
    }
    Some(out)
}

fn score(event: &Node, sport: Option<&Sport>) -> Option<Value> {
    let (ss, xp) = (event.said("SS"), event.said("XP"));
    if ss.is_none() && xp.is_none() {
        return None;
    }
    let mut out = Map::new();
    if let Some(ss) = ss {
        out.insert("text".to_owned(), ss.into());
    }
    let sides = |text: &str| {
        let (home, away) = text.split_once('-').unwrap_or_default();
        [whole(Some(home), 99_999), whole(Some(away), 99_999)]
    };
    let finished = event.said("CP").is_some_and(|cp| cp.eq_ignore_ascii_case("ft"));
    let scoring = sport.map_or(Scoring::Text, |sport| sport.scoring);
    let mut total = [None, None];
    match scoring {
        Scoring::Goals => total = ss.map(sides).unwrap_or_default(),
        Scoring::Tennis => {
            let sets: Vec<_> = ss.map(|ss| ss.split(',').map(sides).collect()).unwrap_or_default();
            // What is unknown makes the sum unknown; a set that was not played to its end is nobody's.
            let complete = |set: &[Option<i64>; 2]| match *set {
                [Some(home), Some(away)] => {
                    let (more, less) = (home.max(away), home.min(away));
                    more >= 6 && more - less >= 2 || (more, less) == (7, 6)
                }
                _ => true,
            };
            let all = finished && sets.last().is_none_or(complete);
            let over = if all { sets.len() } else { sets.len().saturating_sub(1) };
            let known = ss.is_some() && sets[..over].iter().flatten().all(Option::is_some);
            if known {
                let won =
                    |side: usize| sets[..over].iter().filter(|set| set[side] > set[1 - side]).count() as i64;
                total = [Some(won(0)), Some(won(1))];
            }
            if !sets.is_empty() && sets.iter().flatten().all(Option::is_some) {
                let sets: Vec<_> = sets.iter().map(|set| json!({"home": set[0], "away": set[1]})).collect();
                out.insert("periods".to_owned(), json!(sets));
            }
        }
        // The random edits name no sport of these.
        Scoring::Points | Scoring::Sets | Scoring::Cricket | Scoring::Frames | Scoring::Text => {}
    }
    for (key, value) in ["home", "away"].into_iter().zip(total) {
        if let Some(value) = value {
            out.insert(key.to_owned(), value.into());
        }
    }
    if let Some(xp) = xp
        && (scoring == Scoring::Tennis || scoring == Scoring::Text)
    {
        out.insert("points".to_owned(), xp.into());
    }
    match event.get("PI") {
        Some("1,0") => _ = out.insert("serving".to_owned(), "home".into()),
        Some("0,1") => _ = out.insert("serving".to_owned(), "away".into()),
        _ => {}
    }
    Some(Value::Object(out))
}

fn stats(event: &Node, teams: &[Option<&Node>; 2], board: &Board<'_>) -> Option<Value> {
    let mut out = Map::new();
    let shown = |value: &str| {
        let number = value.parse::<i64>().ok().filter(|_| !value.starts_with('+'));
        number.map_or_else(|| value.into(), Value::from)
    };
    for (key, values) in board {
        let sides = ["home", "away"].into_iter().zip(values);
        let known = sides.filter_map(|(side, value)| Some((side.to_owned(), shown((*value)?))));
        out.insert((*key).to_owned(), Value::Object(known.collect()));
    }
    for n in 1..=8 {
        let place = format!("S{n}");
        let Some(label) = event.get(&place).filter(|label| !label.trim().is_empty()) else { continue };
        let key = match label.trim().to_lowercase().as_str() {
            "corner" | "corners" => "corners".to_owned(),
            "yellow" => "yellow_cards".to_owned(),
            _ => label.to_owned(),
        };
        let mut values = Map::new();
        for (side, team) in ["home", "away"].into_iter().zip(teams) {
            if let Some(value) = team.and_then(|team| team.said(&place)) {
                values.insert(side.to_owned(), shown(value));
            }
        }
        if values.is_empty() {
            continue;
        }
        let held = out.entry(key).or_insert_with(|| json!({}));
        for (side, value) in values {
            held.as_object_mut().unwrap().entry(side).or_insert(value);
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}
