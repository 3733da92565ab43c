//! Invalid files of profiles: one line names the file, the line and the reason, and nothing is sent.

use crate::process::{Local, Run, TempFile, command, run};

const SECRET: &str = "hidden-and-long";

/// Runs all commands that need credentials, with keys and a region in the environment, which would suffice without the files.
fn every_call(local: &Local, variable: &str, path: &str) -> Vec<Run> {
    let calls = [&["chat", "--endpoint", "e", "hi"][..], &["invoke", "e"], &["token"]];
    let runs = calls.map(|args| {
        let mut command = local.command(args);
        command.env(variable, path);
        run(command, b"{}")
    });
    assert!(local.requests().is_empty(), "nothing is sent");
    runs.into()
}

#[test]
fn an_invalid_line_is_reported() {
    let local = Local::new();
    let config = "AWS_CONFIG_FILE";
    let keys = format!("[work]\naws_access_key_id = A\naws_secret_access_key {SECRET}\n");
    for (variable, text, at) in [
        (config, "[default]\nregion = us-east-1\nbroken\n", "3: Expected an '=' sign defining a property"),
        (config, "region = us-east-1\n", "1: Expected a profile definition"),
        (config, "\n[profile work\n", "2: Profile definition must end with ']'"),
        ("AWS_SHARED_CREDENTIALS_FILE", &*keys, "3: Expected an '=' sign defining a property"),
    ] {
        let file = TempFile::new(text);
        let what = format!("invalid configuration: error parsing {} on line {at}", file.path());
        for run in every_call(&local, variable, file.path()) {
            assert_eq!(run.fails(2), format!("usage: {what}"));
            assert!(!run.stderr.contains(SECRET));
        }
        let mut doctor = local.command(&["doctor"]);
        doctor.env(variable, file.path());
        let doctor = run(doctor, b"");
        assert_eq!(doctor.fails(2), format!("doctor: files: {what}"));
        assert_eq!(doctor.text(), format!("BAD  files        {what}\n"));
    }
}

#[test]
fn an_unreadable_file_is_reported() {
    let local = Local::new();
    let text = TempFile::ending("", b"[default]\nregion = \xff\n");
    let folder = std::env::temp_dir();
    for (path, why) in [
        (text.path(), "is not UTF-8 on line 2"),
        // Even root cannot read a directory.
        (folder.to_str().unwrap(), "cannot be read: "),
    ] {
        for variable in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            for run in every_call(&local, variable, path) {
                let line = run.fails(2);
                assert!(line.starts_with(&format!("usage: invalid configuration: {path} {why}")), "{line}");
            }
        }
    }
}

#[test]
fn missing_files_are_ignored() {
    let local = Local::new();
    for home in ["/no/such", "/dev/null"] {
        let mut command = local.command(&["chat", "--endpoint", "e", "hi"]);
        command.env("HOME", home).env_remove("AWS_CONFIG_FILE").env_remove("AWS_SHARED_CREDENTIALS_FILE");
        run(command, b"").succeeds();
    }
}

#[test]
fn missing_references_are_reported() {
    let config = TempFile::new(
        "[profile sso]\nregion = us-east-1\nsso_session = nope\nsso_account_id = 1\nsso_role_name = r\n\
         [profile role]\nregion = us-east-1\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = nope\n",
    );
    for (profile, why, hint) in [
        ("sso", "\"sso\": there is no section [sso-session nope]", "run aws configure sso-session"),
        (
            "role",
            "\"role\": there is no source_profile \"nope\"",
            "run sagewire doctor to see what was found",
        ),
    ] {
        for flag in [true, false] {
            let mut command = command(&["chat", "--endpoint", "e", "hi"]);
            command.env("AWS_CONFIG_FILE", config.path());
            match flag {
                true => command.args(["--profile", profile]),
                false => command.env("AWS_PROFILE", profile),
            };
            let run = run(command, b"");
            let line = run.fails(2);
            let end = format!(
                "usage: the credentials could not be loaded: profile: {why}; see profile {profile} in {}; hint: {hint}",
                config.path()
            );
            assert_eq!(line, end);
        }
    }
}
