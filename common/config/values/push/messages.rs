//! What is sent to a push server, and what its messages mean: each template with the places it may have, each pointer with what it needs.

use crate::config::Pointer;
use crate::config::check::Findings;
use crate::config::feed::{Answer, FeedConfig, Merge, SequenceRule, When};
use crate::config::locate::Place;
use crate::config::message_template::{MessagePlace, MessageTemplate};
use crate::config::one_or_several::Tables;
use crate::config::pointer::PointerStep;

/// How many topics a message has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Topics,
    /// One, in an array of them.
    OneOfTopics,
    None,
}

/// What a template is for.
struct Purpose<'a> {
    carries: Carries,
    /// Words beside those of topics.
    words: &'a [&'a str],
}

pub(super) fn check(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    check_subscribing(feed, index, findings);
    check_login(feed, index, findings);
    check_alive(feed, index, findings);
    check_items(feed, index, findings);
    check_sequence(feed, index, findings);
    check_resume(feed, index, findings);
}

fn check_subscribing(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let push = &feed.push;
    if push.subscribe.is_empty() {
        findings.add(
            &at("subscribe"),
            "without `subscribe` nothing would be followed",
            "expected a message such as '{\"op\":\"subscribe\",\"topics\":{TOPICS}}'",
        );
    }
    let topics = Purpose { carries: Carries::Topics, words: &["N"] };
    check_message(&push.subscribe, &topics, &at("subscribe"), findings);
    check_message(&push.unsubscribe, &topics, &at("unsubscribe"), findings);
    check_each(&push.each, &push.subscribe, &[], &at("each"), findings);
    for (key, answers) in [("acknowledged", &push.acknowledged), ("refused", &push.refused)] {
        check_answers(answers, &push.subscribe, &at(key), findings);
    }
    for (n, answer) in push.acknowledged.iter().enumerate() {
        if answer.topic.is_none() && answer.number.is_none() {
            findings.add(
                &nth(&push.acknowledged, &at("acknowledged"), n),
                "an acknowledgement of nothing that is named",
                "expected `topic` or `number` with the pointer to it",
            );
        }
    }
}

fn check_each(
    each: &MessageTemplate,
    subscribe: &MessageTemplate,
    words: &[&str],
    place: &Place,
    findings: &mut Findings<'_>,
) {
    check_message(each, &Purpose { carries: Carries::OneOfTopics, words }, place, findings);
    if !each.is_empty() && !subscribe.has(&MessagePlace::Topics) {
        findings.add(place, "no message has several topics", "expected `{TOPICS}` in `subscribe`");
    }
}

fn check_login(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let place = Place::feed(index, "login");
    let at = |key: &str| place.clone().child(key);
    let login = &feed.push.login;
    let words = Purpose { carries: Carries::None, words: &["N", "USERNAME", "PASSWORD"] };
    check_message(&login.send, &words, &at("send"), findings);
    let needs_name = login.send.has(&MessagePlace::Username) || login.send.has(&MessagePlace::Password);
    if needs_name && feed.username.is_empty() {
        findings.add(&at("send"), "the login has a name or a password", "expected `username` in the feed");
    }
    let has_password = !feed.password_env.is_empty() || !feed.password_file.is_empty();
    if has_password && !login.send.has(&MessagePlace::Password) {
        findings.add(&place, "the password would never be sent", "expected `{PASSWORD}` in `send`");
    }
    check_whens(&login.greeting, &at("greeting"), findings);
    check_whens(&login.accepted, &at("accepted"), findings);
    check_answers(&login.refused, &login.send, &at("refused"), findings);
    if login.send.is_empty() && !(login.accepted.is_empty() && login.refused.is_empty()) {
        findings.add(&at("send"), "an answer to a login that is not sent", "expected `send`");
    }
}

fn check_alive(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let words = Purpose { carries: Carries::None, words: &["N"] };
    // A word such as `ping` is a heartbeat as well.
    check_places(&feed.beats.heartbeat.send, &words, &at("heartbeat"), findings);
    for (n, reply) in feed.push.reply.iter().enumerate() {
        let place = nth(&feed.push.reply, &at("reply"), n);
        check_leads(&reply.at, &place.clone().child("at"), findings);
        let words = Purpose { carries: Carries::None, words: &["N", "VALUE"] };
        check_places(&reply.send, &words, &place.clone().child("send"), findings);
        if reply.send.is_empty() {
            findings.add(&place, "a reply of nothing", "expected `send`");
        }
    }
}

