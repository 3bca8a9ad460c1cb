//! What a feed's settings make of its connection.

use super::*;

fn planned(text: &str) -> Result<Plan, String> {
    let config = Config::parse(&format!("[[feed]]\n{text}\n"), "test").unwrap();
    Plan::new(&config, &config.feed[0]).map_err(|error| error.to_string())
}

#[test]
fn the_scheme_says_what_stands_between_the_session_and_the_socket() {
    let plain = planned("url = \"dpt://h:1\"").unwrap();
    assert!(plain.tls.is_none() && plain.tunnel.is_none());
    assert_eq!(plain.session.ping_interval, SessionConfig::default().ping_interval);
    let secure = planned("url = \"dpts://h:1\"\ninsecure = true").unwrap();
    assert!(secure.tls.is_some() && secure.tunnel.is_none());
    let web = planned("url = \"ws://[::1]:1/x\"\nheaders = { Cookie = \"a=b\" }").unwrap();
    let tunnel = web.tunnel.unwrap();
    assert!(web.tls.is_none());
    assert_eq!((tunnel.form, tunnel.host.as_str(), tunnel.path.as_str()), (Form::V4, "[::1]:1", "/x"));
    assert_eq!(tunnel.headers, [("Cookie".to_owned(), "a=b".to_owned())]);
    assert_eq!(tunnel.limits, websocket::Limits::default(), "those of the configuration");
}

#[test]
fn the_text_form_pings_nobody_and_waits_longer() {
    let text = "url = \"wss://127.0.0.1:1\"\ninsecure = true\nprotocol = \"zap\"\nlogin_topics = [\"__time\", \"S_1\"]";
    let plan = planned(text).unwrap();
    assert!(plan.tls.is_some());
    assert_eq!(plan.tunnel.unwrap().form, Form::Zap);
    assert_eq!(plan.session.login_topics, ["__time", "S_1"]);
    assert_eq!((plan.session.ping_interval, plan.session.idle_limit), (None, ZAP_IDLE_LIMIT));
}

#[test]
fn a_file_of_authorities_that_cannot_be_read_names_the_feed() {
    let error = planned("url = \"dpts://h:1\"\nca_file = \"/nowhere/ca.pem\"").unwrap_err();
    assert!(error.contains("ca_file /nowhere/ca.pem: ") && error.ends_with("(feed inplay)"), "{error}");
}
