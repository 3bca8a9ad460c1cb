//! Why a request has no answer.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    Resolve,
    Connect,
    Tls,
    /// The body passed the request's limit.
    TooLarge,
    /// The whole took longer than the request allows.
    Timeout,
    /// No byte came for longer than the request allows.
    Stalled,
    /// The answer ended before it was complete.
    Cut,
    /// A redirect too many, or to where none may lead.
    Redirect,
    /// Neither http nor https.
    Scheme,
    Other(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HttpError::Resolve => "the host's name has no address; check the host in the url",
            HttpError::Connect => "no connection; check the host and the port in the url, and whether the server runs",
            HttpError::Tls => {
                "TLS failed: the certificate is not trusted or not for this host, or the server does not speak TLS there; if it is right, name its authority's certificate in `ca_file`"
            }
            HttpError::TooLarge => "the answer is larger than `inflated` in [limits] allows",
            HttpError::Timeout => "the answer was not complete in time",
            HttpError::Stalled => "the server sent nothing for too long",
            HttpError::Cut => "the answer ended before it was complete",
            HttpError::Redirect => {
                "it redirects too often, or to where it may not lead: another scheme, or from https to http; write the final address in the url"
            }
            HttpError::Scheme => "the url is neither http:// nor https://",
            HttpError::Other(why) => why,
        })
    }
}

impl std::error::Error for HttpError {}

impl From<curl::Error> for HttpError {
    fn from(error: curl::Error) -> HttpError {
        if error.is_couldnt_resolve_host() || error.is_couldnt_resolve_proxy() {
            HttpError::Resolve
        } else if error.is_couldnt_connect() {
            HttpError::Connect
        } else if error.is_ssl_connect_error()
            || error.is_peer_failed_verification()
            || error.is_ssl_cacert()
            || error.is_ssl_cacert_badfile()
            || error.is_ssl_certproblem()
            || error.is_ssl_cipher()
            || error.is_ssl_issuer_error()
            || error.is_use_ssl_failed()
        {
            HttpError::Tls
        } else if error.is_filesize_exceeded() {
            HttpError::TooLarge
        } else if error.is_operation_timedout() {
            HttpError::Timeout
        } else if error.is_partial_file()
            || error.is_got_nothing()
            || error.is_recv_error()
            || error.is_send_error()
            || error.is_http2_error()
            || error.is_http2_stream_error()
        {
            HttpError::Cut
        } else if error.is_unsupported_protocol() {
            HttpError::Scheme
        } else {
            // The library's own words of the case, never its detail: that may repeat the url with a key in it.
            HttpError::Other(error.description().to_owned())
        }
    }
}
