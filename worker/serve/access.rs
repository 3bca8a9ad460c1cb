//! Who may connect, ask and read: the token, origins, and how many connections an address may have. Pure.

use super::engine_io;
use super::http::{Answer, Request, Route, Status};
use hashbrown::HashMap;
use std::net::IpAddr;
use touchline_common::config::{GatewayConfig, Network, Secret};

/// Connections of one address at a time. Those of this machine are not counted: they are our own, or a proxy's.
const PER_ADDRESS: u32 = 512;

/// Whether who opens a session has shown the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Given,
    /// It may come in the first message.
    Needed,
}

#[derive(Debug)]
pub(super) struct Access {
    token: Option<Secret>,
    /// Of publishers.
    secret: Option<Secret>,
    /// Whose pages may read, beside our own; `*`: anybody's.
    origins: Vec<String>,
    proxies: Vec<Network>,
    addresses: HashMap<IpAddr, u32>,
    /// Sessions of each.
    sessions: HashMap<IpAddr, u32>,
}

impl Access {
    /// # Errors
    /// A token's file that cannot be read.
    pub(super) fn new(config: &GatewayConfig) -> Result<Access, String> {
        Ok(Access {
            token: config.read_token()?,
            secret: config.pub_secret()?,
            origins: config.origins.clone(),
            // They were checked with the rest of the configuration.
            proxies: config.trusted_proxies.iter().filter_map(|text| text.parse().ok()).collect(),
            addresses: HashMap::new(),
            sessions: HashMap::new(),
        })
    }

    /// Counts one more connection of an address; whether it may have it.
    pub(super) fn enter(&mut self, address: IpAddr) -> bool {
        enter(&mut self.addresses, address)
    }

    /// The same for sessions, which outlive the connections of their requests.
    pub(super) fn enter_session(&mut self, address: IpAddr) -> bool {
        enter(&mut self.sessions, address)
    }

    pub(super) fn leave_session(&mut self, address: IpAddr) {
        leave(&mut self.sessions, address);
    }

    pub(super) fn leave(&mut self, address: IpAddr) {
        leave(&mut self.addresses, address);
    }

    /// Whether a peer speaks for others, so that its own connections are not counted.
    pub(super) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|proxy| proxy.contains(peer))
    }

    /// Whose request it is: what trusted proxies say, as far as one follows the other.
    pub(super) fn client_of(&self, peer: IpAddr, request: &Request) -> IpAddr {
        let mut client = peer;
        let mut through = request.forwarded_for();
        while self.is_proxy(client) {
            let Some(before) = through.pop() else { break };
            client = before.to_canonical();
        }
        client
    }

    /// The origin whose page may read the answer, if the request comes from one.
    pub(super) fn origin(&self, request: &Request) -> Option<String> {
        let origin = request.header("origin")?;
        let may = self.origins.iter().any(|known| known == "*" || known == origin);
        may.then(|| origin.to_owned())
    }

    /// # Errors
    /// The answer to who may not ask this.
    pub(super) fn check(&self, request: &Request, route: &Route) -> Result<(), Answer> {
        // A browser lets any page open a WebSocket anywhere; the server is to look at the origin.
        let is_foreign = !self.is_own_page(request) && self.origin(request).is_none();
        match route {
            Route::Live(_) if is_foreign => {
                return Err(Answer::refused(Status::Forbidden, "this page's origin is not one of `origins`"));
            }
            Route::Socket if is_foreign => return Err(engine_io::forbidden()),
            Route::Live(_)
            | Route::Socket
            | Route::Page(_)
            | Route::Matches
            | Route::Match(_)
            | Route::Odds { .. }
            | Route::Chat { .. }
            | Route::Events { .. }
            | Route::Pool
            | Route::Metrics
            | Route::OpenApi
            | Route::Health
            | Route::Ready
            | Route::Preflight => {}
        }
        let Some(token) = self.token.as_ref().filter(|_| !route.is_open()) else { return Ok(()) };
        match bearer(request).or_else(|| request.parameter("token")) {
            Some(given) if is_same(given.as_bytes(), token.expose().as_bytes()) => Ok(()),
            Some(_) => Err(Answer::refused(Status::Unauthorized, "the token is another one")),
            None => {
                let how = "expected `Authorization: Bearer TOKEN`, or `?token=TOKEN`";
                Err(Answer::refused(Status::Unauthorized, how))
            }
        }
    }

    /// Whether who opens a session may read; `None`: the token that it shows is another one.
    pub(super) fn pass(&self, request: &Request) -> Option<Pass> {
        if self.token.is_none() {
            return Some(Pass::Given);
        }
        match bearer(request).or_else(|| request.parameter("token")) {
            Some(given) => self.is_token(given).then_some(Pass::Given),
            None => Some(Pass::Needed),
        }
    }

    pub(super) fn is_token(&self, given: &str) -> bool {
        self.token.as_ref().is_none_or(|token| is_same(given.as_bytes(), token.expose().as_bytes()))
    }

    /// # Errors
    /// The answer to who does not have the publishers' secret.
    pub(super) fn check_publisher(&self, request: &Request) -> Result<(), Answer> {
        let secret = self.secret.as_ref().map(Secret::expose);
        match (bearer(request), secret) {
            (Some(given), Some(secret)) if is_same(given.as_bytes(), secret.as_bytes()) => Ok(()),
            (Some(_) | None, _) => {
                let how = "expected `Authorization: Bearer SECRET`, as in `pub_secret_file`";
                Err(Answer::refused(Status::Unauthorized, how))
            }
        }
    }

    /// Whether the request comes from no page or from one of ours.
    fn is_own_page(&self, request: &Request) -> bool {
        let Some(origin) = request.header("origin") else { return true };
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_some() && host == request.header("host")
    }
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn enter(counts: &mut HashMap<IpAddr, u32>, address: IpAddr) -> bool {
    let count = counts.entry(address).or_default();
    if *count >= PER_ADDRESS && !address.is_loopback() {
        return false;
    }
    *count += 1;
    true
}

