//! `sagewire doctor`: what a call would use, where each of it comes from, and whether it would work. Nothing is invoked,
//! and no secret is shown.

use std::error::Error as _;
use std::time::{Duration, Instant, SystemTime};

use sagewire_transport_reqwest::{
    Client, EnvCredentials, Error, Operation, ProvideCredentials, Request, http_client,
};
use serde::Serialize;

use crate::connection::{self, ENVIRONMENT};
use crate::environment;
use crate::fault::{Exit, Fault};
use crate::output::Output;
use crate::service::root_cause;

/// The service refuses signatures whose time is further off.
const OFF_MAX: Duration = Duration::from_secs(5 * 60);
/// How long the host may take to answer anything.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// An endpoint that is named in a signature only.
const NOBODY: &str = "doctor";

/// Arguments of `sagewire doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub(crate) struct Args {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: connection::Args,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    ok: bool,
    /// What it is, or what is wrong with it.
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// How the command ends because of it.
    #[serde(skip)]
    exit: Exit,
}

impl Finding {
    fn good(name: &'static str, value: impl Into<String>, from: Option<&str>) -> Self {
        Self { name, ok: true, value: value.into(), from: from.map(Into::into), exit: Exit::Usage }
    }

    fn bad(name: &'static str, exit: Exit, value: impl Into<String>) -> Self {
        Self { name, ok: false, value: value.into(), from: None, exit }
    }
}

/// Looks at everything, and says what it found.
pub(crate) async fn run(args: &Args) -> Result<(), Fault> {
    let connection = &args.connection;
    let mut findings = vec![region(connection)];
    match connection.builder()?.build() {
        Ok(client) => {
            findings.push(host(connection, &client));
            findings.push(credentials().await);
            findings.push(signature(&client).await);
            findings.extend(answer(&client).await);
        }
        Err(error) => {
            findings.push(Finding::bad("host", Exit::Usage, error.to_string()));
            findings.push(credentials().await);
        }
    }
    let mut output = Output::default();
    match args.json {
        true => {
            let json = serde_json::to_vec(&findings).expect("strings and booleans are JSON");
            output.buffer().extend(json);
            output.buffer().push(b'\n');
        }
        false => output.buffer().extend(findings.iter().flat_map(|finding| line(finding).into_bytes())),
    }
    output.flush()?;
    match findings.iter().find(|finding| !finding.ok) {
        None => Ok(()),
        Some(first) => Err(Fault::Line(first.exit, format!("doctor: {}: {}", first.name, first.value))),
    }
}

fn line(Finding { name, ok, value, from, .. }: &Finding) -> String {
    let mark = if *ok { "ok " } else { "BAD" };
    let from = from.as_ref().map_or(String::new(), |from| format!("  (from {from})"));
    let line = format!("{mark}  {name:<13}{value}{from}");
    let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{shown}\n")
}

fn region(connection: &connection::Args) -> Finding {
    let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    match connection.region.clone().map(|region| (region, "--region")).or_else(|| first(&variables)) {
        Some((region, from)) => Finding::good("region", region, Some(from)),
        None => Finding::bad("region", Exit::Usage, "not set: give --region, or set AWS_REGION"),
    }
}

fn host(connection: &connection::Args, client: &Client) -> Finding {
    let variables = ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "AWS_ENDPOINT_URL"];
    let is_true = |name| environment::text(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let variable = match is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        true => None,
        false => first(&variables),
    };
    let from = match (&connection.endpoint_url, variable) {
        (Some(_), _) => "--endpoint-url".to_owned(),
        (None, Some((_, name))) => name.into(),
        (None, None) => ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"]
            .into_iter()
            .filter(|name| is_true(name))
            .fold("the region".into(), |from, name| format!("{from} and {name}")),
    };
    Finding::good("host", client.endpoint_url(), Some(&from))
}

