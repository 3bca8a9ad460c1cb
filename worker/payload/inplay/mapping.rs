//! The table of names: which type word and attribute plays which role, the statistics' labels, the scoreboard's columns, the
//! periods, and what sports' scores mean where that differs from the built-in table of sports.
//!
//! It is data (`mapping.toml`), over which a feed's own file may be laid; here it is compiled to packed keys, one
//! collision-free table per kind of node, so that reading a node compares no strings. Used by everything in `tree`.

pub(super) use super::class::{Class, Role};
use super::key::Key;
use super::period::{
    MappingError, Period, Status, clash, compile_periods, laid_over, parse, period_of, wrong,
};
use crate::payload::sport::Sport;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use toml::{Table, Value};
use touchline_common::model::{Phase, Scoring};

#[derive(Clone, Debug)]
pub struct Mapping {
    /// The attribute that holds a node's own topic id.
    pub(super) topic: Key,
    pub(super) topic_name: Box<[u8]>,
    types: Vec<(Key, Class)>,
    fields: Vec<Fields>,
    /// Both in lower case, without blanks at their ends.
    labels: Vec<(String, String)>,
    quantities: Vec<(String, String)>,
    /// Sports by their number.
    scorings: Vec<(String, Scoring)>,
    periods: Vec<Period>,
}

const BUILTIN: &str = include_str!("mapping.toml");
const SLOTS: usize = 128;
const BITS: u32 = 7;

/// The attributes of one kind of node: by key without collisions, and by role.
#[derive(Clone, Debug)]
struct Fields {
    factor: u32,
    slots: Box<[(Key, Option<Role>); SLOTS]>,
    roles: Vec<(Key, Role)>,
    keys: [Key; Role::COUNT],
}

impl Mapping {
    /// The built-in table.
    ///
    /// # Errors
    /// None, as a test shows; the type reports what `overlaid` may say.
    pub fn builtin() -> Result<Self, MappingError> {
        Self::compile(&source(BUILTIN)?)
    }

    /// The built-in table with a file of the same form laid over it.
    ///
    /// # Errors
    /// A syntax error, an unknown section, role, phase or status, a name that is none, two roles of one kind (the topic id
    /// is one of each) with the same attribute, two kinds with the same type word, or one label twice.
    pub fn overlaid(text: &str) -> Result<Self, MappingError> {
        Self::compile(&laid_over(source(BUILTIN)?, source(text)?))
    }

    #[inline]
    pub(super) fn class(&self, kind: Key) -> Class {
        self.types.iter().find(|(key, _)| *key == kind).map_or(Class::Other, |(_, class)| *class)
    }

    /// What the attribute `key` of such a node means.
    #[inline]
    pub(super) fn role(&self, class: Class, key: Key) -> Option<Role> {
        let fields = self.fields.get(class as usize)?;
        let slot = (key.0.wrapping_mul(fields.factor) >> (32 - BITS)) as usize;
        match fields.slots.get(slot) {
            Some((held, role)) if *held == key => *role,
            _ => None,
        }
    }

    /// The attribute of such a node that plays this role; the empty key, which no attribute has, if none does.
    #[inline]
    pub(super) fn key(&self, class: Class, role: Role) -> Key {
        self.fields.get(class as usize).and_then(|f| f.keys.get(role as usize)).copied().unwrap_or(Key::EMPTY)
    }

    /// The key in `stats` of a label, if it is not its own.
    pub(super) fn statistic(&self, label: &str) -> Option<&str> {
        let label = label.trim();
        self.labels.iter().find(|(name, _)| name.eq_ignore_ascii_case(label)).map(|(_, key)| key.as_str())
    }

    /// The key in `stats` of a scoreboard's column, if it is a statistic.
    pub(super) fn quantity(&self, name: &[u8]) -> Option<&str> {
        let name = name.trim_ascii();
        let named = self.quantities.iter().find(|(held, _)| held.as_bytes().eq_ignore_ascii_case(name));
        named.map(|(_, key)| key.as_str())
    }

