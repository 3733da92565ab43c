//! Documents that grow, and how the work for them grows: shared by the tests of the codec and of the chat templates.
//!
//! Each element of each array of a document is repeated, as it is, with other names and IDs, and with names that become equal in
//! a target; and each object gets unknown fields. So an element that is added to a sample is covered.
//!
//! Times on a shared machine only raise a suspicion. A step that takes more than six times as long for four times the input is
//! counted in instructions, under valgrind, which have to grow at most 2.2 times for twice the input. Without valgrind the
//! suspicion fails the test, after more measurements.

// Unlike the codec, the tests have a clock and an environment.
#![allow(clippy::disallowed_methods, dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How a repeated element differs from the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Variant {
    Same,
    /// Other names, IDs and indices.
    Distinct,
    /// Other names and IDs, which become the same where only letters and digits are allowed.
    Colliding,
}

pub const VARIANTS: [Variant; 3] = [Variant::Same, Variant::Distinct, Variant::Colliding];

fn variant_text(text: &str, variant: Variant, number: usize) -> String {
    let bits = |bit: u32| if number >> bit & 1 == 1 { '.' } else { ':' };
    match variant {
        Variant::Same => text.to_owned(),
        Variant::Distinct => format!("{text}{number}"),
        Variant::Colliding => format!("{text}{}", (0..14).map(bits).collect::<String>()),
    }
}

/// The element of this number: its names, IDs and indices are its own.
pub fn vary(value: &mut Value, variant: Variant, number: usize) {
    const NAMES: [&str; 10] = [
        "id",
        "name",
        "tool_call_id",
        "toolUseId",
        "tool_use_id",
        "call_id",
        "title",
        "item_id",
        "server_name",
        "key",
    ];
    const INDICES: [&str; 4] = ["index", "contentBlockIndex", "output_index", "content_index"];
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| vary(item, variant, number)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if NAMES.contains(&&**name) => {
                        *text = variant_text(text, variant, number)
                    }
                    Value::Number(index) if INDICES.contains(&&**name) && variant != Variant::Same => {
                        *value = json!(index.as_u64().unwrap_or(0) as usize + number);
                    }
                    value => vary(value, variant, number),
                }
            }
        }
        _ => {}
    }
}

fn repeat(items: &[Value], variant: Variant, count: usize) -> Vec<Value> {
    let mut all = Vec::new();
    for number in 0..count {
        for item in items {
            let mut item = item.clone();
            match &mut item {
                Value::String(text) => *text = variant_text(text, variant, number),
                item => vary(item, variant, number),
            }
            all.push(item);
        }
    }
    all
}

/// What is repeated in a document.
#[derive(Clone, Debug)]
pub enum Growth {
    /// As many elements of the array at the pointer, from this one on.
    Elements(String, usize, usize, Variant),
    /// The last element of each outermost array.
    All(Variant),
    /// Unknown fields of the object at the pointer.
    Fields(String),
}

/// All ways in which a document can grow.
pub fn growths(document: &Value) -> Vec<Growth> {
    fn walk(value: &Value, pointer: &str, all: &mut Vec<Growth>) {
        match value {
            Value::Array(items) => {
                for at in 0..items.len() {
                    for count in 1..=(items.len() - at).min(2) {
                        all.extend(
                            VARIANTS.map(|variant| Growth::Elements(pointer.into(), at, count, variant)),
                        );
                    }
                    walk(&items[at], &format!("{pointer}/{at}"), all);
                }
            }
            Value::Object(fields) => {
                all.push(Growth::Fields(pointer.into()));
                for (name, value) in fields {
                    walk(value, &format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), all);
                }
            }
            _ => {}
        }
    }
    let mut all = VARIANTS.map(Growth::All).to_vec();
    walk(document, "", &mut all);
    all
}

