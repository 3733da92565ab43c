//! The environment of companies, read as by the AWS CLI: retry settings, names of profiles, FIPS, proxies, certificates. The
//! cases are differences to botocore that were found.
#![cfg(feature = "aws-config")]

use sagewire_emulator::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use serde_json::{Value, json};

#[path = "aws/home.rs"]
mod home;
#[path = "aws/metadata.rs"]
mod metadata;
#[path = "aws/proxy.rs"]
mod proxy;
use home::{Home, KEYS, asks};
use metadata::{Metadata, SESSION_TOKEN};
use proxy::Proxy;

#[tokio::test]
async fn child() {
    home::child().await;
}

#[track_caller]
fn error(found: &Value) -> &str {
    found["error"].as_str().unwrap_or_else(|| panic!("no error: {found}"))
}

#[tokio::test]
async fn retry_settings_of_other_tools_are_no_error() {
    let home = Home::new("[default]\nregion = eu-west-1\nretry_mode = legacy\nmax_attempts = many\n");
    for (name, value) in [
        ("AWS_RETRY_MODE", "legacy"),
        ("AWS_RETRY_MODE", ""),
        ("AWS_MAX_ATTEMPTS", ""),
        ("AWS_MAX_ATTEMPTS", "0"),
        ("AWS_MAX_ATTEMPTS", "many"),
        ("AWS_MAX_ATTEMPTS", "1234567890123456789012345"),
    ] {
        let found = home.run(&[&KEYS[..], &[(name, value)]].concat(), json!({})).await;
        assert_eq!(found["region"], "eu-west-1 (profile: region)", "{name}={value}: {found}");
    }
}

#[tokio::test]
async fn profiles_with_unusual_names_are_used() {
    let metadata = Metadata::start();
    let url = metadata.url();
    let instance = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str());
    for (section, name) in
        [("'a b'", "a b"), ("\"a b\"", "a b"), ("a(b)", "a(b)"), ("b\u{fc}ro", "b\u{fc}ro")]
    {
        let home = Home::new(&format!("[profile {section}]\nregion = eu-north-1\n"));
        let credentials = format!(
            "[{name}]\naws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n"
        );
        home.write(".aws/credentials", &credentials);
        let found = asks(&home, None, &[("AWS_PROFILE", name), instance], json!({})).await;
        assert_eq!(found["source"], "profile", "{section}");
        let found = home.run(&[("AWS_PROFILE", name), instance], json!({})).await;
        assert_eq!(found["region"], "eu-north-1 (profile: region)", "{section}");
        let found = asks(&home, None, &[], json!({"profile": name})).await;
        assert_eq!(found["source"], "profile", "{section}");
    }
    assert!(metadata.requests().is_empty(), "the instance was asked: {:?}", metadata.requests());
}

#[tokio::test]
async fn sections_with_unusual_names_are_found() {
    let metadata = Metadata::start();
    let url = metadata.url();
    let home = Home::new(
        "[profile 'a b']\naws_access_key_id = base\naws_secret_access_key = base\n\
         [profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = a b\n\
         [profile own]\nregion = eu-west-1\nservices = my services\n\
         [services 'my services']\nsagemaker_runtime =\n  endpoint_url = http://service:1\n",
    );
    asks(&home, Some(SESSION_TOKEN), &[("AWS_ENDPOINT_URL_STS", &url)], json!({"profile": "role"})).await;
    let found = home.run(&KEYS, json!({"profile": "own"})).await;
    assert_eq!(found["url"], "http://service:1 (services section of the profile)");
}

/// Otherwise requests would be signed with the credentials of the instance, or go to the public host.
#[tokio::test]
async fn what_is_selected_and_missing_is_an_error() {
    let home = Home::new("[default]\nregion = eu-west-1\n[profile own]\nservices = nope\n");
    let found = home.run(&[("AWS_PROFILE", "work")], json!({})).await;
    assert!(error(&found).contains("there is no profile \"work\" in "), "{found}");
    let found = home.run(&KEYS, json!({"profile": "own"})).await;
    assert!(error(&found).contains("no section [services nope]"), "{found}");
    // A blank name selects nothing.
    let found = home.run(&[&KEYS[..], &[("AWS_PROFILE", "")]].concat(), json!({})).await;
    assert!(found["error"].is_null(), "{found}");
}