fn check_items(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::feed(index, key);
    let push = &feed.push;
    for (key, pointer) in [("items", &push.items), ("topic", &push.topic), ("body", &push.body)] {
        check_names(pointer, &at(key), findings);
    }
    if push.topic.steps().is_empty() && push.items.steps().is_empty() {
        findings.add(
            &at("topic"),
            "nothing says which topic a message is of",
            "expected a JSON pointer such as \"/topic\"",
        );
    }
    for (key, whens) in [
        ("ignored", &push.ignored),
        ("removed", &push.removed),
        ("snapshot", &push.snapshot),
        ("delta", &push.delta),
    ] {
        check_whens(whens, &at(key), findings);
    }
    match &push.merge {
        Merge::Keyed(keyed) if keyed.key.is_empty() => findings.add(
            &at("merge"),
            "no member by which items are known",
            "expected such as { key = \"id\", amount = \"size\" }",
        ),
        Merge::Replace | Merge::Merge | Merge::DeepMerge | Merge::Patch | Merge::Keyed(_) => {}
    }
}

fn check_sequence(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let place = Place::feed(index, "sequence");
    let at = |key: &str| place.clone().child(key);
    let sequence = &feed.push.sequence;
    check_names(&sequence.at, &at("at"), findings);
    if let Some(from) = &sequence.from {
        check_leads(from, &at("from"), findings);
    }
    if sequence.at.steps().is_empty() {
        if findings.is_written(&place) {
            findings.add(&place, "nothing says where the number is", "expected `at` with the pointer to it");
        }
        return;
    }
    match (sequence.rule, &sequence.from) {
        (SequenceRule::Previous, None) => findings.add(
            &at("from"),
            "nothing says where the number of the item before is",
            "expected a JSON pointer such as \"/prev\"",
        ),
        (SequenceRule::Rising, Some(_)) => {
            findings.add(&at("from"), "rule \"rising\" needs one number", "expected it to be left out");
        }
        (SequenceRule::Next, _) | (SequenceRule::Previous, Some(_)) | (SequenceRule::Rising, None) => {}
    }
}

fn check_resume(feed: &FeedConfig, index: usize, findings: &mut Findings<'_>) {
    let place = Place::feed(index, "resume");
    let at = |key: &str| place.clone().child(key);
    let resume = &feed.push.resume;
    for (word, pointer) in &resume.tokens {
        let place = at("tokens").child(word);
        let is_place =
            |text: &str| text.parse().is_ok_and(|template: MessageTemplate| is_token(&template, word));
        if !is_place(&format!("{{{word}}}")) {
            findings.add(
                &place,
                "bad word for a token",
                "expected capital letters, as in CLK, and no other place's",
            );
        }
        check_leads(pointer, &place, findings);
    }
    match (resume.tokens.is_empty(), resume.subscribe.is_empty()) {
        (true, false) => {
            findings.add(&at("tokens"), "nothing to resume with", "expected such as { CLK = \"/clk\" }");
        }
        (false, true) => {
            findings.add(&at("subscribe"), "tokens that are never sent", "expected a message with them");
        }
        (true, true) | (false, false) => {}
    }
    let tokens: Vec<&str> = resume.tokens.keys().map(String::as_str).collect();
    let words: Vec<&str> = std::iter::once("N").chain(tokens.iter().copied()).collect();
    let topics = Purpose { carries: Carries::Topics, words: &words };
    check_message(&resume.subscribe, &topics, &at("subscribe"), findings);
    check_each(&resume.each, &resume.subscribe, &tokens, &at("each"), findings);
}

fn is_token(template: &MessageTemplate, word: &str) -> bool {
    template.places().any(|place| matches!(place, MessagePlace::Token(name) if name == word))
}

