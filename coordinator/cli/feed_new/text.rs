//! What was guessed and answered, as the text of a configuration with a comment on each guess. Pure.

use super::guess::{Answer, Guess, Known, Noted, Of, When, guess};
use super::merging::{Deltas, Rule, number_member};
use super::recorded::Recorded;
use std::fmt::Write as _;

/// What the messages cannot tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) topics: Vec<String>,
    pub(super) subscribe: String,
    /// Empty: there is none.
    pub(super) unsubscribe: String,
    pub(super) max_subscriptions: u64,
    /// Empty: there is none.
    pub(super) ping: String,
    pub(super) login: String,
    pub(super) username: String,
    pub(super) password_env: String,
}

/// A first `[[feed]]` of kind push.
///
/// # Errors
/// What the messages lack.
pub(super) fn configuration(answers: &Answers, recorded: &Recorded) -> Result<String, String> {
    let known = Known { topics: &answers.topics, number: number_member(&answers.subscribe) };
    let guess = guess(recorded, &known)?;
    let mut out = Text::default();
    out.comment("A first configuration, guessed from recorded messages: docs/push.md has all keys. Try it with `touchline probe`.");
    out.0.push_str("\n[[feed]]\n");
    head(answers, &mut out);
    subscribing(answers, &guess, &mut out);
    login(answers, &guess, &mut out);
    items(&guess, &mut out);
    deltas(&guess, &mut out);
    if !guess.reading.is_empty() {
        out.0.push_str("\n[feed.reading]\n");
        for (key, value) in &guess.reading {
            out.key(key, value);
        }
    }
    Ok(out.0)
}

fn head(answers: &Answers, out: &mut Text) {
    out.key("name", &quoted(&answers.name));
    out.key("kind", "\"push\"");
    out.key("url", &quoted(&answers.url));
    let topics: Vec<String> = answers.topics.iter().map(|topic| quoted(topic)).collect();
    out.key("topics", &format!("[{}]", topics.join(", ")));
    out.comment("topics of one connection: what the server allows");
    out.key("max_subscriptions", &answers.max_subscriptions.to_string());
    for (key, value) in [("username", &answers.username), ("password_env", &answers.password_env)] {
        if !value.is_empty() {
            out.key(key, &quoted(value));
        }
    }
}

fn subscribing(answers: &Answers, guess: &Guess, out: &mut Text) {
    out.0.push('\n');
    out.key("subscribe", &quoted(&answers.subscribe));
    if answers.unsubscribe.is_empty() {
        out.comment("without `unsubscribe` topics are given up by closing the connection alone");
    } else {
        out.key("unsubscribe", &quoted(&answers.unsubscribe));
    }
    match &guess.acknowledged {
        Some(answer) => out.key("acknowledged", &answered(answer)),
        None => out.comment("no acknowledgement is known: what is served is taken as one"),
    }
    match &guess.refused {
        Some(answer) => out.key("refused", &answered(answer)),
        None => out.comment("no refusal is known: record one, so that its reason is in the log"),
    }
    if answers.ping.is_empty() {
        out.comment(
            "heartbeats are WebSocket pings: heartbeat = { every = \"10s\", send = '…' } sends messages",
        );
    } else {
        out.key("heartbeat", &format!("{{ every = \"10s\", send = {} }}", quoted(&answers.ping)));
    }
}

fn login(answers: &Answers, guess: &Guess, out: &mut Text) {
    if answers.login.is_empty() {
        return;
    }
    let mut parts = vec![format!("send = {}", quoted(&answers.login))];
    for (key, when) in [("greeting", &guess.greeting), ("accepted", &guess.accepted)] {
        parts.extend(when.as_ref().map(|when| format!("{key} = {}", condition(when))));
    }
    if let (Some(accepted), Some(refused)) = (&guess.accepted, &guess.refused)
        && accepted.at == refused.when.at
    {
        let answer = Answer { topic: None, number: None, ..refused.clone() };
        parts.push(format!("refused = {}", answered(&answer)));
    }
    out.key("login", &format!("{{ {} }}", parts.join(", ")));
}

