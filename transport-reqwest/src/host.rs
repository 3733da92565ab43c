//! The host of the service.

use std::net::IpAddr;

use reqwest::Url;
use sagewire_transport::Error;

/// A partition of AWS: the prefix of its regions, and its domains. The first one is the default for unknown regions, as in the
/// endpoint rules of AWS.
struct Partition {
    prefix: &'static str,
    domain: &'static str,
    dual_stack: &'static str,
    /// The first labels of the FIPS hosts.
    fips: &'static str,
}

const FIPS: &str = "runtime.sagemaker-fips";

/// Source: the endpoint rules of SageMaker Runtime and the partitions in the AWS SDKs.
const PARTITIONS: [Partition; 8] = {
    const fn partition(
        prefix: &'static str,
        domain: &'static str,
        dual_stack: &'static str,
        fips: &'static str,
    ) -> Partition {
        Partition { prefix, domain, dual_stack, fips }
    }
    [
        partition("", "amazonaws.com", "api.aws", "runtime-fips.sagemaker"),
        partition("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn", FIPS),
        partition("us-gov-", "amazonaws.com", "api.aws", "runtime.sagemaker"),
        partition("us-iso-", "c2s.ic.gov", "api.aws.ic.gov", FIPS),
        partition("us-isob-", "sc2s.sgov.gov", "api.aws.scloud", FIPS),
        partition("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", FIPS),
        partition("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov", FIPS),
        partition("eusc-", "amazonaws.eu", "api.amazonwebservices.eu", FIPS),
    ]
};

impl Partition {
    fn host(&self, name: &str, region: &str, dual_stack: bool) -> Result<Host, Error> {
        let domain = if dual_stack { self.dual_stack } else { self.domain };
        Host::parse(&format!("https://{name}.{region}.{domain}"))
    }
}

/// The partition of a region.
fn partition(region: &str) -> Result<&'static Partition, Error> {
    if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(Error::config(format!("{region:?} is not the name of a region")));
    }
    // Names of AWS that select hosts of other services. There is no such host of SageMaker Runtime.
    if region.ends_with("-global") || region.starts_with("fips-") || region.ends_with("-fips") {
        return Err(Error::config(format!(
            "{region:?} is not the name of a region, but of several or of FIPS hosts"
        )));
    }
    let [unknown, known @ ..] = &PARTITIONS;
    Ok(known.iter().find(|partition| region.starts_with(partition.prefix)).unwrap_or(unknown))
}

/// A validated endpoint URL.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    url: Url,
    /// The value of the `host` header.
    authority: String,
    https: bool,
    /// It is a loopback address of this machine.
    loopback: bool,
    /// If it was derived from a region: whether for FIPS, and whether for dual stack.
    derived_for: Option<(bool, bool)>,
}

impl Host {
    /// The host of SageMaker Runtime in a region.
    pub(crate) fn of_region(region: &str, fips: bool, dual_stack: bool) -> Result<Self, Error> {
        let partition = partition(region)?;
        let name = match (fips, dual_stack) {
            (true, true) => FIPS,
            (true, false) => partition.fips,
            _ => "runtime.sagemaker",
        };
        let host = partition.host(name, region, dual_stack)?;
        Ok(Self { derived_for: Some((fips, dual_stack)), ..host })
    }

    /// The host of another service: its URL, or the host with these first labels. An endpoint URL is not changed.
    pub(crate) fn of_runtime(&self, name: &str, region: &str) -> Result<Self, Error> {
        if name.contains("://") {
            let host = Self::parse(name)?;
            if host.is_exposed() {
                return Err(Error::config(format!("runtime {name:?}: https is required to another machine")));
            }
            if host.https && !self.https {
                // The client was built without trusted certificates.
                return Err(Error::config(format!("runtime {name:?}: the endpoint url has no https either")));
            }
            return Ok(host);
        }
        let Some((fips, dual_stack)) = self.derived_for else { return Ok(self.clone()) };
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !name.split('.').all(is_label) {
            return Err(Error::config(format!("runtime {name:?} is neither a URL nor the start of a host")));
        }
        // The endpoint rules of the newer services have this suffix in all partitions.
        let suffix = if fips { "-fips" } else { "" };
        partition(region)?.host(&format!("{name}{suffix}"), region, dual_stack)
    }