/// The first of these variables that is set.
fn first(names: &[&'static str]) -> Option<(String, &'static str)> {
    names.iter().find_map(|name| Some((environment::text(name)?, *name)))
}

async fn credentials() -> Finding {
    match EnvCredentials::new().provide_credentials().await {
        Ok(found) => {
            let token = if found.session_token().is_some() { "with" } else { "without" };
            let value = format!("key {}, {token} a session token", masked(found.access_key_id()));
            Finding::good("credentials", value, Some("the environment"))
        }
        Err(error) => {
            let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            Finding::bad("credentials", Exit::Usage, why)
        }
    }
}

/// The last four characters of what has at least twice as many.
fn masked(id: &str) -> String {
    let last = id.len().checked_sub(4).filter(|at| *at >= 4).and_then(|at| id.get(at..));
    format!("…{}", last.unwrap_or_default())
}

/// Whether a request can be signed. It is not sent.
async fn signature(client: &Client) -> Finding {
    match client.dry_run(&Request::new(NOBODY, "{}"), Operation::Stream).await {
        Ok(()) => Finding::good("signature", format!("made for {}, not sent", client.region()), None),
        Err(error) => Finding::bad("signature", Exit::Usage, told(&error)),
    }
}

fn told(error: &Error) -> String {
    match root_cause(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Whether the host answers, and what time it has.
async fn answer(client: &Client) -> Vec<Finding> {
    let url = client.endpoint_url();
    let http = match http_client(url.starts_with("https:")) {
        Ok(http) => http.timeout(ANSWER_MAX).build(),
        Err(error) => return vec![Finding::bad("reachable", Exit::Usage, told(&error))],
    };
    let start = Instant::now();
    let sent = match http {
        Ok(http) => http.get(format!("{url}/ping")).send().await,
        Err(error) => Err(error),
    };
    match sent {
        Ok(answer) => {
            let took = start.elapsed();
            let value = format!("status {} after {} ms", answer.status().as_u16(), took.as_millis());
            let date = answer
                .headers()
                .get("date")
                .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
            vec![Finding::good("reachable", value, None), clock(SystemTime::now(), date)]
        }
        Err(error) => {
            let error = error.without_url();
            let mut cause: &dyn std::error::Error = &error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            vec![Finding::bad("reachable", Exit::Failed, cause.to_string())]
        }
    }
}

/// How far this machine's clock is off, if the host's is right.
fn clock(now: SystemTime, date: Option<SystemTime>) -> Finding {
    let Some(date) = date else {
        return Finding::good("clock", "not compared: the host does not say its time", None);
    };
    let (off, side) = match date.duration_since(now) {
        Ok(behind) => (behind, "behind"),
        Err(ahead) => (ahead.duration(), "ahead of"),
    };
    let value = match off.as_secs() {
        // The host's time has whole seconds, and the answer took its time.
        0..=2 => "right, by the host's".into(),
        seconds => format!("{seconds} s {side} the host's"),
    };
    match off {
        off if off < OFF_MAX => Finding::good("clock", value, None),
        _ => Finding::bad("clock", Exit::Failed, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_be_a_little_off() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        for (date, ok, value) in [
            (at(1_000_001), true, "right, by the host's"),
            (at(999_999), true, "right, by the host's"),
            (at(1_000_010), true, "10 s behind the host's"),
            (at(999_701), true, "299 s ahead of the host's"),
            (at(999_700), false, "300 s ahead of the host's"),
            (at(1_000_300), false, "300 s behind the host's"),
            (None, true, "not compared: the host does not say its time"),
        ] {
            let found = clock(now, date);
            assert_eq!((found.ok, found.value.as_str()), (ok, value));
        }
    }

    #[test]
    fn of_a_key_little_is_shown() {
        assert_eq!(masked("AKIDEXAMPLE"), "…MPLE");
        for short in ["", "abc", "abcdefg", "ééééé"] {
            assert!(
                masked(short).chars().count() <= 5 && !masked(short).contains(short) || short.is_empty(),
                "{short}"
            );
        }
    }
}
