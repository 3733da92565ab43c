//! The environment is read as by botocore, which the AWS CLI uses: hosts, settings, files, credentials, proxies, certificates.
//!
//! Each case of `botocore/cases.json` is an environment, in which sagewire and botocore resolve their settings and sign a request,
//! or send it. The servers are on this machine. A difference is an error, unless the case names the reason for it, which is in the
//! list of SECURITY.md. `SAGEWIRE_PYTHON` names a Python with the packages of `botocore/requirements.txt`. The default is the one
//! that `gateway/tests/clients/install.sh` installs, or `python3`. Without the packages, the test is skipped.
#![cfg(feature = "aws-config")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use sagewire_transport_reqwest::{Client, Credentials, http_client};
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
use home::Home;
use metadata::{Call, Metadata};
use proxy::Proxy;

const SECURITY: &str = include_str!("../../SECURITY.md");
/// The line in front of the list of decided differences.
const DECIDED: &str = "Where the environment is read differently from the AWS CLI, on purpose:";

#[tokio::test]
async fn child() {
    home::child().await;
}

#[tokio::test]
async fn the_environment_is_read_as_by_botocore() {
    let servers = Servers::start();
    let Some(mut botocore) = Botocore::start(&servers.home) else {
        return println!("skipped: no python3 with the packages of tests/botocore/requirements.txt");
    };
    let mut report = Report::default();
    report.group("hosts", &compare_hosts(&mut botocore));
    let groups: Vec<Value> = serde_json::from_str(include_str!("botocore/cases.json")).expect("JSON");
    for group in &groups {
        let mut outcomes = Vec::new();
        for case in group["cases"].as_array().expect("a list") {
            outcomes.push(compare(&servers, &mut botocore, group, case).await);
        }
        report.group(text(&group["group"]), &outcomes);
    }
    report.check();
}

/// The result of a case.
struct Outcome {
    name: String,
    /// What is different: of sagewire, and of botocore.
    differences: Vec<String>,
    /// The name of the reason.
    decided: Option<String>,
}

#[derive(Default)]
struct Report {
    problems: Vec<String>,
    seen: BTreeSet<String>,
}

impl Report {
    fn group(&mut self, group: &str, outcomes: &[Outcome]) {
        let reasons = reasons();
        let (mut equal, mut different, mut decided) = (0, 0, BTreeMap::<_, Vec<_>>::new());
        for Outcome { name, differences, decided: reason } in outcomes {
            let problem = match (differences.is_empty(), reason) {
                (true, None) => {
                    equal += 1;
                    continue;
                }
                (false, Some(reason)) if reasons.contains_key(reason) => {
                    decided.entry(reason).or_default().push(name.as_str());
                    self.seen.insert(reason.clone());
                    continue;
                }
                (false, Some(reason)) => format!("{reason:?} is no reason in SECURITY.md"),
                (true, Some(reason)) => format!("it is equal, but decided: {reason}"),
                (false, None) => differences.join("; "),
            };
            different += 1;
            self.problems.push(format!("{group}: {name}: {problem}"));
        }
        let count: usize = decided.values().map(Vec::len).sum();
        println!("{group}: {equal} equal, {different} different, {count} decided");
        for (reason, names) in decided {
            println!("    {reason}{}", reasons[reason]);
            println!("        {}", names.join("; "));
        }
    }

    fn check(mut self) {
        for reason in reasons().into_keys().filter(|reason| !self.seen.contains(reason)) {
            self.problems.push(format!("SECURITY.md: no case shows: {reason}"));
        }
        assert!(self.problems.is_empty(), "{}", self.problems.join("\n"));
    }
}

/// The decided differences of SECURITY.md: their names, in bold there, and the rest of the sentence.
fn reasons() -> BTreeMap<String, String> {
    let (_, list) = SECURITY.split_once(DECIDED).expect("the list");
    let (list, _) = list.trim_start().split_once("\n\n").expect("another paragraph");
    let items = list.trim_start_matches("- **").split("\n- **");
    let item = |item: &str| {
        let (name, reason) = item.split_once("**").expect("a name in bold");
        (name.to_owned(), reason.split('\n').map(|line| line.replacen("  ", " ", 1)).collect())
    };
    items.map(item).collect()
}

