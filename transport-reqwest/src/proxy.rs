//! The proxy of a host, for diagnostics. reqwest decides in the same way.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use crate::host::Host;
use crate::settings::{Origin, Setting};

/// The proxy of the environment for this host: its URL without user and password, and its variable. Requests to this machine
/// never use a proxy.
pub(crate) fn of(host: &Host) -> Option<Setting> {
    if host.is_loopback() {
        return None;
    }
    let intercepted = Matcher::from_env().intercept(&host.url().parse::<Uri>().ok()?)?;
    let proxy = intercepted.uri();
    let authority = proxy.authority()?.as_str();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let value = format!("{}://{authority}", proxy.scheme_str().unwrap_or("http"));
    let names: [&str; 4] = match host.is_https() {
        true => ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
        false => ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
    };
    let name =
        names.into_iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))?;
    Some(Setting::new(value, Origin::Environment(name)))
}
