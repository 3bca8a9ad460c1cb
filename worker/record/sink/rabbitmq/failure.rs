//! Why a broker does not have what it was sent.

use crate::wire::amqp::{AmqpError, Closing, Short};
use std::fmt;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is no connection, or it broke: why.
    Link(String),
    /// The broker ended it without a word, while this was awaited.
    Ended { step: &'static str },
    /// What it sent cannot be read.
    Amqp(AmqpError),
    /// An answer did not come in time.
    Silent { step: &'static str, patience: Duration },
    /// Not even a sign of life came.
    Dead { silence: Duration },
    /// It took messages and did not confirm them in time; and why, if it said so.
    Unconfirmed { count: usize, patience: Duration, blocked: Option<Short> },
    /// It could not keep a message.
    Nacked,
    /// It wants another way to log in.
    Mechanisms { offered: String },
    /// It takes frames of so many bytes at most, which is too little.
    Frame { bytes: u32 },
    /// It closed the connection.
    Connection(Closing),
    /// It closed the channel.
    Channel(Closing),
    /// It answered what was not asked.
    Unexpected { class: u16, method: u16 },
    /// It confirmed what was not sent.
    Tag { tag: u64 },
}

/// Class and number of the method that publishes.
const PUBLISH: (u16, u16) = (60, 40);
const CONTENT_TOO_LARGE: u16 = 311;
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

impl Failure {
    /// Whether it is a message that the broker will not take, however often it is sent.
    pub(super) fn is_of_message(&self) -> bool {
        match self {
            Failure::Channel(closing) => {
                closing.code == CONTENT_TOO_LARGE
                    || (closing.code == PRECONDITION_FAILED && closing.method == PUBLISH)
            }
            Failure::Link(_)
            | Failure::Ended { .. }
            | Failure::Amqp(_)
            | Failure::Silent { .. }
            | Failure::Dead { .. }
            | Failure::Unconfirmed { .. }
            | Failure::Nacked
            | Failure::Mechanisms { .. }
            | Failure::Frame { .. }
            | Failure::Connection(_)
            | Failure::Unexpected { .. }
            | Failure::Tag { .. } => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Link(why) => f.write_str(why),
            Failure::Ended { step } => write!(f, "the broker ended the connection while {step} was awaited"),
            Failure::Amqp(error) => error.fmt(f),
            Failure::Silent { step, patience } => write!(f, "{step} did not come within {patience:?}"),
            Failure::Dead { silence } => {
                write!(f, "nothing came from the broker for {} s, not even a heartbeat", silence.as_secs())
            }
            Failure::Unconfirmed { count, blocked: Some(reason), .. } => write!(
                f,
                "the broker takes no messages for now ({reason}), {count} wait; it may lack memory or disk"
            ),
            Failure::Unconfirmed { count, patience, blocked: None } => {
                write!(f, "the broker did not confirm {count} messages within {patience:?}")
            }
            Failure::Nacked => f.write_str("the broker could not keep a message (nack); its log says why"),
            Failure::Mechanisms { offered } => {
                write!(
                    f,
                    "the broker offers the logins '{offered}', and PLAIN is not among them; enable it there"
                )
            }
            Failure::Frame { bytes } => {
                write!(
                    f,
                    "the broker takes frames of {bytes} bytes at most; raise its frame_max to 4096 or more"
                )
            }
            Failure::Connection(closing) => {
                closed(f, "connection", closing)?;
                f.write_str(match closing.code {
                    ACCESS_REFUSED => "; check user and password",
                    NOT_ALLOWED => "; check that the virtual host is there and the user may use it",
                    _ => "",
                })
            }
            Failure::Channel(closing) => {
                closed(f, "channel", closing)?;
                f.write_str(match closing.code {
                    ACCESS_REFUSED => "; give the user the right to write to the exchange, and to configure it or declare it yourself",
                    NOT_FOUND => "; declare the exchange, of type topic, or let the recorder do it",
                    PRECONDITION_FAILED if closing.method != PUBLISH => {
                        "; the exchange is there and is another than a durable one of type topic: name another, or delete it"
                    }
                    _ => "",
                })
            }
            Failure::Unexpected { class, method } => {
                write!(f, "the broker answered with method {class}.{method}, which nothing asked for")
            }
            Failure::Tag { tag } => write!(f, "the broker confirmed message {tag}, which was never sent"),
        }
    }
}

fn closed(f: &mut fmt::Formatter<'_>, what: &str, closing: &Closing) -> fmt::Result {
    write!(f, "the broker closed the {what}: {} {}", closing.code, closing.text)
}
