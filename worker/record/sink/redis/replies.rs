//! What the server's answers mean, and what an operator is to do about them. Pure.

use super::keys::Id;
use ::redis::Value;

/// What became of one row of a transaction that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored,
    /// Its id is not above the stream's last: the stream has it, unless another writes there.
    NotNewer,
    Refused(String),
}

/// The outcomes of a transaction of so many rows, from the replies to what opens it, to each row, and to what ends it.
///
/// # Errors
/// Why the server carried none of it out.
pub(super) fn transaction(replies: &[Value], rows: usize) -> Result<Vec<Outcome>, String> {
    let Some(Value::Array(results)) = replies.last().filter(|_| replies.len() == rows + 2) else {
        // What is wrong with a row is said where it was queued; the last reply says only that it was all in vain.
        return Err(first_error(replies).unwrap_or_else(|| "the server carried nothing out".to_owned()));
    };
    if results.len() != rows {
        return Err(format!("the server answered {} of {rows} rows", results.len()));
    }
    Ok(results.iter().map(outcome).collect())
}

fn outcome(result: &Value) -> Outcome {
    match error_of(result) {
        None => Outcome::Stored,
        Some((_, detail)) if detail.is_some_and(|text| text.contains("equal or smaller")) => {
            Outcome::NotNewer
        }
        Some((code, detail)) => Outcome::Refused(explain(code, detail)),
    }
}

/// The last id of a stream, from its description (`XINFO STREAM`); of one that is not there or never had an entry there is none.
///
/// # Errors
/// Why the server does not say.
#[allow(clippy::wildcard_enum_match_arm, reason = "the library's enum, which grows")]
pub(super) fn last_id(reply: &Value) -> Result<Option<Id>, String> {
    if let Some((code, detail)) = error_of(reply) {
        let is_absent = detail.is_some_and(|text| text.contains("no such key"));
        return if is_absent { Ok(None) } else { Err(explain(code, detail)) };
    }
    let of = |name: &Value, value: &Value| is_text(name, b"last-generated-id").then(|| text(value)).flatten();
    let found = match reply {
        Value::Array(parts) => parts
            .chunks_exact(2)
            .find_map(|pair| if let [name, value] = pair { of(name, value) } else { None }),
        Value::Map(pairs) => pairs.iter().find_map(|(name, value)| of(name, value)),
        _ => return Err("the server describes a stream in a way that is not understood".to_owned()),
    };
    Ok(found.and_then(|id| Id::parse(&id)).filter(|id| id.seq > 0))
}

pub(super) fn first_error(replies: &[Value]) -> Option<String> {
    replies.iter().find_map(error_of).map(|(code, detail)| explain(code, detail))
}

fn error_of(reply: &Value) -> Option<(&str, Option<&str>)> {
    if let Value::ServerError(error) = reply { Some((error.code(), error.details())) } else { None }
}

fn is_text(value: &Value, expected: &[u8]) -> bool {
    text(value).is_some_and(|found| found == expected)
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the library's enum, which grows")]
fn text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes.clone()),
        Value::SimpleString(text) => Some(text.clone().into_bytes()),
        _ => None,
    }
}

/// An error of the server in words, with what to do about it.
pub(super) fn explain(code: &str, detail: Option<&str>) -> String {
    let detail = detail.unwrap_or_default();
    let advice = match code {
        "OOM" => "the server is out of memory: raise its maxmemory, or lower `maxlen`",
        "READONLY" => "the server is a replica: name its primary in `redis`",
        "LOADING" => "the server still loads its data",
        "MASTERDOWN" => "the server is a replica that lost its primary: name that in `redis`",
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" | "TRYAGAIN" => {
            "the server is part of a cluster, which is not supported: name one that stands alone in `redis`"
        }
        "NOAUTH" | "WRONGPASS" => {
            "the server wants another login: set `username` and `password_env` or `password_file` in [streams.redis_options]"
        }
        "NOPERM" => {
            "the login may not do that: let it use XADD, XINFO, HSET, PERSIST, PEXPIRE, DEL, MULTI and EXEC"
        }
        "WRONGTYPE" => "a key has another type: set another `prefix`",
        "MISCONF" => "the server cannot save its data: see its log",
        "NOREPLICAS" => "the server lacks replicas",
        _ => "the server refused",
    };
    if detail.is_empty() { format!("{advice} ({code})") } else { format!("{advice} ({code} {detail})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::redis::parse_redis_value;

    fn value(bytes: &str) -> Value {
        parse_redis_value(bytes.as_bytes()).unwrap()
    }

    fn replies(parts: &[&str]) -> Vec<Value> {
        parts.iter().map(|part| value(part)).collect()
    }

    #[test]
    fn each_row_of_a_transaction_has_its_outcome() {
        let stale = "-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n";
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
        let end = format!("*3\r\n$3\r\n1-1\r\n{stale}{wrong}");
        let queued = "+QUEUED\r\n";
        let outcomes = transaction(&replies(&["+OK\r\n", queued, queued, queued, &end]), 3).unwrap();
        assert_eq!(outcomes[..2], [Outcome::Stored, Outcome::NotNewer]);
        assert!(matches!(&outcomes[2], Outcome::Refused(why) if why.contains("another `prefix`")));
    }

    #[test]
    fn a_transaction_that_was_not_carried_out_says_why() {
        let abort = "-EXECABORT Transaction discarded because of previous errors.\r\n";
        for (error, said) in [
            ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", "out of memory"),
            ("-READONLY You can't write against a read only replica.\r\n", "a replica"),
            ("-LOADING Redis is loading the dataset in memory\r\n", "still loads"),
            ("-MOVED 3999 127.0.0.1:6381\r\n", "part of a cluster"),
            ("-MISCONF Redis is configured to save RDB snapshots\r\n", "cannot save"),
        ] {
            let why = transaction(&replies(&["+OK\r\n", error, "+QUEUED\r\n", abort]), 2).unwrap_err();
            assert!(why.contains(said), "{why}");
        }
        assert!(transaction(&replies(&["+OK\r\n", "+QUEUED\r\n", "*-1\r\n"]), 1).is_err());
        assert!(transaction(&replies(&["+OK\r\n", "+QUEUED\r\n", "*0\r\n"]), 1).is_err());
        assert!(transaction(&[], 1).is_err());
    }

    #[test]
    fn a_streams_last_id_is_found_in_its_description() {
        let array = "*4\r\n$6\r\nlength\r\n:1\r\n$17\r\nlast-generated-id\r\n$4\r\n7-42\r\n";
        assert_eq!(last_id(&value(array)), Ok(Some(Id { token: 7, seq: 42 })));
        let map = "%2\r\n$6\r\nlength\r\n:1\r\n$17\r\nlast-generated-id\r\n$4\r\n7-42\r\n";
        assert_eq!(last_id(&value(map)), Ok(Some(Id { token: 7, seq: 42 })));
        assert_eq!(last_id(&value("-ERR no such key\r\n")), Ok(None));
        let empty = "*2\r\n$17\r\nlast-generated-id\r\n$3\r\n0-0\r\n";
        assert_eq!(last_id(&value(empty)), Ok(None));
        assert!(last_id(&value("-NOPERM no\r\n")).is_err());
        assert!(last_id(&value(":1\r\n")).is_err());
    }
}