    /// What a step of the score means in the sport of this number, where the table says so.
    pub(super) fn scoring(&self, sport: &str) -> Option<Scoring> {
        self.scorings.iter().find(|(id, _)| id == sport).map(|(_, scoring)| *scoring)
    }

    pub(super) fn period(&self, text: &[u8], sport: Option<&str>) -> Option<(Phase, Status)> {
        period_of(&self.periods, text, sport)
    }

    fn compile(source: &Table) -> Result<Self, MappingError> {
        let name = source.get("topic").and_then(Value::as_str);
        let name =
            name.ok_or_else(|| wrong("topic", "expected every node's topic id's attribute, in quotes"))?;
        let topic = attribute("topic", name)?;
        let mut types = Vec::new();
        let mut sections: Vec<(Key, &str)> = Vec::new();
        let mut fields = vec![Fields::empty(); Class::COUNT];
        let (mut labels, mut periods) = (Vec::new(), Vec::new());
        let (mut quantities, mut scorings) = (Vec::new(), Vec::new());
        for (section, value) in source {
            match (section.as_str(), value) {
                ("topic", _) => {}
                ("statistics", Value::Table(table)) => labels = compile_labels(table),
                ("scoreboard", Value::Table(table)) => quantities = compile_labels(table),
                ("scoring", Value::Table(table)) => scorings = compile_scorings(table)?,
                ("period", Value::Array(rows)) => periods = compile_periods(rows)?,
                (name, Value::Table(table)) => {
                    let class = called::<Class>(name, name)?;
                    let (kind, compiled) = compile_class(name, table, topic)?;
                    if let Some((_, other)) = sections.iter().find(|(key, _)| *key == kind) {
                        let what = "one type word stands for two kinds of node";
                        return Err(clash(format!("{name}.type"), format!("{other}.type"), what));
                    }
                    sections.push((kind, name));
                    types.push((kind, class));
                    if let Some(place) = fields.get_mut(class as usize) {
                        *place = compiled;
                    }
                }
                (name, _) => {
                    let known = "`topic`, `statistics`, `scoreboard`, `scoring`, `period` or a kind of node";
                    return Err(wrong(name, format!("expected {known}")));
                }
            }
        }
        // Selections are by far the most frequent: looked at first.
        types.sort_by_key(|(_, class)| (*class != Class::Selection, *class != Class::Market, *class));
        for place in &mut fields {
            place.add(topic, Role::Topic);
            place.settle();
        }
        Ok(Self {
            topic,
            topic_name: name.as_bytes().into(),
            types,
            fields,
            labels,
            quantities,
            scorings,
            periods,
        })
    }
}

/// What the table calls `name`.
fn called<'a, T: Deserialize<'a>>(at: &str, name: &'a str) -> Result<T, MappingError> {
    T::deserialize(name.into_deserializer()).map_err(|error: Error| wrong(at, error.to_string()))
}

fn attribute(at: &str, name: &str) -> Result<Key, MappingError> {
    let key = Key::of(name.as_bytes());
    if name.is_empty() || !key.is_packed() || name.contains([';', '=', '|']) {
        return Err(wrong(at, format!("{name:?} is not a name: expected 1 to 4 printable ASCII characters")));
    }
    Ok(key)
}

/// `topic`: the attribute of the topic id, which such a node has, too.
fn compile_class(section: &str, table: &Table, topic: Key) -> Result<(Key, Fields), MappingError> {
    let mut kind = None;
    let mut fields = Fields::empty();
    let mut held = vec![(topic, "topic".to_owned())];
    for (name, value) in table {
        let at = format!("{section}.{name}");
        let Value::String(text) = value else {
            return Err(wrong(at, "expected text in quotes"));
        };
        let key = attribute(&at, text)?;
        if name == "type" {
            kind = Some(key);
            continue;
        }
        let role = called(&at, name)?;
        if let Some((_, other)) = held.iter().find(|(held, _)| *held == key) {
            return Err(clash(at, other.clone(), &format!("{text:?} has two roles")));
        }
        held.push((key, at));
        fields.add(key, role);
    }
    let kind = kind.ok_or_else(|| wrong(format!("{section}.type"), "missing: the node's type word"))?;
    Ok((kind, fields))
}

