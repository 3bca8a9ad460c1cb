//! Verbs that act or wait: what they say, and the codes that they exit with.

use super::*;

#[test]
fn health_ping_and_acting_verbs() {
    let ran = Daemon::ok(&[json!({"healthy": true, "reasons": []})]).run(&["health"]);
    assert_eq!((ran.code, ran.out.as_str()), (Code::Done, "healthy\n"));
    let ran = Daemon::ok(&[json!({"healthy": false, "reasons": ["a waits", "b is down"]})]).run(&["health"]);
    assert_eq!((ran.code, ran.out.as_str()), (Code::Failed, "a waits\nb is down\n"));
    assert!(Daemon::ok(&[json!("pong")]).run(&["ping"]).out.starts_with("pong in "));
    let daemon = Daemon::ok(&[Value::Null]);
    assert_eq!(daemon.run(&["log", "level", "debug"]).out, "done\n");
    assert_eq!(daemon.asked(), [json!({"verb": "log", "args": {"action": "level", "filter": "debug"}})]);
    let daemon = Daemon::ok(&[json!("sink redis goes on after 7 in the match stream")]);
    let ran = daemon.run(&["sink", "rewind", "redis", "--since", "7"]);
    assert_eq!(ran.out, "sink redis goes on after 7 in the match stream\n");
    let args = json!({"action": "rewind", "name": "redis", "since": 7});
    assert_eq!(daemon.asked(), [json!({"verb": "sink", "args": args})]);
    let daemon = Daemon::answering(vec![
        "{\"ok\":false,\"code\":1,\"error\":\"two feeds have 7: a, b\"}\n".to_owned(),
    ]);
    let ran = daemon.run(&["resync", "7"]);
    assert_eq!((ran.code, ran.err.as_str()), (Code::Failed, "touchline: two feeds have 7: a, b\n"));
    let refused = "{\"ok\":false,\"code\":5,\"error\":\"uid 7 may not operate\"}\n".to_owned();
    assert_eq!(Daemon::answering(vec![refused; 2]).run(&["stop"]).code, Code::Refused);
}

#[test]
fn waiting_for_ready_names_what_is_missing() {
    let daemon = Daemon::ok(&[status("starting"), status("starting"), status("ready")]);
    let ran = daemon.run(&["wait-ready", "--timeout", "10s"]);
    assert_eq!((ran.code, ran.out.as_str()), (Code::Done, "ready\n"));
    let health = json!({"healthy": false, "reasons": ["feed inplay: no list"]});
    let ran = Daemon::ok(&[status("degraded"), health]).run(&["wait-ready"]);
    assert_eq!((ran.code, ran.err.as_str()), (Code::Partial, "touchline: degraded: feed inplay: no list\n"));
    let ran = Daemon::ok(&vec![status("starting"); 100]).run(&["wait-ready", "--timeout", "200ms"]);
    assert_eq!(ran.code, Code::Partial);
    let missing =
        "not ready after 200ms: feed inplay degraded (2 matches waiting for capacity); 2 matches waiting";
    assert!(ran.err.contains(missing), "{}", ran.err);
    let ran = touchline(&["wait-ready", "--timeout", "60ms", "--socket", "/nowhere"]);
    assert_eq!(ran.code, Code::NotRunning);
}

#[test]
fn stopping_waits_until_the_daemon_is_gone() {
    // Status, the request, a look while it drains; then the socket is gone, and no process has this pid.
    let daemon = Daemon::ok(&[status("ready"), Value::Null, status("draining")]);
    let ran = daemon.run(&["stop", "--now"]);
    assert_eq!((ran.code, ran.out.as_str()), (Code::Done, "stopped\n"), "{}", ran.err);
    assert_eq!(daemon.asked()[1], json!({"verb": "stop", "args": {"now": true}}));
    let ran = Daemon::ok(&vec![status("draining"); 200]).run(&["stop", "--timeout", "100ms"]);
    assert_eq!(ran.code, Code::Partial);
    assert!(ran.err.contains("pid 4000000001"), "{}", ran.err);
}

#[test]
fn a_closed_pipe_is_success_and_a_full_disk_is_not() {
    struct Broken(std::io::ErrorKind);
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for args in [&["man"][..], &["--help"], &["completions", "zsh"]] {
        let args = || ["touchline"].iter().chain(args).map(OsString::from);
        let run = |kind| main_with(args(), &Asked::default(), &mut Broken(kind), &mut Vec::new());
        assert_eq!(run(std::io::ErrorKind::BrokenPipe), Code::Done);
        assert_eq!(run(std::io::ErrorKind::StorageFull), Code::Failed);
    }
}