/// The host of each region of botocore's endpoint rules, in four variants.
fn compare_hosts(botocore: &mut Botocore) -> Vec<Outcome> {
    let found = botocore.ask(&json!({"hosts": true}));
    let found = found.as_array().expect("a list");
    assert!(found.len() > 150, "{} hosts", found.len());
    // The certificates of this machine do not matter.
    let http = http_client(false).expect("no TLS").build().expect("a client");
    let outcome = |host: &Value| {
        let (region, is) = (text(&host["region"]), |name: &str| host[name] == json!(true));
        let (fips, dual_stack) = (is("fips"), is("dual_stack"));
        let keys = Credentials::new("id", "secret", None, None, "test");
        let client = Client::builder().region(region).credentials(keys).fips(fips).dual_stack(dual_stack);
        let client = client.http_client(http.clone()).build();
        let ours =
            client.map_or_else(|error| format!("error: {error}"), |client| client.endpoint_url().to_owned());
        let theirs = text(&host["url"]);
        let is_equal = ours == theirs || ours.starts_with("error") && theirs.starts_with("error");
        Outcome {
            name: format!(
                "{region}{}{}",
                if fips { ", FIPS" } else { "" },
                if dual_stack { ", dual stack" } else { "" }
            ),
            differences: if is_equal { vec![] } else { vec![format!("{ours}, {theirs}")] },
            decided: region.ends_with("-global").then(|| "Names that are no regions".into()),
        }
    };
    found.iter().map(outcome).collect()
}

/// Resolves the case with both.
async fn compare(servers: &Servers, botocore: &mut Botocore, group: &Value, case: &Value) -> Outcome {
    let (env, name) = (servers.prepare(group, case), text(&case["name"]));
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (&**name, &**value)).collect();
    let request = json!({"profile": case["profile"], "invoke": group["invoke"], "attempts": true});
    let ours = servers.observe(ours(&servers.home.run(&env, request.clone()).await));
    let mut request = request;
    request["env"] = servers.home.environment(&env).into_iter().collect();
    let theirs = servers.observe(botocore.ask(&request));
    Outcome {
        name: name.into(),
        differences: differences(&ours, &theirs),
        decided: case["decided"].as_str().map(Into::into),
    }
}

/// What the child process reports, in the terms of `resolve.py`.
fn ours(found: &Value) -> Value {
    let is_set = |name: &str| found[name].as_str().is_some();
    if is_set("error") || !is_set("key") {
        return json!({"error": if is_set("error") { &found["error"] } else { &found["source"] }});
    }
    // The value without its origin.
    let value = |name: &str| Some(found[name].as_str()?.split(" (").next().unwrap_or_default().to_owned());
    let attempts = value("attempts").and_then(|attempts| attempts.parse::<u64>().ok());
    json!({"region": value("region"), "url": value("url"), "key": found["key"], "token": found["token"],
        "attempts": attempts, "status": found["status"]})
}

fn differences(ours: &Value, theirs: &Value) -> Vec<String> {
    let is_error = |found: &Value| {
        let status = found["status"].as_str();
        found["error"].is_string() || status.is_some_and(|status| status.parse::<u16>().is_err())
    };
    let names = match (is_error(ours), is_error(theirs)) {
        (true, true) => &["calls", "proxied"][..],
        (false, false) => &["region", "url", "key", "token", "attempts", "status", "calls", "proxied"],
        _ => return vec![format!("{ours}, {theirs}")],
    };
    let differing = names.iter().filter(|name| ours[**name] != theirs[**name]);
    differing.map(|name| format!("{name}: {}, {}", ours[*name], theirs[*name])).collect()
}

