//! `sagewire doctor`: shows the settings that a call would use, where they come from, and whether they work. It invokes no
//! endpoint and prints no secret.

use std::time::{Duration, Instant, SystemTime};

use sagewire_transport_reqwest::{
    Client, CredentialsSource, Error, Operation, Origin, Request, Setting, Settings, Warning,
};
use serde::Serialize;

use crate::aws_config::{self, ENVIRONMENT, NO_REGION, explain_wait};
use crate::call_error::{authority, certificate_hint, connect_hint, with_cause};
use crate::connection::Target;
use crate::fault::{Exit, Fault};
use crate::output::Output;
use crate::profile::Profile;

/// The maximum clock skew: the service rejects signatures with a larger one.
const SKEW_MAX: Duration = Duration::from_secs(5 * 60);
/// Timeout for a response of the host.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// The endpoint of the request that is signed but not sent.
const ENDPOINT: &str = "doctor";

/// Arguments of `sagewire doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub(crate) struct Args {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    aws: aws_config::Args,
    #[command(flatten)]
    target: Target,
}

/// The result of one check.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    ok: bool,
    /// It may be a mistake.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    warning: bool,
    /// The value, or what is wrong with it.
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// The exit code if the check has failed.
    #[serde(skip)]
    exit: Exit,
}

impl Finding {
    fn good(name: &'static str, value: impl Into<String>, from: Option<&str>) -> Self {
        let from = from.map(Into::into);
        Self { name, ok: true, warning: false, value: value.into(), from, exit: Exit::Usage }
    }

    fn bad(name: &'static str, exit: Exit, value: impl Into<String>) -> Self {
        Self { name, ok: false, warning: false, value: value.into(), from: None, exit }
    }

    fn warning(warning: &Warning) -> Self {
        let name = match warning {
            Warning::PlainHttp { .. } | Warning::NotBoolean { .. } => "host",
            Warning::DefaultProfile { .. } => "profile",
            Warning::MissingFile { .. } => "files",
            _ => "credentials",
        };
        Self { warning: true, ..Self::good(name, warning.to_string(), None) }
    }
}