/// A message in JSON.
fn check_message(
    template: &MessageTemplate,
    purpose: &Purpose<'_>,
    place: &Place,
    findings: &mut Findings<'_>,
) {
    if template.is_empty() {
        return;
    }
    check_places(template, purpose, place, findings);
    let filled = template.fill(|place, out| match place {
        MessagePlace::Topics => out.push_str("[]"),
        MessagePlace::Number | MessagePlace::Value => out.push('1'),
        MessagePlace::Topic | MessagePlace::Username | MessagePlace::Password | MessagePlace::Token(_) => {
            out.push('x');
        }
    });
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&filled) {
        // Its words would repeat what stands there, which may be a secret.
        let message = format!("no JSON with its places filled: wrong at column {}", error.column());
        let expected =
            "expected JSON, with quotes round `{TOPIC}` and words, none round `{TOPICS}` and `{N}`";
        findings.add(place, message, expected);
    }
}

fn check_places(
    template: &MessageTemplate,
    purpose: &Purpose<'_>,
    place: &Place,
    findings: &mut Findings<'_>,
) {
    for other in template.places() {
        let is_known = match other {
            MessagePlace::Topic => purpose.carries != Carries::None,
            MessagePlace::Topics => purpose.carries == Carries::Topics,
            MessagePlace::Number
            | MessagePlace::Username
            | MessagePlace::Password
            | MessagePlace::Value
            | MessagePlace::Token(_) => purpose.words.contains(&other.name()),
        };
        if !is_known {
            let message = format!("`{{{}}}` stands for nothing here", other.name());
            findings.add(place, message, expected_places(purpose));
        }
    }
    let [one, several] = [&MessagePlace::Topic, &MessagePlace::Topics].map(|place| template.has(place));
    let needs_topic = match purpose.carries {
        Carries::Topics | Carries::OneOfTopics => !template.is_empty() && !one && !several,
        Carries::None => false,
    };
    if needs_topic {
        findings.add(place, "no place for a topic", expected_places(purpose));
    } else if one && several {
        findings.add(place, "one topic and several in one message", "expected `{TOPIC}` or `{TOPICS}`");
    }
}

fn expected_places(purpose: &Purpose<'_>) -> String {
    let topics: &[&str] = match purpose.carries {
        Carries::Topics => &["TOPIC", "TOPICS"],
        Carries::OneOfTopics => &["TOPIC"],
        Carries::None => &[],
    };
    let all: Vec<String> = topics.iter().chain(purpose.words).map(|word| format!("`{{{word}}}`")).collect();
    format!("expected {}", all.join(", "))
}

fn check_whens(whens: &Tables<When>, place: &Place, findings: &mut Findings<'_>) {
    for (n, when) in whens.iter().enumerate() {
        check_leads(&when.at, &nth(whens, place, n).child("at"), findings);
    }
}

fn check_answers(
    answers: &Tables<Answer>,
    asked: &MessageTemplate,
    place: &Place,
    findings: &mut Findings<'_>,
) {
    for (n, answer) in answers.iter().enumerate() {
        let place = nth(answers, place, n);
        check_leads(&answer.at, &place.clone().child("at"), findings);
        for (key, pointer) in [("topic", &answer.topic), ("number", &answer.number), ("why", &answer.why)] {
            if let Some(pointer) = pointer {
                check_names(pointer, &place.clone().child(key), findings);
            }
        }
        if answer.number.is_some() && !asked.has(&MessagePlace::Number) {
            findings.add(
                &place.clone().child("number"),
                "the number of a message that has none",
                "expected `{N}` in the message that is answered",
            );
        }
    }
}

/// Of a single table it is the key itself.
fn nth<T>(tables: &Tables<T>, place: &Place, n: usize) -> Place {
    if tables.0.len() == 1 { place.clone() } else { place.clone().index(n) }
}

/// Where something must be.
fn check_leads(pointer: &Pointer, place: &Place, findings: &mut Findings<'_>) {
    if pointer.steps().is_empty() {
        findings.add(place, "where to look was not said", "expected a JSON pointer such as \"/type\"");
    }
    check_names(pointer, place, findings);
}

/// Messages are searched once, by names and places alone.
fn check_names(pointer: &Pointer, place: &Place, findings: &mut Findings<'_>) {
    let finds = |step: &PointerStep| match step {
        PointerStep::Member(_) => false,
        PointerStep::Any | PointerStep::Having { .. } => true,
    };
    if pointer.steps().iter().any(finds) {
        findings.add(
            place,
            "a step that finds",
            "expected names and places in arrays alone, such as \"/a/0\"",
        );
    }
}