#[tokio::test]
async fn files_that_the_aws_cli_reads_are_read() {
    let keys = format!("aws_access_key_id: {ACCESS_KEY_ID}\n  aws_secret_access_key = {SECRET_ACCESS_KEY}\n");
    for config in [
        format!("[default]\n  region = eu-west-1\n  {keys}"),
        format!(" [default] text\nregion: eu-west-1\n{}", keys.replace("\n  ", "\n")),
        format!("\u{feff}[default]\nregion = eu-west-1\n{}", keys.replace("\n  ", "\n")),
        format!("[other]\n  indented = 1\n[default]\nregion = eu-west-1\n{}", keys.replace("\n  ", "\n")),
    ] {
        let home = Home::new(&config);
        assert_eq!(asks(&home, None, &[], json!({})).await["source"], "profile", "{config}");
        assert_eq!(home.run(&[], json!({})).await["region"], "eu-west-1 (profile: region)", "{config}");
    }
    let home = Home::new("");
    let file = home.write("elsewhere", "[default]\nregion = eu-west-3\n");
    assert!(file.exists());
    let found = home.run(&[&KEYS[..], &[("AWS_CONFIG_FILE", "$HOME/elsewhere")]].concat(), json!({})).await;
    assert_eq!(found["region"], "eu-west-3 (profile: region)");
}

#[tokio::test]
async fn blank_values_are_not_set() {
    let home = Home::new("");
    home.write(
        ".aws/credentials",
        &format!(
            "[default]\naws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\naws_session_token =\n"
        ),
    );
    // The emulator rejects a session token, the empty one too.
    asks(&home, None, &[], json!({})).await;
    let home = Home::new("[default]\nregion = eu-west-1\nendpoint_url =\n");
    let region = "https://runtime.sagemaker.eu-west-1.amazonaws.com (default of the region)";
    for (env, url) in [
        (&[("AWS_ENDPOINT_URL", "")][..], region),
        (&[("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", " ")], region),
        (
            &[("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", ""), ("AWS_ENDPOINT_URL", "http://a:1")],
            "http://a:1 (environment: AWS_ENDPOINT_URL)",
        ),
        (&[("AWS_CA_BUNDLE", ""), ("SSL_CERT_FILE", "")], region),
    ] {
        let found = home.run(&[&KEYS, env].concat(), json!({})).await;
        assert_eq!(found["url"], url, "{env:?}: {found}");
    }
}

#[tokio::test]
async fn expired_credentials_are_not_used() {
    let home = Home::new("");
    let region = ("AWS_REGION", "eu-west-1");
    for (expiry, expected) in [
        ("2020-01-01T00:00:00Z", "the credentials could not be loaded"),
        ("2020-01-01T00:00:00+0000", "the credentials could not be loaded"),
        ("soon", "the credentials could not be loaded"),
        ("2126-01-01T00:00:00+0000", "environment variables"),
    ] {
        let env = [&KEYS[..], &[region, ("AWS_CREDENTIAL_EXPIRATION", expiry)]].concat();
        assert_eq!(home.run(&env, json!({})).await["source"], expected, "{expiry}");
    }
}

#[tokio::test]
async fn proxies_are_used_for_the_service() {
    let (proxy, home) = (Proxy::start(), Home::new(""));
    let with_user = proxy.url.replace("http://", "http://user:pass@");
    let without_scheme = proxy.url.replace("http://", "");
    let no_proxy = ("NO_PROXY", ".amazonaws.com");
    for (env, is_used) in [
        (&[("HTTPS_PROXY", &*proxy.url)][..], true),
        (&[("https_proxy", &proxy.url)], true),
        (&[("ALL_PROXY", &proxy.url)], true),
        (&[("HTTPS_PROXY", &without_scheme)], true),
        (&[("HTTPS_PROXY", &with_user)], true),
        (&[("HTTP_PROXY", &proxy.url)], false),
        (&[("HTTPS_PROXY", &proxy.url), no_proxy], false),
    ] {
        let env = [&KEYS[..], &[("AWS_REGION", "eu-west-1")], env].concat();
        let found = home.run(&env, json!({"invoke": true})).await;
        assert!(found["error"].is_null(), "{env:?}: {found}");
        let head = proxy.heads().into_iter().next();
        let line = head.as_ref().and_then(|head| head.lines().next());
        let expected = "CONNECT runtime.sagemaker.eu-west-1.amazonaws.com:443 HTTP/1.1";
        assert_eq!(line, is_used.then_some(expected), "{env:?}");
        let has_user =
            head.is_some_and(|head| head.to_ascii_lowercase().contains("proxy-authorization: basic"));
        assert_eq!(has_user, env.iter().any(|(_, value)| *value == with_user));
        assert!(!found.to_string().contains("pass@"), "{found}");
    }
}