fn leave(counts: &mut HashMap<IpAddr, u32>, address: IpAddr) {
    if let Some(count) = counts.get_mut(&address) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&address);
        }
    }
}

/// Takes the same time wherever they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::http::parse;

    fn request(head: &str) -> Request {
        let text = format!("GET /api/matches{head}\r\n\r\n");
        parse(text.as_bytes()).unwrap().unwrap().0
    }

    fn access(token: Option<&str>) -> Access {
        let config = GatewayConfig {
            origins: vec!["https://a.example".into()],
            trusted_proxies: vec!["10.0.0.0/8".into()],
            ..GatewayConfig::default()
        };
        let token = token.map(|token| Secret::new(token.to_owned()));
        Access { token, ..Access::new(&config).unwrap() }
    }

    #[test]
    fn a_token_is_asked_for_and_compared() {
        let access = access(Some("s3cret"));
        for (head, may) in [
            (" HTTP/1.1\r\nHost: h", false),
            ("?token=s3cret HTTP/1.1\r\nHost: h", true),
            ("?token=s3cre HTTP/1.1\r\nHost: h", false),
            (" HTTP/1.1\r\nHost: h\r\nAuthorization: bearer s3cret", true),
            (" HTTP/1.1\r\nHost: h\r\nAuthorization: Basic s3cret", false),
            ("?token=s3cret HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer other", false),
        ] {
            assert_eq!(access.check(&request(head), &Route::Matches).is_ok(), may, "{head}");
        }
        assert!(access.check(&request(" HTTP/1.1\r\nHost: h"), &Route::Health).is_ok());
    }

    #[test]
    fn a_session_may_show_its_token_later_and_a_wrong_one_never() {
        let (open, closed) = (access(None), access(Some("s3cret")));
        for (head, pass) in [
            (" HTTP/1.1\r\nHost: h", Some(Pass::Needed)),
            ("?token=s3cret HTTP/1.1\r\nHost: h", Some(Pass::Given)),
            (" HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer s3cret", Some(Pass::Given)),
            ("?token=other HTTP/1.1\r\nHost: h", None),
        ] {
            assert_eq!(closed.pass(&request(head)), pass, "{head}");
            assert_eq!(open.pass(&request(head)), Some(Pass::Given));
        }
        assert!(closed.is_token("s3cret") && !closed.is_token("") && open.is_token("any"));
    }

    #[test]
    fn who_publishes_has_the_secret() {
        let none = access(Some("s3cret"));
        let some = Access { secret: Some(Secret::new("p".to_owned())), ..access(None) };
        let bearer = |text: &str| request(&format!(" HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {text}"));
        assert!(some.check_publisher(&bearer("p")).is_ok());
        for wrong in [bearer("q"), bearer(""), request("?token=p HTTP/1.1\r\nHost: h")] {
            assert_eq!(some.check_publisher(&wrong).unwrap_err().status, Status::Unauthorized);
        }
        assert!(none.check_publisher(&bearer("s3cret")).is_err(), "without a secret nobody may");
    }

    #[test]
    fn who_asks_is_read_from_trusted_proxies_only() {
        let access = access(None);
        for (peer, forwarded, client) in [
            ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
            ("10.0.0.1", "1.2.3.4, 192.0.2.7, 10.3.3.3", "192.0.2.7"),
            ("10.0.0.1", "10.1.1.1", "10.1.1.1"),
            ("192.0.2.9", "192.0.2.7", "192.0.2.9"),
            ("10.0.0.1", "nonsense", "10.0.0.1"),
        ] {
            let request = request(&format!(" HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {forwarded}"));
            assert_eq!(access.client_of(peer.parse().unwrap(), &request), client.parse::<IpAddr>().unwrap());
        }
    }

    #[test]
    fn an_address_has_a_bound_and_this_machine_has_none() {
        let mut access = access(None);
        let (far, near) = ("192.0.2.1".parse().unwrap(), "127.0.0.1".parse().unwrap());
        assert_eq!((0..600).filter(|_| access.enter(far)).count(), 512);
        access.leave(far);
        assert!(access.enter(far));
        assert_eq!((0..600).filter(|_| access.enter(near)).count(), 600);
    }

    #[test]
    fn a_foreign_page_opens_no_stream() {
        let access = access(None);
        let live =
            crate::serve::http::route(&parse(b"GET /ws HTTP/1.1\r\nHost: h\r\n\r\n").unwrap().unwrap().0);
        let live = live.unwrap();
        for (origin, may) in [
            ("", true),
            ("\r\nOrigin: https://a.example", true),
            ("\r\nOrigin: http://h", true),
            ("\r\nOrigin: https://b.example", false),
            ("\r\nOrigin: null", false),
        ] {
            let request = request(&format!(" HTTP/1.1\r\nHost: h{origin}"));
            assert_eq!(access.check(&request, &live).is_ok(), may, "{origin}");
        }
    }
}