/// What one file says, with its labels in one form: laid over another it replaces what only case or blanks tell apart.
fn source(text: &str) -> Result<Table, MappingError> {
    let mut source = parse(text)?;
    for section in ["scoreboard", "statistics"] {
        if let Some(Value::Table(table)) = source.get_mut(section) {
            *table = normalised(section, table)?;
        }
    }
    Ok(source)
}

/// The same labels in lower case, without blanks at their ends.
fn normalised(section: &str, table: &Table) -> Result<Table, MappingError> {
    let mut labels = Table::new();
    for (label, key) in table {
        let at = || format!("{section}.{label}");
        if key.as_str().is_none_or(str::is_empty) {
            return Err(wrong(at(), "expected a key, text in quotes"));
        }
        if labels.insert(label.trim().to_ascii_lowercase(), key.clone()).is_some() {
            return Err(wrong(
                at(),
                "the label stands here twice: neither case nor blanks at its ends count",
            ));
        }
    }
    Ok(labels)
}

/// Labels as [`normalised`] leaves them.
fn compile_labels(table: &Table) -> Vec<(String, String)> {
    let entry = |(label, key): (&String, &Value)| Some((label.clone(), key.as_str()?.to_owned()));
    table.iter().filter_map(entry).collect()
}

fn compile_scorings(table: &Table) -> Result<Vec<(String, Scoring)>, MappingError> {
    let mut scorings: Vec<(String, Scoring)> = Vec::new();
    for (sport, value) in table {
        let at = || format!("scoring.{sport}");
        let id = Sport::id_of(sport).ok_or_else(|| {
            let known = Sport::names().collect::<Vec<_>>().join(", ");
            wrong(at(), format!("no such sport: expected its number, or one of {known}"))
        })?;
        let named = value.as_str().unwrap_or_default();
        let scoring =
            Scoring::ALL.into_iter().find(|scoring| scoring.as_str() == named).ok_or_else(|| {
                let known = Scoring::ALL.map(|scoring| format!("{:?}", scoring.as_str())).join(", ");
                wrong(at(), format!("expected one of {known}"))
            })?;
        if scorings.iter().any(|(held, _)| held == id) {
            return Err(wrong(at(), "the sport stands here twice, by its name and by its number"));
        }
        scorings.push((id.to_owned(), scoring));
    }
    Ok(scorings)
}

impl Fields {
    fn empty() -> Self {
        Self {
            factor: 1,
            slots: Box::new([(Key::EMPTY, None); SLOTS]),
            roles: Vec::new(),
            keys: [Key::EMPTY; Role::COUNT],
        }
    }

    fn add(&mut self, key: Key, role: Role) {
        self.roles.push((key, role));
        if let Some(place) = self.keys.get_mut(role as usize) {
            *place = key;
        }
    }

    /// Finds a factor under which no two keys share a slot. 31 keys in 128 slots: a few hundred tries at most.
    fn settle(&mut self) {
        let mut factor: u32 = 0x9e37_79b1;
        for _ in 0..1_000_000 {
            let mut slots = [(Key::EMPTY, None); SLOTS];
            let fits = self.roles.iter().all(|&(key, role)| {
                let slot = slots.get_mut((key.0.wrapping_mul(factor) >> (32 - BITS)) as usize);
                let before = slot.map(|slot| std::mem::replace(slot, (key, Some(role))));
                before.is_some_and(|(_, role)| role.is_none())
            });
            if fits {
                (*self.slots, self.factor) = (slots, factor);
                return;
            }
            factor = factor.wrapping_mul(0x2c1b_3c6d).wrapping_add(0x297a_2d39) | 1;
        }
    }
}
