//! A process with an environment of its own, which resolves the settings of the AWS tools and may call the emulator.
#![allow(dead_code, reason = "no test uses all of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use sagewire_emulator::{Emulator, SECRET_ACCESS_KEY};
use sagewire_transport_reqwest::{AwsConfig, Client, Error, Request, Retry};
use serde_json::{Value, json};

use crate::metadata::SESSION_TOKEN;

const CASE: &str = "SAGEWIRE_TEST_AWS_CONFIG";
const RESULT: &str = "RESULT ";

/// The code of the child process of a case: a test with the name `child`.
pub(crate) async fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    let case: Value = serde_json::from_str(&case).expect("JSON");
    println!("{RESULT}{}", resolve(&case).await.unwrap_or_else(|error| json!({"error": error.to_string()})));
}

async fn resolve(case: &Value) -> Result<Value, Error> {
    let text = |name: &str| case[name].as_str().map(String::from);
    let is_true = |name: &str| case[name].as_bool() == Some(true);
    let mut source = AwsConfig::new();
    source.profile = text("profile");
    source.role_arn = text("role_arn");
    source.external_id = text("external_id");
    let builder = Client::builder();
    // Otherwise, the number of attempts is that of the environment.
    let builder = if is_true("attempts") { builder } else { builder.retry(Retry::never()) };
    let client = builder.load_aws_config(&source).await?.build()?;
    let settings = client.settings();
    let source = client.credentials_source().await;
    let result = match is_true("invoke") && source.is_ok() {
        true => Some(client.invoke(Request::new("e", "{}")).await),
        false => None,
    };
    let status = result.map(|result| match result {
        Ok(_) => "200".to_owned(),
        Err(error) => error.status().map_or(error.to_string(), |status| status.to_string()),
    });
    Ok(json!({
        "region": settings.region.to_string(),
        "url": settings.endpoint_url.to_string(),
        "attempts": settings.max_attempts.as_ref().map(ToString::to_string),
        "origin": settings.credentials.to_string(),
        "source": source.as_ref().map(ToString::to_string).unwrap_or_else(|error| error.to_string()),
        "key": source.as_ref().ok().map(|source| source.key.as_str()),
        "token": source.as_ref().ok().map(|source| source.has_session_token),
        "expires": source.is_ok_and(|source| source.expiry.is_some()),
        "status": status,
    }))
}

/// A temporary folder, which is removed on drop.
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new(config: &str) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let home = Self(std::env::temp_dir().join(format!("sagewire-aws-{}-{count}", std::process::id())));
        home.write(".aws/config", config);
        home
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Its path.
    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }

    /// Removes all files.
    pub(crate) fn clear(&self) {
        std::fs::remove_dir_all(&self.0).expect("a folder");
        std::fs::create_dir_all(&self.0).expect("a folder");
    }

    /// The variables of a process with this home directory.
    pub(crate) fn environment(&self, env: &[(&str, &str)]) -> BTreeMap<String, String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut all = vec![("HOME", self.path()), ("USERPROFILE", self.path()), ("PATH", &path)];
        if !env.iter().any(|(name, _)| name.starts_with("AWS_EC2_METADATA")) {
            all.push(("AWS_EC2_METADATA_DISABLED", "true"));
        }
        all.extend(env);
        all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    pub(crate) async fn run(&self, env: &[(&str, &str)], case: Value) -> Value {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.args(["--exact", "child", "--nocapture"]).env_clear().env(CASE, case.to_string());
        command.envs(self.environment(env));
        let output = tokio::task::spawn_blocking(move || command.output().expect("a process")).await;
        let output = output.expect("no panic");
        let text = String::from_utf8_lossy(&output.stdout);
        let result = text.lines().find_map(|line| line.split_once(RESULT));
        let Some((_, result)) = result else { panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)) };
        serde_json::from_str(result).expect("JSON")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) const KEYS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "other"), ("AWS_SECRET_ACCESS_KEY", "other")];

/// The emulator accepts requests with the expected keys, and responds to an empty request with 424.
pub(crate) async fn asks(home: &Home, session: Option<&str>, env: &[(&str, &str)], mut case: Value) -> Value {
    let emulator = Emulator::builder();
    let emulator = session.into_iter().fold(emulator, |emulator, token| emulator.session_token(token));
    let emulator = emulator.start().await.expect("a port");
    let url = emulator.url();
    let own = [("AWS_REGION", "us-east-1"), ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", url.as_str())];
    case["invoke"] = json!(true);
    let found = home.run(&[&own, env].concat(), case).await;
    assert_eq!(found["status"], "424", "{found}");
    assert!(!found.to_string().contains(SECRET_ACCESS_KEY) && !found.to_string().contains(SESSION_TOKEN));
    found
}