impl Growth {
    pub fn apply(&self, document: &mut Value, count: usize) {
        match self {
            Self::Elements(pointer, at, len, variant) => {
                let items = document.pointer_mut(pointer).and_then(Value::as_array_mut).expect("an array");
                let more = repeat(&items[*at..at + len], *variant, count);
                items.splice(*at..at + len, more);
            }
            Self::All(variant) => grow_all(document, *variant, count),
            Self::Fields(pointer) => {
                let object = document.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
                object.extend((0..count).map(|number| (format!("x_{number}"), json!({"y": number}))));
            }
        }
    }
}

fn grow_all(document: &mut Value, variant: Variant, count: usize) {
    match document {
        Value::Array(items) => {
            if let Some(last) = items.last().cloned() {
                items.extend(repeat(&[last], variant, count));
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(|value| grow_all(value, variant, count)),
        _ => {}
    }
}

/// An input that grows, and the work that is done with it.
pub struct Case {
    pub name: String,
    pub input: Box<dyn Fn(usize) -> Vec<u8>>,
    pub work: String,
}

/// The cases of a document: all ways in which it can grow.
pub fn of_document(name: &str, document: &Value, work: &str, cases: &mut Vec<Case>) {
    let shared = Rc::new(document.clone());
    for growth in growths(document) {
        let (document, name) = (Rc::clone(&shared), format!("{name}: {growth:?}"));
        let input = move |count| {
            let mut grown = Value::clone(&document);
            growth.apply(&mut grown, count);
            grown.to_string().into_bytes()
        };
        cases.push(Case { name, input: Box::new(input), work: work.to_owned() });
    }
}

/// Runs the steps of a work by its name.
pub type Run = fn(&str, &[u8], &mut Steps);

/// Measures the steps of a work.
pub struct Steps {
    /// The steps that are run; all if there are none.
    only: Vec<String>,
    times: BTreeMap<String, Duration>,
}

impl Steps {
    fn new(only: &[String]) -> Self {
        Self { only: only.to_vec(), times: BTreeMap::new() }
    }

    /// Measures a step. What a step only prepares is not part of it.
    pub fn run<T>(&mut self, name: impl Into<String>, step: impl FnOnce() -> T) {
        let name = name.into();
        if self.only.is_empty() || self.only.contains(&name) {
            let start = time();
            let result = growth_measured(step);
            let time = time().saturating_sub(start);
            drop(result);
            let least = self.times.entry(name).or_insert(time);
            *least = time.min(*least);
        }
    }
}

/// The processor time of this thread on Linux; elsewhere the time, in which others may have run.
fn time() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let on_processor = schedule.split(' ').next().and_then(|time| time.parse().ok());
    on_processor.map_or_else(|| START.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

/// The code that is counted. Valgrind finds it by its name.
#[inline(never)]
fn growth_measured<T>(step: impl FnOnce() -> T) -> T {
    step()
}

/// The largest growth of the time for four times the input that is no suspicion.
const SUSPICIOUS: f64 = 7.0;

/// The steps that are slower for the larger input than they should be, and how much.
fn suspects(
    case: &Case,
    run: Run,
    inputs: &[Vec<u8>; 2],
    only: &[String],
    times: usize,
) -> Vec<(String, f64)> {
    let [small, large] = inputs.each_ref().map(|input| {
        let mut steps = Steps::new(only);
        (0..times).for_each(|_| run(&case.work, input, &mut steps));
        steps.times
    });
    let growth = |(name, large): (String, Duration)| {
        let small = small.get(&name).copied().unwrap_or_default().max(Duration::from_micros(20));
        (name, large.as_secs_f64() / small.as_secs_f64())
    };
    large.into_iter().map(growth).filter(|(_, growth)| *growth >= SUSPICIOUS).collect()
}

const WORK: &str = "SAGEWIRE_GROWTH_WORK";
const STEP: &str = "SAGEWIRE_GROWTH_STEP";
const INPUT: &str = "SAGEWIRE_GROWTH_INPUT";

/// Runs one step, for valgrind.
pub fn one_case(run: Run) {
    let [Ok(work), Ok(step), Ok(input)] = [WORK, STEP, INPUT].map(std::env::var) else { return };
    run(&work, &std::fs::read(input).expect("an input"), &mut Steps::new(&[step]));
}

/// The instructions of a step; `None` without valgrind.
fn instructions(case: &Case, step: &str, count: usize) -> Option<u64> {
    let binary = std::env::current_exe().expect("a path");
    let file = |end| std::env::temp_dir().join(format!("growth-{}-{count}.{end}", std::process::id()));
    let (profile, input) = (file("callgrind"), file("input"));
    std::fs::write(&input, (case.input)(count)).expect("it can be written");
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--toggle-collect=*growth_measured*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(&binary)
        .args(["--exact", "one_case", "--test-threads=1"])
        .env(WORK, &case.work)
        .env(STEP, step)
        .env(INPUT, &input)
        .output()
        .ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = std::fs::read_to_string(&profile).ok()?;
    let _ = (std::fs::remove_file(&profile), std::fs::remove_file(&input));
    let total = |line: &str| line.strip_prefix("totals: ")?.trim().parse().ok();
    lines.lines().find_map(total).filter(|total| *total > 0)
}

/// How much a suspicious step grows, and how much it may.
fn confirmed(case: &Case, run: Run, step: &str) -> (f64, f64) {
    match instructions(case, step, 300).zip(instructions(case, step, 600)) {
        Some((once, twice)) => (twice as f64 / once as f64, 2.2),
        None => {
            let inputs = [300, 1200].map(|count| (case.input)(count));
            let found = suspects(case, run, &inputs, &[step.to_owned()], 15);
            (found.first().map_or(0.0, |(_, growth)| *growth), SUSPICIOUS)
        }
    }
}

/// Runs the tests of this binary again, in a process that keeps the memory that it frees: pages that the system gives anew make
/// large inputs slower than small ones. Returns `false` in that process.
fn is_run_by_child() -> bool {
    const KEEP: [&str; 2] = ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"];
    if std::env::var_os(KEEP[0]).is_some() {
        return false;
    }
    let binary = std::env::current_exe().expect("a path");
    let mut command = Command::new(binary);
    command.args(["--nocapture", "--test-threads=1"]).envs(KEEP.map(|name| (name, "1000000000")));
    assert!(command.status().expect("it runs").success(), "see above");
    true
}

/// Asserts that no step of any case grows faster than its input.
///
/// One in `stride` cases is run. `SAGEWIRE_GROWTH` sets another stride, as a number; `all` is the same as 1; any other value selects
/// cases by a part of their name. The cases of one element differ little, so that each element is covered.
pub fn check(cases: &[Case], run: Run, stride: usize) {
    let only = std::env::var("SAGEWIRE_GROWTH").unwrap_or_default();
    let stride = match &*only {
        "" => Some(stride),
        "all" => Some(1),
        only => only.parse().ok(),
    };
    let is_run = |(number, case): &(usize, &Case)| match stride {
        Some(stride) => number % stride == 0,
        None => case.name.contains(&only),
    };
    if is_run_by_child() {
        return;
    }
    let (mut failures, mut runs, mut counts) = (0, 0, 0);
    for (_, case) in cases.iter().enumerate().filter(is_run) {
        runs += 1;
        let mut steps = Vec::new();
        // What is quadratic grows 7 times from 150 to 600 if it is a quarter of the work there, and then 10 times from 600 on.
        for (small, times, least) in [(150, 1, SUSPICIOUS), (150, 5, SUSPICIOUS), (600, 5, 10.0)] {
            let inputs = [small, 4 * small].map(|count| (case.input)(count));
            let found = suspects(case, run, &inputs, &steps, times).into_iter();
            steps = found.filter(|(_, growth)| *growth >= least).map(|(name, _)| name).collect();
            if steps.is_empty() {
                break;
            }
        }
        for step in steps {
            counts += 1;
            let (growth, limit) = confirmed(case, run, &step);
            if growth > limit {
                failures += 1;
                println!("{growth:.2} of {limit}: {}: {step}", case.name);
            }
        }
    }
    println!("Growth: {runs} of {} cases, {counts} steps counted, {failures} too large", cases.len());
    assert_eq!(failures, 0, "they are printed above");
}
