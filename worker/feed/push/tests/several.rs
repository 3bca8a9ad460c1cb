//! Several messages in one, and several requests of one resumption.

use super::{Bench, SNAPSHOTS};

#[test]
fn an_array_is_as_many_messages() {
    let more = format!("{SNAPSHOTS}refused = {{ at = \"/err\", topic = \"/t\", why = \"/err\" }}\n");
    let mut bench = Bench::new(&more, &["a", "b"]);
    bench.seen();
    bench.take(r#" [ {"t":"a","k":"s","d":[1]},{"t":"b","err":"no"} , {"t":"a","d":{"x":2}}]"#);
    assert_eq!(bench.seen(), ["snapshot a [1]", "status b no", r#"delta a {"x":2}"#]);
    bench.take(r#"[{"t":"a","d":3},{"t":"c","d":4},5,{"t":"a","d":6}]"#);
    let seen = bench.seen();
    assert_eq!((seen.len(), seen[0].as_str(), seen[3].as_str()), (4, "delta a 3", "delta a 6"), "{seen:?}");
    assert!(seen[1].starts_with("skipped ") && seen[2].starts_with("skipped "), "{seen:?}");
    bench.take(r#"[{"t":"a","d":7},"#);
    assert!(bench.seen()[0].starts_with("skipped "));
}

#[test]
fn every_request_of_a_resumption_shows_the_token_of_the_connection_before() {
    let more = format!(
        "{SNAPSHOTS}batch = 1\nsubscribes_per_s = 1.0\n\
         resume = {{ tokens = {{ CLK = \"/clk\" }}, of = \"message\", subscribe = '{{\"sub\":{{TOPICS}},\"clk\":\"{{CLK}}\"}}' }}\n"
    );
    let mut bench = Bench::new(&more, &["a", "b"]);
    bench.after_time(std::time::Duration::from_secs(2));
    bench.take(r#"{"t":"a","k":"s","clk":"T1","d":1}"#);
    bench.take(r#"{"t":"b","k":"s","clk":"T2","d":1}"#);
    let mut bench = Bench::after(bench.session.into_resume_state(), &more, &["a", "b"]);
    assert_eq!(bench.sent(), [r#"{"sub":["a"],"clk":"T2"}"#]);
    bench.take(r#"{"t":"a","clk":"T3","d":2}"#);
    bench.after_time(std::time::Duration::from_secs(2));
    assert_eq!(bench.sent(), [r#"{"sub":["b"],"clk":"T2"}"#], "what came since, b has not got");
}

#[test]
fn of_a_topic_that_went_on_something_must_come_before_it_goes_on_again() {
    let more = format!(
        "{SNAPSHOTS}resume = {{ tokens = {{ CLK = \"/clk\" }}, of = \"message\", subscribe = '{{\"sub\":{{TOPICS}},\"clk\":\"{{CLK}}\"}}' }}\n"
    );
    let mut bench = Bench::new(&more, &["a", "b"]);
    bench.take(r#"{"t":"a","k":"s","clk":"T1","d":1}"#);
    bench.take(r#"{"t":"b","k":"s","clk":"T2","d":1}"#);
    let mut bench = Bench::after(bench.session.into_resume_state(), &more, &["a", "b"]);
    assert_eq!(bench.sent(), [r#"{"sub":["a","b"],"clk":"T2"}"#]);
    bench.take(r#"{"t":"a","clk":"T3","d":2}"#);
    let mut bench = Bench::after(bench.session.into_resume_state(), &more, &["a", "b"]);
    let fresh = r#"{"sub":["b"],"id":2}"#;
    assert_eq!(bench.sent(), [r#"{"sub":["a"],"clk":"T3"}"#, fresh], "what came for b up to T3 never came");
}