#[tokio::test]
async fn metadata_and_this_machine_are_reached_directly() {
    let (proxy, metadata, home) = (Proxy::start(), Metadata::start(), Home::new(""));
    let container = format!("{}/container", metadata.url());
    let env = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*container),
        ("HTTP_PROXY", &proxy.url),
        ("ALL_PROXY", &proxy.url),
    ];
    let found = asks(&home, Some(SESSION_TOKEN), &env, json!({})).await;
    assert_eq!(found["source"], "container");
    assert!(proxy.heads().is_empty());
}

/// STS and SSO are reached through the proxy, at the hosts that FIPS and dual stack require.
#[tokio::test]
async fn hosts_of_sts_and_sso() {
    let (proxy, home) = (Proxy::start(), Home::new(""));
    let file = home.write("identity", "an-identity");
    let identity = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().expect("a path")),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/w"),
        ("AWS_REGION", "us-east-1"),
        ("HTTPS_PROXY", &*proxy.url),
    ];
    let (fips, dual_stack) = (("AWS_USE_FIPS_ENDPOINT", "true"), ("AWS_USE_DUALSTACK_ENDPOINT", "true"));
    for (env, host) in [
        (&[][..], "sts.us-east-1.amazonaws.com"),
        (&[fips], "sts-fips.us-east-1.amazonaws.com"),
        (&[dual_stack], "sts.us-east-1.api.aws"),
        (&[fips, dual_stack], "sts-fips.us-east-1.api.aws"),
    ] {
        home.run(&[&identity, env].concat(), json!({})).await;
        let head = proxy.heads().into_iter().next().expect("a request to STS");
        assert!(head.starts_with(&format!("CONNECT {host}:443 ")), "{env:?}: {head}");
    }
    home.write(
        ".aws/config",
        "[profile sso]\nsso_session = work\nsso_account_id = 123456789012\nsso_role_name = r\n\
         [sso-session work]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n",
    );
    let token = r#"{"accessToken":"a-token","expiresAt":"2126-01-01T00:00:00Z","region":"us-east-1","startUrl":"https://example.awsapps.com/start"}"#;
    // The file is named by the SHA-1 of `work`.
    home.write(".aws/sso/cache/e274eeff768c6396088ec6eb091f4bf4d47ab1e0.json", token);
    let env = [("AWS_PROFILE", "sso"), ("AWS_REGION", "us-east-1"), ("HTTPS_PROXY", &*proxy.url), fips];
    home.run(&env, json!({})).await;
    let head = proxy.heads().into_iter().next().expect("a request to SSO");
    assert!(head.starts_with("CONNECT portal.sso-fips.us-east-1.amazonaws.com:443 "), "{head}");
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_named() {
    let home = Home::new("[profile own]\nca_bundle = /missing/own.pem\n");
    let empty = home.write("empty.pem", "");
    let (empty, region) = (empty.to_str().expect("a path"), ("AWS_REGION", "eu-west-1"));
    for (env, case, parts) in [
        (
            &[("AWS_CA_BUNDLE", "/missing/ca.pem")][..],
            json!({}),
            ["environment: AWS_CA_BUNDLE", "/missing/ca.pem"],
        ),
        (
            &[("REQUESTS_CA_BUNDLE", empty)],
            json!({}),
            ["environment: REQUESTS_CA_BUNDLE", "no certificate in PEM form"],
        ),
        (&[], json!({"profile": "own"}), ["profile: ca_bundle", "/missing/own.pem"]),
        #[cfg(target_os = "linux")]
        (
            &[("SSL_CERT_FILE", "/missing/ssl.pem")],
            json!({}),
            ["environment: SSL_CERT_FILE", "/missing/ssl.pem"],
        ),
    ] {
        let found = home.run(&[&KEYS[..], &[region], env].concat(), case).await;
        assert!(parts.iter().all(|part| error(&found).contains(part)), "{env:?}: {found}");
    }
}
