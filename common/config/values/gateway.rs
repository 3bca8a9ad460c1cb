//! `[gateway]`: where it listens, whom it trusts.

use super::streams::redis_address;
use super::{check_plain, printable};
use crate::config::check::Findings;
use crate::config::locate::Place;
use crate::config::network::Network;
use crate::config::sections::GatewayConfig;
use std::net::SocketAddr;

pub(super) fn check(gateway: &GatewayConfig, findings: &mut Findings<'_>) {
    let at = |key: &str| Place::key("gateway", key);
    if !gateway.listen.is_empty() && gateway.listen.parse::<SocketAddr>().is_err() {
        let message = format!("`{}` is no address to listen at", printable(&gateway.listen));
        findings.add(&at("listen"), message, "expected an IP address and a port, such as \"127.0.0.1:8090\"");
    }
    if !gateway.pub_listen.is_empty() {
        check_publishing(gateway, findings);
    }
    check_plain(&gateway.pub_secret_file, &at("pub_secret_file"), findings);
    check_plain(&gateway.read_token_file, &at("read_token_file"), findings);
    check_plain(&gateway.redis_password_file, &at("redis_password_file"), findings);
    if let Err((message, expected)) =
        redis_address(&gateway.redis, "expected the password in the file `redis_password_file`")
    {
        findings.add(&at("redis"), message.to_owned(), expected);
    }
    for (index, proxy) in gateway.trusted_proxies.iter().enumerate() {
        if let Err(error) = proxy.parse::<Network>() {
            let place = at("trusted_proxies").index(index);
            let expected = "expected an address or a network, such as \"10.0.0.0/8\"";
            findings.add(&place, format!("`{}` is {error}", printable(proxy)), expected);
        }
    }
    for (index, origin) in gateway.origins.iter().enumerate() {
        if !is_origin(origin) {
            let place = at("origins").index(index);
            let message = format!("`{}` is no origin", printable(origin));
            findings.add(&place, message, "expected one such as \"https://example.org\", or \"*\" for any");
        }
    }
}

fn check_publishing(gateway: &GatewayConfig, findings: &mut Findings<'_>) {
    let at = Place::key("gateway", "pub_listen");
    if gateway.pub_listen.parse::<SocketAddr>().is_err() {
        let message = format!("`{}` is no address to listen at", printable(&gateway.pub_listen));
        findings.add(&at, message, "expected an IP address and a port, such as \"127.0.0.1:8091\"");
    }
    if gateway.listen.is_empty() {
        findings.add(
            &at,
            "nobody hears what is published: `listen` is empty".to_owned(),
            "expected `listen`, too",
        );
    }
    if gateway.pub_secret_file.is_empty() {
        let message = "anybody could publish: `pub_secret_file` is empty".to_owned();
        findings.add(&at, message, "expected a file with the publishers' secret in `pub_secret_file`");
    }
}

/// Scheme, host and port as browsers send them: without a path.
fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let host = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    host.is_some_and(|host| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::is_origin;

    #[test]
    fn an_origin_has_no_path() {
        for good in ["*", "https://example.org", "http://127.0.0.1:8090", "http://[::1]:80"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["", "example.org", "https://", "https://example.org/", "ftp://a", "https://a b"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