/// Runs all checks and prints their results.
pub(crate) async fn run(args: &Args) -> Result<(), Fault> {
    let findings = match args.aws.profile().await {
        Ok(profile) => Doctor { args, profile }.check().await?,
        // Without the files, no other setting is known.
        Err(error) => vec![Finding::bad("files", Exit::Usage, error.to_string())],
    };
    let mut output = Output::default();
    match args.json {
        true => {
            let json = serde_json::to_vec(&findings).expect("strings and booleans can be serialized");
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

fn line(Finding { name, ok, warning, value, from, .. }: &Finding) -> String {
    let mark = match (ok, warning) {
        (false, _) => "BAD ",
        (true, true) => "WARN",
        (true, false) => "ok  ",
    };
    let from = from.as_ref().map_or(String::new(), |from| format!("  (from {from})"));
    let line = format!("{mark} {name:<13}{value}{from}");
    let printable: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{printable}\n")
}

/// The checks.
struct Doctor<'a> {
    args: &'a Args,
    profile: Profile,
}

impl Doctor<'_> {
    async fn check(&self) -> Result<Vec<Finding>, Fault> {
        let mut findings: Vec<Finding> = self.profile().into_iter().collect();
        if findings.iter().any(|finding| !finding.ok) {
            // Without the profile, no other setting is known.
            return Ok(findings);
        }
        let builder = self.args.target.apply(Client::builder());
        let builder = explain_wait(self.args.aws.load(builder)).await?;
        let caller = match self.args.aws.caller().await? {
            Some(caller) => {
                Some(self.credentials("caller", explain_wait(caller.credentials_source()).await, None))
            }
            None => None,
        };
        let role = self.args.aws.role_arn.as_deref();
        findings.push(self.region(builder.found_region()));
        match builder.clone().build() {
            Ok(client) => {
                findings.push(self.host(client.settings()));
                findings.extend(self.network(client.settings()));
                findings.extend(caller);
                let found = explain_wait(client.credentials_source()).await;
                let credentials = self.credentials("credentials", found, role);
                let signature = match credentials.ok {
                    true => signature(&client).await,
                    false => {
                        Finding::bad("signature", Exit::Usage, "not made: there are no valid credentials")
                    }
                };
                findings.extend([credentials, signature]);
                findings.extend(client.warnings().await.iter().map(Finding::warning));
                findings.extend(reachable(&client).await);
            }
            Err(error) => {
                findings.push(Finding::bad("host", Exit::Usage, error.to_string()));
                findings.extend(caller);
                let found = explain_wait(builder.credentials_source()).await;
                findings.push(self.credentials("credentials", found, role));
                findings.extend(builder.warnings().iter().map(Finding::warning));
            }
        }
        Ok(findings)
    }

    /// The profile, if one was selected.
    fn profile(&self) -> Option<Finding> {
        let from = self.profile.from?;
        Some(match self.profile.missing() {
            None => Finding::good("profile", self.profile.to_string(), Some(from)),
            Some(missing) => Finding::bad("profile", Exit::Usage, missing),
        })
    }

    fn region(&self, found: Option<&Setting>) -> Finding {
        match found {
            Some(region) => {
                Finding::good("region", &*region.value, Some(&self.from(region.origin, "--region")))
            }
            None => Finding::bad("region", Exit::Usage, NO_REGION),
        }
    }

    fn host(&self, settings: &Settings) -> Finding {
        let from = self.from(settings.endpoint_url.origin, "--endpoint-url");
        let kinds = [settings.fips, settings.dual_stack].into_iter().flatten();
        let from = kinds.fold(from, |from, kind| format!("{from} and {}", self.from(kind, "")));
        Finding::good("host", &*settings.endpoint_url.value, Some(&from))
    }

    /// The proxy, the trusted certificates, and the number of attempts, where they are set.
    fn network(&self, settings: &Settings) -> Vec<Finding> {
        let found = [
            ("proxy", &settings.proxy),
            ("certificates", &settings.ca_bundle),
            ("attempts", &settings.max_attempts),
        ];
        let set = found.into_iter().filter_map(|(name, setting)| Some((name, setting.as_ref()?)));
        let finding = |(name, setting): (_, &Setting)| {
            Finding::good(name, &*setting.value, Some(&self.from(setting.origin, "")))
        };
        set.map(finding).collect()
    }

    /// The credentials of the call, or those that assume its role.
    fn credentials(
        &self,
        name: &'static str,
        found: Result<CredentialsSource, Error>,
        role: Option<&str>,
    ) -> Finding {
        let source = match found {
            Ok(source) => source,
            Err(error) => {
                let message = with_cause(&error);
                let hint = certificate_hint(&message).map_or(String::new(), |hint| format!("; hint: {hint}"));
                return Finding::bad(name, Exit::Usage, format!("{message}{hint}"));
            }
        };
        let token = if source.has_session_token { "with" } else { "without" };
        let mut value = format!("key …{}, {token} a session token", source.key);
        if let Some(expiry) = source.expiry {
            let now = SystemTime::now();
            value = format!("{value}, {}", validity(now, expiry));
            if expiry <= now {
                return Finding::bad(name, Exit::Usage, value);
            }
        }
        let step = |step: &&str| if *step == "profile" { self.profile.to_string() } else { (*step).into() };
        let mut from: Vec<String> = source.steps.iter().map(step).collect();
        if from.is_empty() {
            from.push(self.from(source.origin, ""));
        }
        from.extend(role.map(str::to_owned));
        Finding::good(name, value, Some(&from.join(", ")))
    }

    /// Where a setting was found: an option, a variable, or a file.
    fn from(&self, origin: Origin, argument: &str) -> String {
        match origin {
            Origin::Program => argument.into(),
            Origin::Environment(name) => name.into(),
            Origin::Profile(key) => format!("{key} of {}", self.profile),
            Origin::SourceProfile(key) => format!("{key} of the source_profile of {}", self.profile),
            Origin::Services => format!("the services section of {}", self.profile),
            Origin::Instance => "the instance's metadata".into(),
            Origin::Region => "the region".into(),
            origin => origin.to_string(),
        }
    }
}

/// How long credentials are still valid.
fn validity(now: SystemTime, expiry: SystemTime) -> String {
    match expiry.duration_since(now).map_or(0, |left| left.as_secs()) {
        0 => "expired".into(),
        left @ ..120 => format!("for another {left} s"),
        left @ ..7200 => format!("for another {} min", left / 60),
        left => format!("for another {} h", left / 3600),
    }
}

/// Signs a request without sending it.
async fn signature(client: &Client) -> Finding {
    match client.dry_run(&Request::new(ENDPOINT, "{}"), Operation::Stream).await {
        Ok(()) => Finding::good("signature", format!("made for {}, not sent", client.region()), None),
        Err(error) => Finding::bad("signature", Exit::Usage, with_cause(&error)),
    }
}

/// Whether the host responds, and whether the clocks agree.
async fn reachable(client: &Client) -> Vec<Finding> {
    let url = client.endpoint_url();
    let request = client.http_client().get(format!("{url}/ping")).timeout(RESPONSE_TIMEOUT);
    let start = Instant::now();
    let sent = request.send().await;
    match sent {
        Ok(response) => {
            let took = start.elapsed();
            let value = format!("status {} after {} ms", response.status().as_u16(), took.as_millis());
            let date = response
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
            let (host, hint) = (authority(url), connect_hint(&error, client));
            vec![Finding::bad("reachable", Exit::Failed, format!("{host}: {cause}{hint}"))]
        }
    }
}

/// The difference between this machine's clock and that of the host.
fn clock(now: SystemTime, date: Option<SystemTime>) -> Finding {
    let Some(date) = date else {
        return Finding::good("clock", "not compared: the response has no date", None);
    };
    let (off, side) = match date.duration_since(now) {
        Ok(behind) => (behind, "behind"),
        Err(ahead) => (ahead.duration(), "ahead of"),
    };
    let value = match off.as_secs() {
        // The host's time is in whole seconds, and the response takes time as well.
        0..=2 => "agrees with the host's".into(),
        seconds => format!("{seconds} s {side} the host's"),
    };
    match off {
        off if off < SKEW_MAX => Finding::good("clock", value, None),
        _ => Finding::bad("clock", Exit::Failed, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_clock_skew_is_accepted() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        for (date, ok, value) in [
            (at(1_000_001), true, "agrees with the host's"),
            (at(999_999), true, "agrees with the host's"),
            (at(1_000_010), true, "10 s behind the host's"),
            (at(999_701), true, "299 s ahead of the host's"),
            (at(999_700), false, "300 s ahead of the host's"),
            (at(1_000_300), false, "300 s behind the host's"),
            (None, true, "not compared: the response has no date"),
        ] {
            let found = clock(now, date);
            assert_eq!((found.ok, found.value.as_str()), (ok, value));
        }
    }

    #[test]
    fn the_validity_of_credentials_is_shown() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (left, expected) in [
            (0, "expired"),
            (1, "for another 1 s"),
            (119, "for another 119 s"),
            (3599, "for another 59 min"),
            (43_200, "for another 12 h"),
        ] {
            assert_eq!(validity(now, now + Duration::from_secs(left)), expected);
        }
        assert_eq!(validity(now, SystemTime::UNIX_EPOCH), "expired");
    }
}