/// What both talk to.
struct Servers {
    home: Home,
    fake: Metadata,
    /// Servers with TLS, and the names that cases have for them.
    tls: [(&'static str, Metadata); 4],
    proxy: Proxy,
    /// Certificates in PEM form, and the names that cases have for them.
    certificates: [(&'static str, String); 3],
}

impl Servers {
    fn start() -> Self {
        let (authority, other) = (Authority::new(), Authority::new());
        let (self_signed, own) = Authority::self_signed("localhost");
        let certificates =
            [("{authority}", authority.pem()), ("{other authority}", other.pem()), ("{self-signed}", own)];
        let tls = [
            ("{tls}", authority.server(&["localhost"])),
            ("{tls of another name}", authority.server(&["other.example"])),
            ("{tls without a name}", authority.server(&[])),
            ("{self-signed tls}", self_signed),
        ];
        Self {
            home: Home::new(""),
            fake: Metadata::start(),
            tls: tls.map(|(name, config)| (name, Metadata::with_tls(config))),
            proxy: Proxy::start(),
            certificates,
        }
    }

    /// Writes the files of a case, and returns its variables.
    fn prepare(&self, group: &Value, case: &Value) -> BTreeMap<String, String> {
        self.home.clear();
        for (path, lines) in [group, case].into_iter().filter_map(|from| from["files"].as_object()).flatten()
        {
            let lines = lines.as_array().expect("lines").iter().map(|line| self.expanded(text(line)));
            self.home.write(path, &lines.map(|line| line + "\n").collect::<String>());
        }
        let mut env = BTreeMap::new();
        for (name, value) in [group, case].into_iter().filter_map(|from| from["env"].as_object()).flatten() {
            match value.as_str() {
                Some(value) => env.insert(name.clone(), self.expanded(value)),
                None => env.remove(name),
            };
        }
        env
    }

    fn expanded(&self, text: &str) -> String {
        let keys = text.strip_prefix("{keys ").and_then(|rest| rest.strip_suffix('}'));
        if let Some(name) = keys {
            return format!("aws_access_key_id = AKID{name}\naws_secret_access_key = s");
        }
        let text = text.replace("{home}", self.home.path()).replace("{fake}", &self.fake.url());
        let text = self.certificates.iter().fold(text, |text, (name, pem)| text.replace(name, pem));
        let local = |server: &Metadata| format!("https://localhost:{}", server.addr.port());
        let text = self.tls.iter().fold(text, |text, (name, server)| text.replace(name, &local(server)));
        text.replace("{proxy}", self.proxy.url.trim_start_matches("http://"))
    }

    /// Adds the requests that the servers got.
    fn observe(&self, mut found: Value) -> Value {
        let servers = self.tls.iter().map(|(_, server)| server);
        let calls = std::iter::once(&self.fake).chain(servers).flat_map(Metadata::take);
        let calls: Vec<String> = calls.filter_map(|call| described(&call)).collect();
        found["calls"] = json!(calls);
        found["proxied"] = self.proxy.heads().iter().map(|head| proxied(head)).collect();
        found
    }
}

/// A call: the path, the parameters in order, and the key that it is signed with. `None` for the metadata of instances, which the
/// tools query in different ways.
fn described(Call { request, key }: &Call) -> Option<String> {
    let mut parts = request.splitn(4, ' ');
    let (_, path, _, body) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if path.starts_with("/latest/") {
        return None;
    }
    let (path, query) = path.split_once('?').unwrap_or((path, body));
    // Names of sessions that nobody has set.
    let is_default = |pair: &str| {
        pair == "RoleSessionName=sagewire" || pair.starts_with("RoleSessionName=botocore-session-")
    };
    let pairs = query.split('&').filter(|pair| !is_default(pair));
    let pairs: BTreeSet<&str> = pairs.collect();
    Some(format!("{path} {pairs:?} {key:?}"))
}

/// The request line and the authorization of a request to a proxy.
fn proxied(head: &str) -> String {
    let authorization =
        head.lines().find(|line| line.to_ascii_lowercase().starts_with("proxy-authorization"));
    let authorization = authorization.and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value);
    let line = head.lines().next().unwrap_or_default();
    format!("{} {authorization}", line.trim_end_matches(|last: char| last.is_ascii_digit() || last == '.'))
}

/// botocore in a process of its own.
struct Botocore {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Botocore {
    fn start(home: &Home) -> Option<Self> {
        let installed = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients/sdks/bin/python");
        let default = || if installed.exists() { installed.into() } else { "python3".into() };
        let python = std::env::var_os("SAGEWIRE_PYTHON").unwrap_or_else(default);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/botocore");
        let requirements = std::fs::read_to_string(folder.join("requirements.txt")).expect("a file");
        let version =
            requirements.lines().find_map(|line| line.strip_prefix("botocore==")).expect("a version");
        // The rules of another version are others.
        let check = format!("import botocore, sys; sys.exit(botocore.__version__ != '{version}')");
        let has_botocore = Command::new(&python).args(["-c", &check]).stderr(Stdio::null()).status();
        if !has_botocore.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut command = Command::new(python);
        // botocore reads the home directory when it is imported.
        command.arg(folder.join("resolve.py")).env("HOME", home.path()).env("USERPROFILE", home.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Some(Self { child, input, output })
    }

    fn ask(&mut self, case: &Value) -> Value {
        writeln!(self.input, "{case}").expect("it reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it writes");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for Botocore {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
