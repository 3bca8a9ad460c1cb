//! Rows that a broker will not take, found by sending each alone.
//!
//! A broker that refuses one message of many does not say which. So once it did, the rows that are sent again go one at a time, until
//! the one that is refused alone is known, set aside, and all of a batch went through. Pure; for sinks whose broker judges messages.

use super::{Delivery, Row};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pace {
    #[default]
    Together,
    Alone,
}

/// Why rows were not all taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    /// How many of the first ones were.
    pub(super) settled: usize,
    pub(super) blame: Blame,
    pub(super) why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The connection or the broker: all may go another time.
    Broker,
    /// A message that it will never take.
    Message,
}

impl Pace {
    /// Sends rows, in parts that `send` settles or not.
    pub(super) fn deliver(
        &mut self,
        rows: &[Row],
        mut send: impl FnMut(&[Row]) -> Result<(), Stop>,
    ) -> Delivery {
        let part = match self {
            Pace::Together => rows.len(),
            Pace::Alone => 1,
        };
        let mut settled = 0;
        for part in rows.chunks(part.max(1)) {
            match send(part) {
                Ok(()) => settled += part.len(),
                Err(stop) => return self.stopped(settled, part.len(), stop),
            }
        }
        *self = Pace::Together;
        Delivery::all(rows)
    }

    /// After so many rows before the part, and of so many in it.
    fn stopped(&mut self, before: usize, sent: usize, stop: Stop) -> Delivery {
        let Stop { settled, blame, why } = stop;
        let settled = before + settled;
        match (blame, sent) {
            (Blame::Message, 1) => {
                let refused = vec![(settled, why.clone())];
                Delivery { settled: settled + 1, refused, failure: Some(why), mark: None }
            }
            (Blame::Message, _) => {
                *self = Pace::Alone;
                Delivery { settled, ..Delivery::failed(why) }
            }
            (Blame::Broker, _) => Delivery { settled, ..Delivery::failed(why) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::config::SinkLane;

    fn rows(seqs: &[i64]) -> Vec<Row> {
        let row = |seq: &i64| Row {
            seq: *seq,
            feed: "f".into(),
            id: "m".into(),
            kind: "goal".into(),
            lane: SinkLane::Priority,
            json: "{}".into(),
        };
        seqs.iter().map(row).collect()
    }

    fn stop(blame: Blame, settled: usize) -> Stop {
        Stop { settled, blame, why: "no".into() }
    }

    /// A broker that refuses row 3 and says so of the whole part.
    fn judge(part: &[Row], taken: &mut Vec<i64>) -> Result<(), Stop> {
        if part.iter().any(|row| row.seq == 3) {
            return Err(stop(Blame::Message, 0));
        }
        taken.extend(part.iter().map(|row| row.seq));
        Ok(())
    }

    #[test]
    fn the_message_that_is_refused_is_found_and_the_others_go_through() {
        let (mut pace, mut taken) = (Pace::default(), Vec::new());
        let all = rows(&[1, 2, 3, 4]);
        let first = pace.deliver(&all, |part| judge(part, &mut taken));
        assert_eq!((first.settled, first.refused.len(), pace), (0, 0, Pace::Alone));
        let second = pace.deliver(&all, |part| judge(part, &mut taken));
        assert_eq!((second.settled, second.refused), (3, vec![(2, "no".to_owned())]));
        assert!(second.failure.is_some(), "the connection is gone all the same");
        let third = pace.deliver(&all[3..], |part| judge(part, &mut taken));
        assert_eq!((third, pace), (Delivery::all(&all[3..]), Pace::Together));
        assert_eq!(taken, [1, 2, 4]);
    }

    #[test]
    fn what_is_not_the_messages_fault_refuses_none() {
        let mut pace = Pace::default();
        let all = rows(&[1, 2]);
        let delivery = pace.deliver(&all, |_| Err(stop(Blame::Broker, 1)));
        assert_eq!((delivery.settled, delivery.refused.len(), pace), (1, 0, Pace::Together));
        let delivery = pace.deliver(&all[..1], |_| Err(stop(Blame::Message, 0)));
        assert_eq!(
            (delivery.settled, delivery.refused.len()),
            (1, 1),
            "one that is alone needs no second try"
        );
    }
}
