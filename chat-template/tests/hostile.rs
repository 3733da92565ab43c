//! Malicious templates fail within the limits: quickly, without much memory, and on the stack that a thread of tokio has.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sagewire_chat_template::{Limits, Template, TemplateError};
use sagewire_codec::model::{Content, Message, Part, Role};

/// Bytes in use, and the most since the last reset.
static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: forwards to the system's allocator.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let in_use = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(in_use, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The limit of a prompt is 8 MiB; the documentation of the limit mentions "some hundred megabytes".
const MEMORY: usize = 300 << 20;
/// On a slow machine that is busy.
const TIME: Duration = Duration::from_secs(10);

/// Two values that each iteration makes deeper.
fn deep(step: &str, end: &str) -> String {
    format!("{{% set ns = namespace(x=[1], y=[1]) %}}{{% for i in range(90000) %}}{step}{{% endfor %}}{end}")
}

/// Two values that each iteration doubles.
fn shared(end: &str) -> String {
    "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}"
        .to_owned()
        + end
}

/// A list and a text of the given lengths, used many times.
fn repeated(step: &str) -> String {
    format!(
        "{{% set l = range(99999) | list %}}{{% set t = 'x' * 4000000 %}}{{% set l2 = l + [] %}}{{% set t2 = t ~ '' %}}{{% for i in range(99999) %}}{step}{{% endfor %}}"
    )
}

fn templates() -> Vec<String> {
    let both = "{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}";
    let mut templates = Vec::new();
    let uses = [
        "{{ ns.x == ns.y }}",
        "{{ ns.x < ns.y }}",
        "{{ ns.x in [ns.y] }}",
        "{{ [ns.x, ns.y] | sort }}",
        "{{ [ns.x, ns.y] | min }}",
        "{{ [ns.x, ns.y] | unique | list }}",
        "{{ {ns.x: 1}[ns.y] }}",
        "{{ ns.x is eq ns.y }}",
        "{{ ns.x }}",
        "{{ ns.x | tojson }}",
        "{{ [{'a': ns.x}] | selectattr('a', 'eq', ns.y) | list }}",
        "{{ [ns.x] | groupby(0) }}",
        "{{ '%s' % (ns.x,) }}",
        "{{ [ns.x] | join }}",
        "{{ '{}'.format(ns.x) }}",
        "{{ ns.x is in [ns.y] }}",
        "{{ [ns.x].count(ns.y) }}",
        "{{ [ns.x].index(ns.y) }}",
        "{{ {'a': 1}.get(ns.x) }}",
        "",
    ];
    for end in uses {
        templates.push(deep(both, end));
        templates.push(shared(end));
    }
    for step in [
        "{% set ns.x = (ns.x,) %}{% set ns.y = (ns.y,) %}",
        "{% set ns.x = ns.x, %}{% set ns.y = ns.y, %}",
        "{% set ns.x = {'a': ns.x} %}{% set ns.y = {'a': ns.y} %}",
        "{% set ns.x = {ns.x: 1} %}{% set ns.y = {ns.y: 1} %}",
        "{% set ns.x = dict(a=ns.x) %}{% set ns.y = dict(a=ns.y) %}",
        "{% set ns.x = ns.x | batch(1) %}{% set ns.y = ns.y | batch(1) %}",
        "{% set ns.x = ns.x | slice(1) %}{% set ns.y = ns.y | slice(1) %}",
        "{% set ns.x = ns.x[0:] %}{% set ns.y = ns.y[0:] %}",
        "{% set ns.x = ns.x[::-1] %}{% set ns.y = ns.y[::-1] %}",
        "{% set ns.x = ns.x | reverse %}{% set ns.y = ns.y | reverse %}",
        "{% set ns.x = ns.x + [] %}{% set ns.y = ns.y + [] %}",
        "{% set ns.x = ns.x * 1 %}{% set ns.y = ns.y * 1 %}",
        "{% set ns.x = [ns.x] | list %}{% set ns.y = [ns.y] | list %}",
        "{% set ns.x = [[ns.x]] | sum(start=[]) %}{% set ns.y = [[ns.y]] | sum(start=[]) %}",
        "{% set ns.x = namespace(a=ns.x) %}{% set ns.y = namespace(a=ns.y) %}",
        "{% set ns.x = [i, ns.x] | map('string') | list %}",
        "{% set ns.x = {'a': ns.x}.items() %}{% set ns.y = {'a': ns.y}.items() %}",
        "{% set ns.x = {'a': ns.x} | items %}{% set ns.y = {'a': ns.y} | dictsort %}",
        "{% set ns.x = {'a': ns.x}.values() %}{% set ns.y = {'a': ns.y}.values() %}",
    ] {
        templates.push(deep(step, "{{ ns.x == ns.y }}{{ ns.x | tojson }}"));
    }
    for step in [
        "{% if -1 in l %}{% endif %}",
        "{% if l == l2 %}{% endif %}",
        "{% if t == t ~ '' %}{% endif %}",
        "{% if 'y' in t %}{% endif %}",
        "{{ t[-1] }}",
        "{{ t[3999999] }}",
        "{{ t[-1:] }}",
        "{{ t | length }}",
        "{{ l[-1] }}",
        "{{ l | max }}",
        "{{ l[-1:] }}",
        "{% if t is eq t2 %}{% endif %}",
        "{% if t.endswith('y') %}{% endif %}",
        "{{ t.find('y') }}",
        "{{ t.count('y') }}",
        "{{ t.isdigit() }}",
        "{{ l.count(-1) }}",
        "{{ l.index(-1) }}",
        "{{ {'a': 1}[l] }}",
        "{{ {l: 1} }}",
        "{{ l in {'a': 1} }}",
        "{% if i in range(99999) %}{% endif %}",
        "{{ range(99999)[99998] }}",
        "{{ t | int }}",
        "{{ t.split('y') | length }}",
        "{{ t | wordcount }}",
        "{{ t ~ '' ~ '' ~ '' ~ '' | length }}",
        "{{ [l, l] | sort | length }}",
        "{{ l is in [l] }}",
        "{{ loop.changed(l) }}",
        "{{ loop.changed(t) }}",
        "{% for b in l %}{% break %}{% endfor %}",
        "{% for b in t %}{% break %}{% endfor %}",
        "{% if l\u{c}== l2 %}{% endif %}",
        "{% set x | replace(l == l2, 'a') %}{% endset %}",
        "{{ t is startingwith 'y' }}{{ t is lower }}",
        "{{ t | first }}{{ t | last }}{{ l | last }}{{ l | first }}",
        "{{ t | bool }}{{ l | bool }}{{ t | default('a') | length }}",
        "{{ l | reverse | length }}",
        "{{ l | list | length }}",
        "{{ l | batch(1000) | length }}",
        "{{ l | select('odd') | first }}",
        "{{ '%.3s' % t }}",
        "{{ '%s' % t[0] }}",
        "{{ l * 1 | length }}",
        "{{ dict(a=l).a[0] }}",
        "{{ namespace(a=l).a[0] }}",
        "{{ [l][0][0] }}",
    ] {
        templates.push(repeated(step));
    }
    templates.extend([
        // A namespace that contains itself, or grows from its end.
        "{% set a = namespace() %}{% set a.x = a %}{{ a == a }}{{ a }}".to_owned(),
        "{% set a = namespace() %}{% set a.x = [{'b': a}] %}{{ a }}".to_owned(),
        "{% set h = namespace(c=namespace()) %}{% for i in range(90000) %}{% set h.n = namespace() %}{% set h.c.p = h.n %}{% set h.c = h.n %}{% endfor %}".to_owned(),
        // Depth without loops.
        "{% set x = [1] %}".to_owned() + &"{% set x = [x] %}".repeat(30_000) + "{{ x == x }}",
        "{% set x = [1] %}".to_owned() + &"{% set x = x, %}".repeat(30_000) + "{{ x == x }}",
        "{% set x = [1] %}".to_owned() + &"{% set x = x[0:] %}".repeat(30_000) + "{{ x | length }}",
        // Memory.
        "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = ns.l + ['x' * 4000000] %}{% endfor %}".to_owned(),
        "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = ns.l + [range(99999) | list] %}{% endfor %}".to_owned(),
        "{% set t = 'x' * 8000000 %}{{ (t | list) | length }}{{ t.split('') | length }}{{ (t | list + t | list) | length }}".to_owned(),
        "{% set t = ' ' * 8000000 %}{{ t.splitlines() | length }}{{ ('a ' * 4000000).split() | length }}{{ (',' * 8000000).split(',') | length }}".to_owned(),
        "{{ 'x'.center(900000000) }}".to_owned(),
        "{{ '5'.zfill(900000000) }}".to_owned(),
        "{{ '%900000000d' % 1 }}".to_owned(),
        "{{ '%.900000000f' % 1 }}".to_owned(),
        "{{ '%.900000000d' % 1 }}".to_owned(),
        "{{ '%*d' % (900000000, 1) }}".to_owned(),
        "{{ '%99999999999999999999s' % 1 }}".to_owned(),
        "{{ '{:900000000}'.format(1) }}".to_owned(),
        "{{ ([[]] * 3000000) | join }}".to_owned(),
        "{{ [] * 9000000000000000 }}".to_owned(),
    ]);
    templates
}

