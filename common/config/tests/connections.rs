//! Where matches come from and where events go: what each transport and each sink takes.

use super::*;

#[test]
fn sinks_are_told_what_they_cannot_do() {
    for (text, message) in [
        ("redis = \"127.0.0.1:6379\"", "bad scheme"),
        ("redis = \"redis://bob@h:1\"", "a login in the address"),
        ("redis = \"redis://h:0\"", "bad port"),
        ("redis = \"redis://:1\"", "bad host"),
        ("redis = \"redis://h:1/x\"", "bad database"),
        ("prefix = \"\"", "no usable prefix"),
        ("maxlen = 0", "`maxlen` is 0, so nothing would stay"),
        ("retry_max = \"0s\"", "no time at all"),
        ("redis_options = { lanes = [] }", "no lanes, so nothing would be sent"),
        ("redis_options = { batch = 0 }", "`batch` is 0"),
        ("redis_options = { timeout = \"0s\" }", "no time at all"),
        (
            "redis = \"redis://h:1\"\nredis_options = { ca_file = \"f\" }",
            "`ca_file` is for TLS, which this `redis` is without",
        ),
        ("ndjson_options = { batch = 20000 }", "`batch` is 20000"),
    ] {
        assert_eq!(messages(&format!("[streams]\n{text}\n")), [message], "{text}");
    }
    for redis in ["redis://h", "redis://h/3", "redis://[::1]", "redis://[::1]:1/0", "rediss://h.example:1"] {
        let config = Config::parse(&format!("[streams]\nredis = \"{redis}\"\n"), FILE);
        assert!(config.is_ok(), "{redis}: {config:?}");
    }
    let lanes = "[streams.ndjson_options]\nlanes = [\"priority\", \"chat\"]\n";
    let config = Config::parse(lanes, FILE).unwrap();
    assert_eq!(config.streams.ndjson_options.lanes, [SinkLane::Priority, SinkLane::Chat]);
    assert_eq!(Config::parse(&config.to_toml(), FILE).unwrap(), config);
}

#[test]
fn each_transport_takes_what_belongs_to_it() {
    for (text, message) in [
        ("protocol = \"zap\"", "\"zap\" is spoken over a WebSocket, not over dpt"),
        ("url = \"dpts://h:1\"\nprotocol = \"zap\"", "\"zap\" is spoken over a WebSocket, not over dpts"),
        ("ca_file = \"f\"", "`ca_file` is for TLS, which dpt:// is without"),
        ("url = \"ws://h:1\"\ninsecure = true", "`insecure` is for TLS, which ws:// is without"),
        (
            "url = \"wss://h:1\"\ninsecure = true\nca_file = \"f\"",
            "any certificate is taken, so `ca_file` would mean nothing",
        ),
        ("headers = { A = \"b\" }", "headers are for a WebSocket, dpt:// has none"),
        ("url = \"ws://h:1\"\nheaders = { \"A B\" = \"b\" }", "bad name of a header"),
        ("url = \"ws://h:1\"\nheaders = { hOst = \"b\" }", "the request has its own `hOst`"),
        (
            "url = \"ws://h:1\"\nheaders = { Sec-WebSocket-Key = \"b\" }",
            "the request has its own `Sec-WebSocket-Key`",
        ),
        ("url = \"ws://h:1\"\nheaders = { A = \"b\\r\\nC: d\" }", "a control character in the value of `A`"),
        (
            "url = \"ws://h:1\"\nheaders = { Cookie = \"<redacted>\" }",
            "the value of `Cookie` is what is printed in place of a secret",
        ),
        ("login_topics = [\"a\\u0001\"]", "a control character in it"),
        ("login_topics = [\"\"]", "an empty topic"),
    ] {
        assert_eq!(messages(&format!("[[feed]]\n{text}\n")), [message], "{text}");
    }
    for text in [
        "url = \"dpts://h:1\"\nca_file = \"f\"",
        "url = \"wss://h:1/x?y=z\"\ninsecure = true",
        "url = \"wss://h:1\"\nprotocol = \"zap\"\nlogin_topics = [\"__time\", \"S_1\"]\nheaders = { Cookie = \"a=b\" }",
    ] {
        assert!(Config::parse(&format!("[[feed]]\n{text}\n"), FILE).is_ok(), "{text}");
    }
}
