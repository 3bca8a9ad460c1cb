//! TLS and the login as librdkafka takes them, and what it says when they fail in words that name our settings.
//!
//! Certificates are always checked, and that they are for the host; without `ca_file` OpenSSL's own authorities are trusted, which are
//! the system's. Called by the sink, and for each line that the library logs of a failure.

use rdkafka::config::ClientConfig;
use touchline_common::config::KafkaOptions;

pub(super) fn secure(config: &mut ClientConfig, options: &KafkaOptions) {
    let has_login = !options.username.is_empty();
    config.set(
        "security.protocol",
        match (options.tls, has_login) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        },
    );
    if has_login {
        config
            .set("sasl.mechanism", options.mechanism.as_str())
            .set("sasl.username", options.username.as_str())
            .set("sasl.password", options.password.expose());
    }
    if options.tls {
        config
            .set("enable.ssl.certificate.verification", "true")
            .set("ssl.endpoint.identification.algorithm", "https");
        if !options.ca_file.is_empty() {
            config.set("ssl.ca.location", options.ca_file.as_str());
        }
    }
}

/// What the library says of a connection that failed; it begins with the broker's address.
pub(super) fn explain(said: &str) -> String {
    let broker = said.split(": ").next().unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
    if says(&["certificate verify failed"]) {
        format!(
            "{broker}: the certificate is not trusted or not for this host; if it is right, name its authority's certificate in `ca_file` of [streams.kafka_options]"
        )
    } else if says(&["SASL authentication ", "mechanism handshake failed"]) {
        format!("{said}; check `username`, `mechanism` and the password that [streams.kafka_options] names")
    } else if says(&["in state APIVERSION_QUERY"]) && says(&["Disconnected", "Invalid response size"]) {
        format!(
            "{broker}: the broker ends the connection; if it wants TLS, set `tls` in [streams.kafka_options]"
        )
    } else if says(&["connecting to a PLAINTEXT broker listener?"]) {
        format!(
            "{broker}: the broker ends the connection; if it is without TLS, leave `tls` out of [streams.kafka_options]"
        )
    } else {
        said.to_owned()
    }
}