#[test]
fn malicious_templates_are_bounded() {
    let mut slow = Vec::new();
    for source in templates() {
        let name: String = source.chars().take(220).collect();
        PEAK.store(IN_USE.load(Ordering::Relaxed), Ordering::Relaxed);
        let (before, start) = (PEAK.load(Ordering::Relaxed), Instant::now());
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(move || render(&source));
        let rendered = thread.expect("a thread").join().expect("no panic");
        let (used, time) = (PEAK.load(Ordering::Relaxed) - before, start.elapsed());
        if std::env::var_os("SHOW").is_some() {
            println!(
                "{time:>10.1?} {:>5} MiB {:?} {name}",
                used >> 20,
                rendered.as_ref().map(String::len).map_err(ToString::to_string)
            );
        }
        if used > MEMORY || time > TIME {
            slow.push(format!("{name}: {time:?}, {} MiB", used >> 20));
        }
        if let Err(error) = rendered {
            assert!(error.is_limit() || error.is_invalid_template(), "{name}: {error}");
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}

/// More messages than a template can write in its steps are refused before their values take memory.
#[test]
fn many_messages_are_refused() {
    let message = || Message::new(Role::User, vec![Part::new(Content::Text("x".into()))]);
    let messages: Vec<_> = (0..200_000).map(|_| message()).collect();
    let error = Template::named("llama3").expect("a family").render(&messages, &[]).expect_err("too many");
    assert!(error.is_limit() && error.to_string().contains("200000"), "{error}");
}

fn render(source: &str) -> Result<String, TemplateError> {
    let message = Message::new(Role::User, vec![Part::new(Content::Text("Why?".into()))]);
    // A tenth of the default, so that the test takes less time.
    let limits = Limits { steps: 100_000, ..Limits::default() };
    Template::from_jinja(source, "{}")?.limits(limits).render(&[message], &[]).map(|prompt| prompt.text)
}