fn items(guess: &Guess, out: &mut Text) {
    out.0.push('\n');
    if let Some(items) = &guess.items {
        out.comment("a message has several items; pointers of items lead from each of them");
        out.key("items", &pointer(items));
    }
    let Noted { guess: topic, note } = &guess.topic;
    out.comment(note);
    if let Some(topic) = topic {
        out.key("topic", &pointer(topic));
    }
    match &guess.body {
        Some(body) => out.key("body", &pointer(body)),
        None => out.comment("the item itself is the document, or the delta: there is no `body`"),
    }
    match guess.ignored.as_slice() {
        [] => {}
        [one] => out.key("ignored", &condition(one)),
        several => {
            let several: Vec<String> = several.iter().map(condition).collect();
            out.key("ignored", &format!("[{}]", several.join(", ")));
        }
    }
    if let Some(removed) = &guess.removed {
        out.key("removed", &condition(removed));
    }
    let Noted { guess: snapshot, note } = &guess.snapshot;
    out.comment(note);
    if let Some(snapshot) = snapshot {
        out.key("snapshot", &condition(snapshot));
    }
    if let Some(delta) = &guess.delta {
        out.key("delta", &condition(delta));
    }
}

fn deltas(guess: &Guess, out: &mut Text) {
    let Noted { guess: merge, note } = &guess.merge;
    out.comment(note);
    let merge = match merge {
        Deltas::Replace => "\"replace\"".to_owned(),
        Deltas::Merge => "\"merge\"".to_owned(),
        Deltas::Patch => "\"patch\"".to_owned(),
        Deltas::Keyed { key, amount } if amount.is_empty() => format!("{{ key = {} }}", quoted(key)),
        Deltas::Keyed { key, amount } => format!("{{ key = {}, amount = {} }}", quoted(key), quoted(amount)),
    };
    out.key("merge", &merge);
    let Noted { guess: sequence, note } = &guess.sequence;
    out.comment(note);
    if let Some(sequence) = sequence {
        let at = pointer(&sequence.at);
        let rule = match &sequence.rule {
            Rule::Next => "rule = \"next\"".to_owned(),
            Rule::Rising => "rule = \"rising\"".to_owned(),
            Rule::Previous(from) => format!("rule = \"previous\", from = {}", pointer(from)),
        };
        out.key("sequence", &format!("{{ at = {at}, {rule} }}"));
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn comment(&mut self, text: &str) {
        self.0.push_str("# ");
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn key(&mut self, key: &str, value: &str) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.0, "{key} = {value}");
    }
}

fn condition(when: &When) -> String {
    let is = match when.is.as_slice() {
        [] => String::new(),
        [one] => format!(", is = {one}"),
        several => format!(", is = [{}]", several.join(", ")),
    };
    let of = match when.of {
        Of::Item => "",
        Of::Message => ", of = \"message\"",
    };
    format!("{{ at = {}{is}{of} }}", pointer(&when.at))
}

fn answered(answer: &Answer) -> String {
    // Pointers of answers lead from the message anyway.
    let when = condition(&When { of: Of::Item, ..answer.when.clone() });
    let mut text = when.trim_end_matches(" }").to_owned();
    for (key, way) in [("topic", &answer.topic), ("number", &answer.number), ("why", &answer.why)] {
        if let Some(way) = way {
            let _ = write!(text, ", {key} = {}", pointer(way));
        }
    }
    text + " }"
}

fn pointer(way: &super::recorded::Way) -> String {
    quoted(&way.to_string())
}

/// A text as TOML has it: as it is, where that can be.
fn quoted(text: &str) -> String {
    let is_plain = !text.chars().any(char::is_control);
    if is_plain && !text.contains(['"', '\\']) {
        return format!("\"{text}\"");
    }
    if is_plain && !text.contains('\'') {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}
