//! Settings and credentials from all sources of the AWS tools. Each case is a process with its own environment, which then calls
//! the emulator.
#![cfg(feature = "aws-config")]

use sagewire_emulator::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use serde_json::json;

#[path = "aws/home.rs"]
mod home;
#[path = "aws/metadata.rs"]
mod metadata;
use home::{Home, KEYS, asks};
use metadata::{Metadata, SESSION_TOKEN};

#[tokio::test]
async fn child() {
    home::child().await;
}

#[tokio::test]
async fn regions_and_hosts_have_origins() {
    const CONFIG: &str = "[default]\nregion = us-west-2\n\
        [profile url]\nregion = eu-west-1\nendpoint_url = http://profile:1\n\
        [profile underscore]\nregion = eu-west-1\nendpoint_url = http://profile:1\nservices = one\n\
        [services one]\nsagemaker_runtime =\n  endpoint_url = http://service:1\ns3 =\n  endpoint_url = http://s3:1\n\
        [profile hyphen]\nregion = eu-west-1\nservices = two\n\
        [services two]\nsagemaker-runtime =\n  endpoint_url = http://service:2\n\
        [profile fips]\nregion = us-east-1\nuse_fips_endpoint = true\nuse_dualstack_endpoint = true\n\
        [profile ignore]\nregion = eu-west-1\nendpoint_url = http://profile:1\nignore_configured_endpoint_urls = true\n";
    let home = Home::new(CONFIG);
    let global = ("AWS_ENDPOINT_URL", "http://global:1");
    let service = ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://env:1");
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        (
            &[],
            "",
            "us-west-2 (profile: region)",
            "https://runtime.sagemaker.us-west-2.amazonaws.com (default of the region)",
        ),
        (
            &[("AWS_REGION", "eu-west-3")],
            "",
            "eu-west-3 (environment: AWS_REGION)",
            "https://runtime.sagemaker.eu-west-3.amazonaws.com (default of the region)",
        ),
        (
            &[("AWS_DEFAULT_REGION", "eu-west-3")],
            "url",
            "eu-west-3 (environment: AWS_DEFAULT_REGION)",
            "http://profile:1 (profile: endpoint_url)",
        ),
        (&[], "url", "eu-west-1 (profile: region)", "http://profile:1 (profile: endpoint_url)"),
        (
            &[("AWS_PROFILE", "url")],
            "",
            "eu-west-1 (profile: region)",
            "http://profile:1 (profile: endpoint_url)",
        ),
        (
            &[],
            "underscore",
            "eu-west-1 (profile: region)",
            "http://service:1 (services section of the profile)",
        ),
        (&[], "hyphen", "eu-west-1 (profile: region)", "http://service:2 (services section of the profile)"),
        (
            &[global],
            "underscore",
            "eu-west-1 (profile: region)",
            "http://global:1 (environment: AWS_ENDPOINT_URL)",
        ),
        (
            &[global, service],
            "underscore",
            "eu-west-1 (profile: region)",
            "http://env:1 (environment: AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME)",
        ),
        (
            &[],
            "fips",
            "us-east-1 (profile: region)",
            "https://runtime.sagemaker-fips.us-east-1.api.aws (default of the region)",
        ),
        (
            &[global],
            "ignore",
            "eu-west-1 (profile: region)",
            "https://runtime.sagemaker.eu-west-1.amazonaws.com (default of the region)",
        ),
    ];
    for (env, profile, region, url) in cases {
        let profile = Some(profile).filter(|profile| !profile.is_empty());
        let found = home.run(&[*env, &KEYS].concat(), json!({"profile": profile})).await;
        assert_eq!(
            (found["region"].as_str(), found["url"].as_str()),
            (Some(*region), Some(*url)),
            "{profile:?}"
        );
    }
    let found = Home::new("").run(&KEYS, json!({})).await;
    assert_eq!(found["error"], "invalid configuration: the region is not set");
}