    /// The same in another region. An endpoint URL is not changed.
    pub(crate) fn of_other_region(&self, region: &str) -> Result<Self, Error> {
        match self.derived_for {
            Some((fips, dual_stack)) => Self::of_region(region, fips, dual_stack),
            None => Ok(self.clone()),
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if !text.contains("://") {
            return Err(Error::config("endpoint url: does not begin with http:// or https://"));
        }
        let url: Url = text.parse().map_err(|error| Error::config(format!("endpoint url: {error}")))?;
        let https = match url.scheme() {
            "http" => false,
            "https" => true,
            scheme => {
                return Err(Error::config(format!(
                    "endpoint url: scheme {scheme:?} is neither http nor https"
                )));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::config("endpoint url: must not have a user or a password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Error::config("endpoint url: must not have a query or a fragment"));
        }
        let name = url.host_str().ok_or_else(|| Error::config("endpoint url: has no host"))?;
        let loopback = match name.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        };
        let authority = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.into(),
        };
        Ok(Self { url, authority, https, loopback, derived_for: None })
    }

    /// The URL without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The URL of a path, which may have a query, below that of the endpoint.
    pub(crate) fn with_path(&self, path: &str) -> Url {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = self.url.clone();
        let base = self.url.path().trim_end_matches('/');
        if base.is_empty() {
            url.set_path(path)
        } else {
            url.set_path(&format!("{base}{path}"))
        }
        url.set_query(query);
        url
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    /// Whether it is this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether requests cross a network unencrypted.
    pub(crate) fn is_exposed(&self) -> bool {
        !self.https && !self.loopback
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_the_domains_of_their_partitions() {
        for (region, suffix) in [
            ("us-east-1", "amazonaws.com"),
            ("mx-central-1", "amazonaws.com"),
            ("xx-new-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("us-gov-west-1", "amazonaws.com"),
            ("us-iso-east-1", "c2s.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
            ("eu-isoe-west-1", "cloud.adc-e.uk"),
            ("us-isof-south-1", "csp.hci.ic.gov"),
            ("eusc-de-east-1", "amazonaws.eu"),
        ] {
            let host = Host::of_region(region, false, false).unwrap();
            assert_eq!(host.url(), format!("https://runtime.sagemaker.{region}.{suffix}"));
            assert_eq!(host.authority(), format!("runtime.sagemaker.{region}.{suffix}"));
        }
        for region in ["", "us-east-1/", "a.b", "é"] {
            assert!(Host::of_region(region, false, false).unwrap_err().is_config(), "{region}");
        }
    }

    #[test]
    fn urls() {
        for (url, authority) in [
            ("http://127.0.0.1:80/", "127.0.0.1"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("https://[::1]:8080/a/b/", "[::1]:8080"),
        ] {
            assert_eq!(Host::parse(url).unwrap().authority(), authority);
        }
        assert_eq!(Host::parse("https://[::1]:8080/a/b/").unwrap().url(), "https://[::1]:8080/a/b");
        for url in ["", "localhost", "ftp://a", "http://user:secret@a", "http://a?b", "http://a#b"] {
            let error = Host::parse(url).unwrap_err();
            assert!(error.is_config() && !format!("{error} {error:?}").contains("secret"), "{url}");
        }
    }

    #[test]
    fn paths_are_below_the_url() {
        for (url, path, whole) in [
            ("http://127.0.0.1:80/", "/endpoints/a/invocations", "http://127.0.0.1/endpoints/a/invocations"),
            ("https://a/b/", "/c?d=e", "https://a/b/c?d=e"),
            ("https://a/b%20c", "/d%2Fe", "https://a/b%20c/d%2Fe"),
            ("https://a", "/c?d=e&f=%25", "https://a/c?d=e&f=%25"),
        ] {
            let host = Host::parse(url).unwrap();
            assert_eq!(host.with_path(path).as_str(), whole);
            assert_eq!(host.with_path(path), format!("{}{path}", host.url()).parse().unwrap());
        }
    }

    #[test]
    fn plain_http_to_other_machines_is_exposed() {
        for (url, exposed) in [
            ("https://a", false),
            ("http://a", true),
            ("http://10.0.0.1:8080", true),
            ("http://localhost.example", true),
            ("http://localhost:80", false),
            ("http://a.localhost", false),
            ("http://127.0.0.2", false),
            ("http://[::1]:1", false),
            ("http://[2001:db8::1]", true),
        ] {
            assert_eq!(Host::parse(url).unwrap().is_exposed(), exposed, "{url}");
        }
    }

    #[test]
    fn fips_and_dual_stack_have_their_own_hosts() {
        for (region, fips, dual_stack, host) in [
            ("us-east-1", false, true, "runtime.sagemaker.us-east-1.api.aws"),
            ("us-east-1", true, false, "runtime-fips.sagemaker.us-east-1.amazonaws.com"),
            ("us-east-1", true, true, "runtime.sagemaker-fips.us-east-1.api.aws"),
            ("us-gov-west-1", true, false, "runtime.sagemaker.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", true, true, "runtime.sagemaker-fips.us-gov-west-1.api.aws"),
            ("cn-north-1", true, false, "runtime.sagemaker-fips.cn-north-1.amazonaws.com.cn"),
            ("eusc-de-east-1", false, true, "runtime.sagemaker.eusc-de-east-1.api.amazonwebservices.eu"),
        ] {
            let found = Host::of_region(region, fips, dual_stack).unwrap();
            assert_eq!(found.authority(), host);
            let there =
                Host::of_region("eu-west-1", fips, dual_stack).unwrap().of_other_region(region).unwrap();
            assert_eq!(there.authority(), host);
        }
        let url = Host::parse("http://127.0.0.1:8080").unwrap();
        assert_eq!(url.of_other_region("us-east-1").unwrap().url(), "http://127.0.0.1:8080");
    }

    #[test]
    fn other_services_have_their_own_hosts() {
        const GATEWAY: &str = "gateway-runtime.sagemaker";
        for (region, fips, dual_stack, host) in [
            ("us-east-1", false, false, "gateway-runtime.sagemaker.us-east-1.amazonaws.com"),
            ("cn-north-1", false, false, "gateway-runtime.sagemaker.cn-north-1.amazonaws.com.cn"),
            ("us-east-1", false, true, "gateway-runtime.sagemaker.us-east-1.api.aws"),
            ("us-east-1", true, false, "gateway-runtime.sagemaker-fips.us-east-1.amazonaws.com"),
        ] {
            let client = Host::of_region("eu-west-1", fips, dual_stack).unwrap();
            assert_eq!(client.of_runtime(GATEWAY, region).unwrap().authority(), host);
        }
        let (local, region) = (Host::parse("http://127.0.0.1:1/a").unwrap(), "us-east-1");
        assert_eq!(local.of_runtime(GATEWAY, region).unwrap().url(), "http://127.0.0.1:1/a");
        let other = local.of_runtime("http://localhost:2/b", region).unwrap();
        assert_eq!(other.url(), "http://localhost:2/b");
        let derived = Host::of_region(region, false, false).unwrap();
        assert_eq!(
            derived.of_runtime("https://proxy.example/b", region).unwrap().url(),
            "https://proxy.example/b"
        );
        for (host, name) in [
            (&derived, "http://proxy.example"),
            (&local, "https://proxy.example"),
            (&derived, "a/b"),
            (&derived, "a..b"),
            (&derived, ""),
        ] {
            assert!(host.of_runtime(name, region).unwrap_err().is_config(), "{name}");
        }
    }
}
