//! Settings and credentials from AWS's configuration files and services.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY};

use crate::process::{Local, Run, TempFile, command, run};

/// Files with profiles and keys.
struct Files {
    config: TempFile,
    credentials: TempFile,
}

impl Files {
    fn new(url: &str) -> Self {
        let config = format!(
            "[default]\nregion = eu-west-1\n\
             [profile work]\nregion = us-east-1\nendpoint_url = {url}\n\
             [profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = work\nregion = us-east-1\n\
             [profile sso]\nregion = us-east-1\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n\
             [sso-session s]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n"
        );
        let credentials = format!(
            "[work]\naws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n"
        );
        Self { config: TempFile::new(&config), credentials: TempFile::new(&credentials) }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = command(args);
        command.env("AWS_CONFIG_FILE", self.config.path());
        command.env("AWS_SHARED_CREDENTIALS_FILE", self.credentials.path());
        command
    }

    fn run(&self, args: &[&str], set: &[(&str, &str)]) -> Run {
        let mut command = self.command(args);
        command.envs(set.iter().copied());
        let run = run(command, b"");
        assert!(!format!("{run:?}").contains(SECRET_ACCESS_KEY));
        run
    }
}

#[test]
fn a_profile_is_sufficient() {
    let local = Local::new();
    let files = Files::new(&local.url());
    let args = ["chat", "--endpoint", "e", "--max-tokens", "3", "hi"];
    for (flags, set) in [
        (&["--profile", "work"][..], &[][..]),
        (&[], &[("AWS_PROFILE", "work")]),
        (&["--profile", "work"], &[("AWS_ACCESS_KEY_ID", "other"), ("AWS_SECRET_ACCESS_KEY", "other")]),
    ] {
        let run = files.run(&[&args, flags].concat(), set).succeeds();
        assert_eq!(run.text(), "You said: “hi”");
    }
    let body = r#"{"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}"#;
    let invoked = run(files.command(&["invoke", "e", "--profile", "work"]), body.as_bytes()).succeeds();
    assert!(invoked.text().contains("You said: “hi”"));
    let token = files.run(&["token", "--profile", "work"], &[]).succeeds();
    assert!(token.text().starts_with("sagemaker-api-key-"));
}