#[tokio::test]
async fn keys_are_found() {
    let keys = format!("aws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n");
    let right = [("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)];
    let home = Home::new(&format!("[profile own]\n{keys}"));
    let found = asks(&home, None, &right, json!({})).await;
    assert_eq!((&found["source"], &found["expires"]), (&json!("environment variables"), &json!(false)));
    let found = asks(&home, None, &[("AWS_PROFILE", "own")], json!({})).await;
    assert_eq!(found["source"], "profile");
    // A profile that was selected explicitly takes precedence.
    let found = asks(&home, None, &KEYS, json!({"profile": "own"})).await;
    assert_eq!((&found["source"], &found["origin"]), (&json!("profile"), &json!("profile: credentials")));

    let home = Home::new("");
    home.write(".aws/credentials", &format!("[default]\n{keys}"));
    assert_eq!(asks(&home, None, &[], json!({})).await["source"], "profile");
}

#[cfg(unix)]
#[tokio::test]
async fn credential_processes_are_used() {
    let home = Home::new("");
    let reply =
        format!(r#"{{"Version":1,"AccessKeyId":"{ACCESS_KEY_ID}","SecretAccessKey":"{SECRET_ACCESS_KEY}"}}"#);
    let reply = home.write("reply.json", &reply);
    home.write(".aws/config", &format!("[default]\ncredential_process = cat {}\n", reply.display()));
    let found = asks(&home, None, &[], json!({})).await;
    assert!(found["source"].as_str().is_some_and(|source| source.contains("process")), "{found}");
}

#[tokio::test]
async fn container_and_instance_metadata_are_used() {
    let metadata = Metadata::start();
    let (url, home) = (metadata.url(), Home::new(""));
    let container = format!("{url}/container");
    let env = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.as_str())];
    let found = asks(&home, Some(SESSION_TOKEN), &env, json!({})).await;
    assert_eq!((&found["source"], &found["expires"]), (&json!("container"), &json!(true)));
    // They are cached: the source is called once, also for the request.
    assert_eq!(metadata.requests().len(), 1, "{:?}", metadata.requests());

    let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
    let found = asks(&home, Some(SESSION_TOKEN), &env, json!({})).await;
    assert_eq!(found["source"], "instance metadata");
    let found = home.run(&env, json!({})).await;
    assert_eq!(found["region"], "eu-north-1 (instance metadata)");
}

#[tokio::test]
async fn roles_are_assumed() {
    let metadata = Metadata::start();
    let url = metadata.url();
    let sts = ("AWS_ENDPOINT_URL_STS", url.as_str());
    let home = Home::new(
        "[profile base]\naws_access_key_id = base\naws_secret_access_key = base\n\
         [profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\nexternal_id = from-profile\n",
    );

    let case = json!({"role_arn": "arn:aws:iam::123456789012:role/r", "external_id": "from-program"});
    let found = asks(&home, Some(SESSION_TOKEN), &[&KEYS[..], &[sts]].concat(), case.clone()).await;
    assert!(found["source"].as_str().is_some_and(|source| source.contains("assumed role")), "{found}");
    let request = metadata.requests().pop().expect("a request");
    for part in [
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr",
        "ExternalId=from-program",
        "RoleSessionName=sagewire",
    ] {
        assert!(request.contains(part), "{request}");
    }

    asks(&home, Some(SESSION_TOKEN), &[sts], json!({"profile": "role"})).await;
    assert!(metadata.requests().pop().expect("a request").contains("ExternalId=from-profile"));

    let file = home.write("identity", "an-identity");
    let env = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().expect("a path")),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/w"),
        sts,
    ];
    let found = asks(&home, Some(SESSION_TOKEN), &env, json!({})).await;
    assert!(found["source"].as_str().is_some_and(|source| source.contains("web identity")), "{found}");
    assert!(metadata.requests().pop().expect("a request").contains("WebIdentityToken=an-identity"));
}

#[tokio::test]
async fn sso_sessions_are_used() {
    const START: &str = "https://example.awsapps.com/start";
    let metadata = Metadata::start();
    let url = metadata.url();
    let env = [("AWS_ENDPOINT_URL_SSO", url.as_str())];
    let settings = format!("sso_region = us-east-1\nsso_start_url = {START}\n");
    let role = "sso_account_id = 123456789012\nsso_role_name = r\n";
    let token = |zone: &str| {
        format!(r#"{{"accessToken":"a-token","expiresAt":"2126-01-01T00:00:00{zone}","startUrl":"{START}"}}"#)
    };
    // The files are named by the SHA-1 of the session, or of the URL.
    for (config, file, zone) in [
        (
            format!("sso_session = work\n{role}[sso-session work]\n{settings}"),
            "e274eeff768c6396088ec6eb091f4bf4d47ab1e0",
            "Z",
        ),
        // The settings of an old profile are left.
        (
            format!("{settings}sso_session = my sso\n{role}[sso-session 'my sso']\n{settings}"),
            "b3902c2d49b36c95af74dedb0f77c5828749e230",
            "Z",
        ),
        (format!("{settings}{role}"), "e8be5486177c5b5392bd9aa76563515b29358e6e", "UTC"),
    ] {
        let home = Home::new(&format!("[profile sso]\n{config}"));
        home.write(&format!(".aws/sso/cache/{file}.json"), &token(zone));
        let found = asks(&home, Some(SESSION_TOKEN), &env, json!({"profile": "sso"})).await;
        assert!(found["source"].as_str().is_some_and(|source| source.contains("SSO")), "{found}");
    }
}

#[tokio::test]
async fn unusable_files_and_profiles_are_errors() {
    let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let home = Home::new("[default]\nregion = eu-west-1\nhidden\n");
    let found = home.run(&keys, json!({})).await;
    let error = found["error"].as_str().expect("an error");
    assert!(error.ends_with(".aws/config on line 3: Expected an '=' sign defining a property"), "{error}");

    // The credentials of the instance must not be used.
    let home = Home::new(
        "[profile role]\nregion = eu-west-1\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = nope\n",
    );
    let metadata = Metadata::start();
    for (profile, key, expected) in [
        ("role", "source", "the credentials could not be loaded"),
        ("nope", "error", "invalid configuration: there is no profile \"nope\" in "),
    ] {
        let env = [
            ("AWS_PROFILE", profile),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.url()),
        ];
        let found = home.run(&env, json!({})).await;
        assert!(found[key].as_str().is_some_and(|text| text.starts_with(expected)), "{profile}: {found}");
    }
}
