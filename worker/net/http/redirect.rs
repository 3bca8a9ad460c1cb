//! What a url names, and where a redirect may lead. Pure.

use super::HttpError;
use super::queue::Host;

/// Redirects of one request at most.
pub(super) const REDIRECTS_MAX: u32 = 5;

/// The server that `url` names.
///
/// # Errors
/// [`HttpError::Scheme`]: neither http nor https, or no host.
pub(super) fn host(url: &str) -> Result<Host, HttpError> {
    let (scheme, rest) = url.split_once("://").ok_or(HttpError::Scheme)?;
    let scheme = scheme.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return Err(HttpError::Scheme),
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    if authority.is_empty() || url.chars().any(|c| c.is_control() || c == ' ') {
        return Err(HttpError::Scheme);
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let authority = if has_port { authority } else { format!("{authority}:{port}") };
    Ok(Host(format!("{scheme}://{authority}")))
}

/// The server that a redirect from `from` leads to, the `count`-th of its request.
///
/// # Errors
/// [`HttpError::Redirect`]: it may not.
pub(super) fn target(from: &Host, to: &str, count: u32) -> Result<Host, HttpError> {
    let target = host(to).map_err(|_| HttpError::Redirect)?;
    let leaves_tls = from.0.starts_with("https:") && !target.0.starts_with("https:");
    if count > REDIRECTS_MAX || leaves_tls { Err(HttpError::Redirect) } else { Ok(target) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_server() {
        let of = |url: &str| host(url).map(|host| host.0);
        assert_eq!(of("http://A.example/x?y"), Ok("http://a.example:80".to_owned()));
        assert_eq!(of("HTTPS://a.example:8443?y"), Ok("https://a.example:8443".to_owned()));
        assert_eq!(of("http://[::1]/"), Ok("http://[::1]:80".to_owned()));
        assert_eq!(of("http://[::1]:8/"), Ok("http://[::1]:8".to_owned()));
        for bad in [
            "file:///etc/passwd",
            "ftp://a/",
            "a.example",
            "http://",
            "http:///x",
            "http://a/ b",
            "http://a\n",
        ] {
            assert_eq!(of(bad), Err(HttpError::Scheme), "{bad}");
        }
    }

    #[test]
    fn a_redirect_leads_neither_to_another_scheme_nor_out_of_tls_nor_round_for_ever() {
        let (plain, tls) = (host("http://a/").unwrap(), host("https://a/").unwrap());
        assert_eq!(target(&plain, "https://a/", 1), Ok(tls.clone()));
        assert_eq!(target(&plain, "http://b/", REDIRECTS_MAX), host("http://b/"));
        for (from, to, count) in
            [(&plain, "file:///x", 1), (&tls, "http://a/", 1), (&plain, "http://a/", REDIRECTS_MAX + 1)]
        {
            assert_eq!(target(from, to, count), Err(HttpError::Redirect), "{to}");
        }
    }
}