#[test]
fn the_doctor_shows_the_sources() {
    let local = Local::new();
    let files = Files::new(&local.url());
    let run = files.run(&["doctor", "--profile", "work"], &[]).succeeds();
    let config = format!("profile work in {} and {}", files.config.path(), files.credentials.path());
    for found in [
        &format!("ok   profile      {config}  (from --profile)\n"),
        &format!("ok   region       us-east-1  (from region of {config})\n"),
        &format!("ok   host         {}  (from endpoint_url of {config})\n", local.url()),
        &format!("ok   credentials  key …MPLE, without a session token  (from {config})\n"),
    ] {
        assert!(run.text().contains(found), "{found:?} in {}", run.text());
    }

    let fips = ("AWS_USE_FIPS_ENDPOINT", "true");
    let run = files.run(&["doctor"], &[fips, ("AWS_ACCESS_KEY_ID", "i"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    let host =
        "runtime-fips.sagemaker.eu-west-1.amazonaws.com  (from the region and AWS_USE_FIPS_ENDPOINT)\n";
    assert!(run.text().contains(host), "{}", run.text());
}

#[test]
fn invalid_settings_are_reported_before_anything_is_sent() {
    let files = Files::new("http://127.0.0.1:1");
    let chat = |args: &[&str], set: &[(&str, &str)]| {
        files.run(&[&["chat", "--endpoint", "e", "hi"], args].concat(), set)
    };
    let (config, credentials) = (files.config.path(), files.credentials.path());
    let nowhere = format!(
        "there is no profile \"wrok\": {config} has default, work, role, sso; {credentials} has work"
    );
    assert_eq!(chat(&["--profile", "wrok"], &[]).fails(2), format!("usage: --profile: {nowhere}"));
    assert_eq!(chat(&[], &[("AWS_PROFILE", "wrok")]).fails(2), format!("usage: AWS_PROFILE: {nowhere}"));
    let doctor = files.run(&["doctor", "--profile", "wrok"], &[]);
    assert_eq!(doctor.fails(2), format!("doctor: profile: --profile: {nowhere}"));

    let line = "usage: the credentials could not be loaded: environment: AWS_ACCESS_KEY_ID is not set; profile: there are \
                none; web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set; container: ";
    let bare = chat(&[], &[]);
    assert!(bare.fails(2).starts_with(line), "{bare:?}");
    assert!(bare.stderr.contains("; instance metadata: IMDS disabled by AWS_EC2_METADATA_DISABLED"));
    assert!(
        bare.stderr.ends_with("; hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give --profile\n")
    );

    let half = chat(&[], &[("AWS_ACCESS_KEY_ID", "i")]);
    assert!(half.fails(2).contains(": environment: AWS_SECRET_ACCESS_KEY is not set; hint: "), "{half:?}");
    let sso = chat(&["--profile", "sso"], &[]);
    assert!(sso.fails(2).ends_with("; hint: run aws sso login"), "{sso:?}");
    let role = chat(&["--external-id", "x"], &[]);
    assert!(role.fails(2).contains("--role-arn <ARN>"), "{role:?}");
    let without_caller = chat(&["--role-arn", "arn:aws:iam::1:role/r"], &[]);
    let line = "usage: the credentials could not be loaded: role: no credentials to ask with: environment: AWS_ACCESS";
    assert!(without_caller.fails(2).starts_with(line), "{without_caller:?}");
    let region = files.run(&["token"], &[("AWS_CONFIG_FILE", "/no/such")]);
    assert_eq!(
        region.fails(2),
        "usage: the region is not set: give --region, or set AWS_REGION, or region in a profile"
    );
}

#[test]
fn a_silent_instance_does_not_delay_much() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let files = Files::new("http://127.0.0.1:1");
    let mut command = files.command(&["chat", "--endpoint", "e", "hi"]);
    command.env_remove("AWS_EC2_METADATA_DISABLED");
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url).env("AWS_METADATA_SERVICE_TIMEOUT", "0.4");
    let start = Instant::now();
    let run = run(command, b"");
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("; instance metadata: ") && run.stderr.contains("; hint: set "), "{run:?}");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

/// A security token service that accepts one request and returns it.
fn role_service(status: &str, body: &str) -> (String, thread::JoinHandle<String>) {
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", host.local_addr().unwrap());
    let response =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let request = thread::spawn(move || {
        let (mut stream, _) = host.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&request).contains("Version=2011-06-15") {
            let len = stream.read(&mut buffer).unwrap();
            assert_ne!(len, 0, "{}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&buffer[..len]);
        }
        stream.write_all(response.as_bytes()).unwrap();
        String::from_utf8_lossy(&request).into_owned()
    });
    (url, request)
}

#[test]
fn roles_are_assumed() {
    let local = Local::with(Emulator::builder().session_token("of-a-role"));
    let files = Files::new(&local.url());
    let body = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>{ACCESS_KEY_ID}</AccessKeyId><SecretAccessKey>{SECRET_ACCESS_KEY}</SecretAccessKey>\
         <SessionToken>of-a-role</SessionToken><Expiration>2126-01-01T00:00:00Z</Expiration></Credentials>\
         </AssumeRoleResult></AssumeRoleResponse>"
    );
    let role =
        ["--role-arn", "arn:aws:iam::123456789012:role/r", "--external-id", "x", "--role-session-name", "me"];
    let (url, request) = role_service("200 OK", &body);
    let args = [&["doctor", "--profile", "work"], &role[..]].concat();
    let run = files.run(&args, &[("AWS_ENDPOINT_URL_STS", &url)]).succeeds();
    let request = request.join().unwrap();
    for part in ["RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr", "ExternalId=x", "RoleSessionName=me"]
    {
        assert!(request.contains(part), "{request}");
    }
    let found = ", with a session token, for another ";
    assert!(run.text().contains(found) && run.text().contains("role/r)\n"), "{}", run.text());
    assert!(!run.text().contains("of-a-role"));
    // The credentials that assume the role are shown as well.
    let caller = run.text().lines().find(|line| line.contains(" caller ")).map(str::to_owned);
    assert!(caller.is_some_and(|line| line.contains("profile work")), "{}", run.text());
}

#[test]
fn a_role_that_cannot_be_assumed_is_reported() {
    let local = Local::new();
    let files = Files::new(&local.url());
    let body = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                <Code>AccessDenied</Code><Message>User: me is not authorized to perform: sts:AssumeRole</Message></Error>\
                <RequestId>1</RequestId></ErrorResponse>";
    let (url, request) = role_service("403 Forbidden", body);
    let run = files.run(
        &["chat", "--endpoint", "e", "--profile", "work", "--role-arn", "arn:aws:iam::1:role/r", "hi"],
        &[("AWS_ENDPOINT_URL_STS", &url)],
    );
    request.join().unwrap();
    let line = run.fails(2);
    assert!(line.starts_with("usage: the credentials could not be loaded: role: "), "{line}");
    assert!(line.contains("User: me is not authorized to perform: sts:AssumeRole"), "{line}");
    assert!(local.requests().is_empty());
}
