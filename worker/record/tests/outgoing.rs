//! What leaves the recorder beside documents and events: the hour files, and what sinks send on.

use super::*;

#[test]
fn odds_stand_in_the_hour_files_and_go_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let mut coordinator = Coordinator::start(&config);
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    coordinator.switched("M1", 5);
    worker.odds_base("M1", 5, &[(("K", "S"), "5/4"), (("K", "T"), "1/2")]);
    worker.acknowledged();
    worker.price("M1", 5, ("K", "S"), "6/4");
    worker.price("M1", 5, ("K", "S"), "6/4");
    worker.price("M1", 5, ("K", "S"), "7/4");
    worker.acknowledged();
    let sent = worker.sent;
    let odds = coordinator.answer("odds", r#"{"match":"M1","market":"K"}"#);
    assert!(odds["result"].as_array().is_some_and(|rows| rows.len() >= 4), "{odds}");
    coordinator.stop();
    let mut coordinator = Coordinator::start(&config);
    let mut again = coordinator.worker(1, 1);
    assert_eq!(again.sent, sent, "what is committed is not sent again");
    again.base("M1", 6, 0);
    coordinator.switched("M1", 6);
    again.odds_base("M1", 6, &[(("K", "S"), "7/4"), (("K", "T"), "1/2")]);
    again.price("M1", 6, ("K", "S"), "8/4");
    again.acknowledged();
    coordinator.stop();
    let mut rows = Vec::new();
    let mut files: Vec<_> =
        std::fs::read_dir(folder.path().join("hours")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "db"));
    files.sort();
    for file in files {
        let store = Connection::open(file).unwrap();
        let mut statement = store
            .prepare("SELECT odds_text FROM history WHERE selection = 'S' AND type = 'odds_change' AND NOT recovered ORDER BY seq")
            .unwrap();
        let found = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.extend(found.map(Result::unwrap));
    }
    assert_eq!(rows, ["6/4", "7/4", "8/4"], "each change once");
}

#[test]
fn rows_go_to_a_sink_once_also_across_recorders_and_again_when_an_operator_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows");
    let mut config = config(&folder);
    config.streams.ndjson = rows.display().to_string();
    let written = |least: usize| {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&rows).unwrap_or_default();
            let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            let lines: Vec<(i64, String)> = lines
                .filter(|row| row["lane"] != "odds")
                .map(|row| (row["seq"].as_i64().unwrap(), row["type"].as_str().unwrap().to_owned()))
                .collect();
            if lines.len() >= least || Instant::now() > end {
                return lines;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let mut coordinator = Coordinator::start(&config);
    let mut worker = coordinator.worker(1, 1);
    worker.base("M1", 5, 0);
    worker.obs("M1", 5, 2);
    worker.acknowledged();
    coordinator.until(|message| match message {
        FromRecorder::Stats(stats) => stats.sinks.first().filter(|sink| sink.delivered >= 4).map(|_| ()),
        _ => None,
    });
    let store = coordinator.stop();
    let first = types_of(&store);
    assert!(first.len() >= 4, "{first:?}");
    assert_eq!(written(first.len()), first);
    let mut coordinator = Coordinator::start(&config);
    let mut worker = coordinator.worker(1, 2);
    worker.base("M1", 6, 3);
    coordinator.send(&ToRecorder::Switch { key: key("M1"), epoch: Epoch(6), owner: Owner::Dead });
    worker.acknowledged();
    let answer = coordinator.answer("sink", r#"{"action":"rewind","name":"ndjson","since":1}"#);
    assert_eq!(answer["ok"], true, "{answer}");
    for (args, said) in [
        (r#"{"action":"rewind","name":"kafka","since":1}"#, "no sink is called"),
        (r#"{"action":"rewind","name":"ndjson"}"#, "since"),
        (r#"{"action":"rewind","name":"ndjson","since":1,"lane":"x"}"#, "no lane"),
        (r#"{"action":"stop"}"#, "rewind"),
    ] {
        let answer = coordinator.answer("sink", args);
        assert!(answer["ok"] == false && answer["error"].as_str().unwrap().contains(said), "{answer}");
    }
    let store = coordinator.stop();
    let all = types_of(&store);
    assert!(all.len() > first.len());
    // Those of both recorders; then again from the second row on, wherever the first were by then.
    let lines = written(all.len() + first.len() - 1);
    assert_eq!(lines[..first.len()], first);
    assert!(lines.ends_with(&all[1..]), "{lines:?} {all:?}");
}
