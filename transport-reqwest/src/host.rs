//! Where requests go.

use reqwest::Url;

use crate::error::{Error, Kind};

/// Prefixes of regions, and the domains of their partitions; the rest is `aws`.
const PARTITIONS: [(&str, &str); 7] = [
    ("cn-", "amazonaws.com.cn"),
    ("us-gov-", "amazonaws.com"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eusc-", "amazonaws.eu"),
];

/// A checked endpoint URL.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Without a slash at the end.
    url: String,
    /// The value of the `host` header.
    authority: String,
    https: bool,
}

impl Host {
    /// The runtime of a region.
    pub(crate) fn of_region(region: &str) -> Result<Self, Error> {
        if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(config(format!("{region:?} is not the name of a region")));
        }
        let suffix = PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix));
        let suffix = suffix.map_or("amazonaws.com", |(_, suffix)| suffix);
        Self::parse(&format!("https://runtime.sagemaker.{region}.{suffix}"))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let url: Url = text.parse().map_err(|error| config(format!("endpoint url: {error}")))?;
        let https = match url.scheme() {
            "http" => false,
            "https" => true,
            scheme => {
                return Err(config(format!("endpoint url: scheme {scheme:?} is neither http nor https")));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(config("endpoint url: must not have a user or a password".into()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(config("endpoint url: must not have a query or a fragment".into()));
        }
        let name = url.host_str().ok_or_else(|| config("endpoint url: has no host".into()))?;
        let authority = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.into(),
        };
        Ok(Self { url: url.as_str().trim_end_matches('/').into(), authority, https })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }
}

fn config(what: String) -> Error {
    Error::new(Kind::Config(what))
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
            let host = Host::of_region(region).unwrap();
            assert_eq!(host.url(), format!("https://runtime.sagemaker.{region}.{suffix}"));
            assert_eq!(host.authority(), format!("runtime.sagemaker.{region}.{suffix}"));
        }
        for region in ["", "us-east-1/", "a.b", "é"] {
            assert!(Host::of_region(region).unwrap_err().is_config(), "{region}");
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
}
