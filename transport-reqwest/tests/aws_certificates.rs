//! Servers with certificates of a private authority, as companies have them: the service and STS, directly and through a proxy
//! that requires a password. A real TLS handshake is made; the proxy connects the hosts of AWS to this machine.
#![cfg(feature = "aws-config")]

use serde_json::{Value, json};

#[path = "aws/authority.rs"]
mod authority;
#[path = "aws/home.rs"]
mod home;
#[path = "aws/metadata.rs"]
mod metadata;
#[path = "aws/proxy.rs"]
mod proxy;
use authority::Authority;
use home::{Home, KEYS};
use metadata::Metadata;
use proxy::Proxy;

const SERVICE: &str = "runtime.sagemaker.eu-west-1.amazonaws.com";
const STS: &str = "sts.eu-west-1.amazonaws.com";
const REGION: (&str, &str) = ("AWS_REGION", "eu-west-1");

#[tokio::test]
async fn child() {
    home::child().await;
}

/// A server with the names of the service and of STS, and a home directory with the certificate of its authority.
struct Company {
    server: Metadata,
    home: Home,
}

impl Company {
    fn new() -> Self {
        let authority = Authority::new();
        let server = Metadata::with_tls(authority.server(&["localhost", SERVICE, STS]));
        let company = Self { server, home: Home::new("") };
        company.home.write("ca.pem", &authority.pem());
        company.home.write("other.pem", &Authority::new().pem());
        std::fs::create_dir(company.file("folder")).expect("a folder");
        // The names by which OpenSSL finds certificates in a folder have this form.
        company.home.write("folder/0123abcd.0", &authority.pem());
        company.home.write("identity", "an-identity");
        company
    }

    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.home.path())
    }

    /// Calls the endpoint with these variables. A web identity is used if there are no keys.
    async fn invoke(&self, env: &[(&str, &str)]) -> Value {
        let identity = self.file("identity");
        let role = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", identity.as_str()),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/w"),
        ];
        self.home
            .run(&[&[REGION, ("AWS_MAX_ATTEMPTS", "1")], &role[..], env].concat(), json!({"invoke": true}))
            .await
    }

    /// The hosts at which requests have arrived since the last call: of the service, and of STS.
    fn arrived(&self) -> [usize; 2] {
        let calls = self.server.take();
        let count = |part: &str| calls.iter().filter(|call| call.request.contains(part)).count();
        [count("/endpoints/e/invocations"), count("AssumeRoleWithWebIdentity")]
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_named() {
    let company = Company::new();
    let url = format!("https://localhost:{}", company.server.addr.port());
    let [ca, other, folder] = ["ca.pem", "other.pem", "folder"].map(|name| company.file(name));
    let service = ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", url.as_str());
    let sts = ("AWS_ENDPOINT_URL_STS", url.as_str());
    for (settings, config, is_trusted) in [
        (&[("AWS_CA_BUNDLE", ca.as_str())][..], String::new(), true),
        (&[("REQUESTS_CA_BUNDLE", &ca)], String::new(), true),
        #[cfg(target_os = "linux")]
        (&[("SSL_CERT_FILE", &ca)], String::new(), true),
        #[cfg(target_os = "linux")]
        (&[("SSL_CERT_DIR", &folder)], String::new(), true),
        (&[], format!("ca_bundle = {ca}\n"), true),
        // A variable comes before the profile.
        (&[("AWS_CA_BUNDLE", &ca)], format!("ca_bundle = {other}\n"), true),
        (&[("AWS_CA_BUNDLE", &other)], format!("ca_bundle = {ca}\n"), false),
        (&[("AWS_CA_BUNDLE", &other)], String::new(), false),
        #[cfg(target_os = "linux")]
        (&[("SSL_CERT_FILE", &other)], String::new(), false),
    ] {
        company.home.write(".aws/config", &format!("[default]\n{config}"));
        let found = company.invoke(&[settings, &KEYS, &[service]].concat()).await;
        assert_eq!(found["status"] == "200", is_trusted, "{settings:?} {config}: {found}");
        assert_eq!(company.arrived(), [usize::from(is_trusted), 0], "{settings:?} {config}");

        let found = company.invoke(&[settings, &[service, sts]].concat()).await;
        assert_eq!(found["status"] == "200", is_trusted, "{settings:?} {config}: {found}");
        assert_eq!(company.arrived(), [usize::from(is_trusted); 2], "{settings:?} {config}");
    }
}

#[tokio::test]
async fn a_proxy_with_a_password_connects_to_private_servers() {
    let company = Company::new();
    let hosts = [SERVICE, STS].map(|host| (format!("{host}:443"), company.server.addr));
    let proxy = Proxy::forwarding(hosts.into());
    let ca = company.file("ca.pem");
    let with_password = proxy.url.replace("http://", "http://user:pass@");
    let wrong_password = proxy.url.replace("http://", "http://user:wrong@");
    for (url, ca, is_reached) in [
        (&with_password, Some(&ca), true),
        (&wrong_password, Some(&ca), false),
        (&with_password, None, false),
    ] {
        let mut env = vec![("HTTPS_PROXY", url.as_str())];
        env.extend(ca.map(|ca| ("AWS_CA_BUNDLE", ca.as_str())));
        let found = company.invoke(&env).await;
        assert_eq!(found["status"] == "200", is_reached, "{env:?}: {found}");
        assert_eq!(company.arrived(), [usize::from(is_reached); 2], "{env:?}");
        let lines: Vec<String> =
            proxy.heads().iter().filter_map(|head| head.lines().next().map(str::to_owned)).collect();
        let connects = [STS, SERVICE].map(|host| format!("CONNECT {host}:443 HTTP/1.1"));
        assert_eq!(lines, connects[..if is_reached { 2 } else { 1 }], "{env:?}");
        let text = found.to_string();
        assert!(!text.contains("pass@") && !text.contains("wrong@"), "{text}");
    }
}
