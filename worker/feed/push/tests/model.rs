//! Against a server whose every state is known: whatever is lost, repeated or late, each document that is given is one of these.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Document = BTreeMap<String, u64>;

#[derive(Clone, Copy, Debug)]
enum Way {
    Once,
    Twice,
    Never,
    /// Behind the next one.
    Late,
}

/// The server, and the client's document as the events make it.
struct World {
    bench: Bench,
    /// By number.
    history: Vec<Document>,
    late: Vec<String>,
    held: Option<Document>,
}

impl World {
    fn change(&mut self, key: u8, way: Way) {
        let number = self.history.len() as u64;
        let mut now = self.history.last().cloned().unwrap_or_default();
        let member = format!("k{key}");
        now.insert(member.clone(), number);
        now.insert("n".to_owned(), number);
        self.history.push(now);
        let message = format!(r#"{{"t":"a","n":{number},"d":{{"n":{number},"{member}":{number}}}}}"#);
        let late = std::mem::take(&mut self.late);
        match way {
            Way::Once => self.bench.take(&message),
            Way::Twice => {
                self.bench.take(&message);
                self.bench.take(&message);
            }
            Way::Never => {}
            Way::Late => self.late.push(message),
        }
        late.iter().for_each(|message| self.bench.take(message));
    }

    /// The server answers each subscription with its state.
    fn answer(&mut self) {
        for sent in self.bench.sent() {
            if sent.starts_with(r#"{"sub""#) {
                let number = self.history.len() - 1;
                let body = serde_json::to_string(self.history.last().unwrap()).unwrap();
                self.bench.take(&format!(r#"{{"t":"a","k":"s","n":{number},"d":{body}}}"#));
            }
        }
    }

    /// Each document that is given is a state of the server.
    fn check(&mut self) {
        for line in self.bench.seen() {
            let mut words = line.splitn(3, ' ');
            let (what, body) = (words.next().unwrap(), words.nth(1).unwrap_or_default());
            match what {
                "snapshot" => self.held = Some(serde_json::from_str(body).unwrap()),
                "delta" => {
                    let delta: Document = serde_json::from_str(body).unwrap();
                    self.held.as_mut().unwrap().extend(delta);
                }
                "interrupted" => self.held = None,
                "opened" => continue,
                other => panic!("{other}"),
            }
            if let Some(held) = &self.held {
                let number = usize::try_from(held["n"]).unwrap();
                assert_eq!(*held, self.history[number]);
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_given_is_a_state_of_the_server_and_in_the_end_its_last(
        changes in prop::collection::vec(
            (0..4_u8, prop_oneof![4 => Just(Way::Once), 1 => Just(Way::Twice), 1 => Just(Way::Never), 1 => Just(Way::Late)], 0..3_u64),
            1..60,
        ),
    ) {
        let bench = Bench::new(&format!("{SNAPSHOTS}sequence = {{ at = \"/n\" }}\n"), &["a"]);
        let start = Document::from([("n".to_owned(), 0)]);
        let mut world = World { bench, history: vec![start], late: Vec::new(), held: None };
        for (key, way, pause) in changes {
            world.change(key, way);
            if pause == 0 {
                world.answer();
            }
            world.bench.after_time(Duration::from_millis(pause * 400));
            world.check();
        }
        world.change(0, Way::Once);
        // What is missing shows now, and is asked for within the longest wait.
        for _ in 0..4 {
            world.bench.session.take(b"{\"t\":\"a\",\"n\":0,\"d\":0}", Form::Text, world.bench.now);
            world.bench.drain();
            world.answer();
            world.bench.after_time(Duration::from_secs(31));
            world.answer();
            world.check();
        }
        prop_assert_eq!(world.held.as_ref(), world.history.last());
    }
}
