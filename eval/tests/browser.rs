//! The reports in a real browser.

mod chromium;

use std::path::PathBuf;

use sagewire_eval::load::results::LoadReport;
use sagewire_eval::report::html;
use sagewire_eval::results::{Outcome, Results};
use serde_json::json;

use chromium::Browser;

fn results() -> Results {
    serde_json::from_str(include_str!("../testdata/results.json")).unwrap()
}

fn load() -> LoadReport {
    serde_json::from_str(include_str!("../testdata/load.json")).unwrap()
}

/// A file that is deleted with it.
struct Page(PathBuf);

impl Page {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sagewire-{}-{name}.html", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const SHOWN: &str = "document.querySelectorAll('.row:not([hidden])').length";

#[test]
fn the_evaluation_is_readable_everywhere() {
    let Some(mut browser) = Browser::start("look") else { return };
    let page = Page::new("look", &html::evaluation(&results()));
    for width in [390, 768, 1280, 1920] {
        for scheme in ["light", "dark"] {
            browser.open(&page.0, width, scheme);
            browser.check_page(&format!("{width} px, {scheme}"));
            browser.screenshot(&format!("evaluation-{width}-{scheme}.png"));
        }
    }
    // Beside each other on a screen, below each other on a phone.
    let tops = "[...document.querySelectorAll('.row:first-of-type, .row')].slice(0, 1).flatMap((row) => \
                [...row.querySelectorAll('.cell')].map((cell) => cell.getBoundingClientRect().top))";
    browser.open(&page.0, 1280, "light");
    let beside = browser.eval(tops);
    assert!(beside[0] == beside[1] && beside[1] == beside[2], "{beside}");
    browser.open(&page.0, 390, "light");
    let below = browser.eval(tops);
    assert!(below[0].as_f64() < below[1].as_f64() && below[1].as_f64() < below[2].as_f64(), "{below}");
}

#[test]
fn rows_are_filtered_by_mouse_and_by_keyboard() {
    let Some(mut browser) = Browser::start("filter") else { return };
    let page = Page::new("filter", &html::evaluation(&results()));
    browser.open(&page.0, 1280, "light");
    assert_eq!(browser.eval(SHOWN), 8);
    browser.click("[data-filter=error]");
    assert_eq!(browser.eval(SHOWN), 2);
    assert_eq!(browser.eval("document.querySelector('.count').textContent"), "2 of 8 rows");
    assert_eq!(browser.eval("document.querySelector('[data-filter=error]').ariaPressed"), "true");
    browser.click("[data-filter=failed]");
    assert_eq!(browser.eval(SHOWN), 6);
    browser.screenshot("evaluation-failed.png");

    // By keyboard: from the top of the page to the buttons, and to the search.
    browser.open(&page.0, 1280, "light");
    for _ in 0..4 {
        browser.press("Tab");
    }
    assert_eq!(browser.eval("document.activeElement.dataset.filter"), "error");
    let outline = browser.eval("getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, "solid", "the focus is visible");
    browser.press("Enter");
    assert_eq!(browser.eval(SHOWN), 2);
    browser.press("/");
    assert_eq!(browser.eval("document.activeElement.id"), "search");
    browser.type_text("no such text");
    browser.wait_until("!document.querySelector('.empty').hidden");
    assert_eq!(browser.eval(SHOWN), 0);
    browser.press("Escape");
    assert_eq!(browser.eval(SHOWN), 2);
    browser.check_page("filtered");
}

#[test]
fn the_search_finds_text_in_any_script() {
    let Some(mut browser) = Browser::start("search") else { return };
    let page = Page::new("search", &html::evaluation(&results()));
    browser.open(&page.0, 1280, "light");
    browser.click("#search");
    browser.type_text("返品");
    browser.wait_until(&format!("{SHOWN} === 2"));
}

#[test]
fn differences_of_two_providers_are_shown() {
    let Some(mut browser) = Browser::start("difference") else { return };
    let page = Page::new("difference", &html::evaluation(&results()));
    browser.open(&page.0, 1280, "dark");
    let output = "document.querySelector('.row [data-column=\"1\"] .output')";
    let before = browser.eval(&format!("{output}.textContent"));
    browser.click("#compare");
    browser.wait_until(&format!("{output}.querySelector('del') && {output}.querySelector('ins')"));
    browser.check_page("differences");
    browser.screenshot("evaluation-differences.png");
    // Each text is there as a whole: without the insertions it is the first one, without the deletions the second one.
    let without = |tag: &str| {
        format!(
            "(() => {{ const copy = {output}.cloneNode(true); copy.querySelectorAll('{tag}').forEach((e) => e.remove()); return \
             copy.textContent; }})()"
        )
    };
    let first = "document.querySelector('.row [data-column=\"0\"] .output').textContent";
    assert_eq!(browser.eval(&without("ins")), browser.eval(first));
    assert_eq!(browser.eval(&without("del")), before);
    browser.click("#compare");
    assert_eq!(browser.eval(&format!("{output}.innerHTML")), before);

    // A provider does not differ from itself.
    browser.eval("(() => { const to = document.querySelector('#to'); to.value = '0'; to.dispatchEvent(new Event('change')); })()");
    browser.click("#differing");
    assert_eq!(browser.eval(SHOWN), 0);
}

#[test]
fn hostile_outputs_are_text() {
    let Some(mut browser) = Browser::start("hostile") else { return };
    let attack = "</script></style><script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">\
                  <svg onload=document.title='taken'>\u{1b}[2J\u{202e}";
    let outcome = |output: String| Outcome {
        provider: attack.into(),
        prompt: attack.into(),
        vars: json!({attack: attack}).as_object().unwrap().clone(),
        output: Some(output.into()),
        finish_reason: Some(attack.into()),
        ..Outcome::default()
    };
    let mut results =
        Results { description: Some(attack.into()), timestamp: attack.into(), ..Results::default() };
    results.results = vec![outcome(attack.into()), outcome("x".repeat(20_000)), outcome("👩‍👩‍👧 ".repeat(50))];
    let page = Page::new("hostile", &html::evaluation(&results));
    for width in [390, 1280] {
        browser.open(&page.0, width, "light");
        browser.click("#compare");
        browser.check_page("hostile");
        assert_ne!(browser.eval("document.title"), "taken");
        assert_eq!(browser.eval("document.querySelectorAll('img, script').length"), 1);
    }
    // The whole text can be read.
    browser.click(".long summary");
    let heights = "[...document.querySelectorAll('.long[open] + .output')].map((e) => e.scrollHeight <= e.clientHeight + 1)";
    assert_eq!(browser.eval(heights), json!([true]));
}

#[test]
fn without_javascript_everything_can_be_read() {
    let Some(mut browser) = Browser::start("plain") else { return };
    let page = Page::new("plain", &html::evaluation(&results()));
    browser.call("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    browser.open(&page.0, 1280, "light");
    assert_eq!(browser.eval(SHOWN), 8);
    assert_eq!(browser.eval("document.querySelector('.controls').checkVisibility()"), false);
    assert_eq!(browser.eval("document.querySelectorAll('.output').length"), 22);
}

#[test]
fn thousands_of_results_stay_usable() {
    let Some(mut browser) = Browser::start("large") else { return };
    let few = results();
    let mut large = Results { results: Vec::new(), ..few.clone() };
    for test_index in 0..1250 {
        for (provider, outcome) in few.results.iter().cycle().skip(test_index).take(4).enumerate() {
            let provider = format!("provider {provider}");
            large.results.push(Outcome {
                provider,
                label: None,
                test_index,
                prompt_index: 0,
                ..outcome.clone()
            });
        }
    }
    let page = Page::new("large", &html::evaluation(&large));
    browser.open(&page.0, 1280, "light");
    assert_eq!(browser.eval("document.querySelectorAll('.cell').length"), 5000);
    browser.check_page("5,000 cells");
    // Times of a busy machine, in a build that is not optimized: a page that lays out everything takes many times as long.
    let taken = browser.eval(
        "(() => { const start = performance.now(); document.querySelector('[data-filter=failed]').click(); \
         document.body.offsetHeight; return performance.now() - start; })()",
    );
    assert!(taken.as_f64().unwrap() < 2000.0, "{taken} ms");
}

#[test]
fn the_load_test_is_readable_everywhere() {
    let Some(mut browser) = Browser::start("load") else { return };
    let page = Page::new("load", &html::load(&load()));
    for width in [390, 768, 1280, 1920] {
        for scheme in ["light", "dark"] {
            browser.open(&page.0, width, scheme);
            browser.check_page(&format!("{width} px, {scheme}"));
            browser.screenshot(&format!("load-{width}-{scheme}.png"));
        }
    }
    browser.open(&page.0, 1280, "light");
    for (index, section) in ["throughput", "against", "distribution", "definitions"].into_iter().enumerate() {
        browser.eval(&format!("document.querySelector('#{section}').scrollIntoView()"));
        browser.screenshot(&format!("load-section-{index}.png"));
    }
    browser.open(&page.0, 390, "dark");
    browser.eval("document.querySelector('#latency').scrollIntoView()");
    browser.screenshot("load-phone-latency.png");
}

#[test]
fn plots_show_the_figures_of_the_tables() {
    let Some(mut browser) = Browser::start("plots") else { return };
    let report = load();
    let page = Page::new("plots", &html::load(&report));
    browser.open(&page.0, 1280, "light");
    // Three percentiles of two targets at four levels, for each latency.
    assert_eq!(browser.eval("document.querySelectorAll('#against ~ .plots circle').length"), 4 * 2 * 3 * 4);
    let points = browser.eval(
        "[...document.querySelector('#against ~ .plots .plot').querySelectorAll('circle')].map((e) => \
         [e.textContent, e.cy.baseVal.value])",
    );
    let points = points.as_array().unwrap();
    let ttft = |level: usize| report.targets[0].levels[level].ttft.as_ref().unwrap();
    let text = points[0][0].as_str().unwrap();
    assert!(text.starts_with(&format!("llama-3-1-8b, p50: {:.1}", ttft(0).p50)), "{text}");
    // The axis starts at zero, so heights are in the ratio of the values.
    let base = 260.0 - 44.0;
    let height = |point: usize| base - points[point][1].as_f64().unwrap();
    let ratio = height(3) / height(0);
    assert!((ratio / (ttft(3).p50 / ttft(0).p50) - 1.0).abs() < 0.05, "{ratio}");
    // All are within the plot.
    let outside = browser.eval(
        "[...document.querySelectorAll('.plot *:not(title)')].filter((e) => { const a = e.getBoundingClientRect(), b = \
         e.closest('svg').getBoundingClientRect(); return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || \
         a.bottom > b.bottom + 1; }).map((e) => e.outerHTML)",
    );
    assert_eq!(outside, json!([]));
    // Each distribution rises to all responses.
    let rises = browser.eval(
        "[...document.querySelectorAll('#distribution ~ .plots polyline')].every((e) => { const y = \
         [...e.points].map((point) => point.y); return y.every((v, i) => i === 0 || v <= y[i - 1]) && Math.abs(y.at(-1) - 12) < 1; })",
    );
    assert_eq!(rises, true);
}

#[test]
fn load_tests_without_figures_have_a_report() {
    let Some(mut browser) = Browser::start("no-figures") else { return };
    let mut report = load();
    report.interrupted = true;
    report.targets[1].name = "</script><script>document.title = 'taken'</script>".into();
    report.targets[1].levels.clear();
    for level in &mut report.targets[0].levels {
        (level.ttft, level.tpot, level.itl, level.e2el, level.goodput) = (None, None, None, None, None);
        (level.output_token_throughput, level.request_throughput) = (0.0, f64::NAN);
    }
    for report in [report, LoadReport::default()] {
        let page = Page::new("no-figures", &html::load(&report));
        browser.open(&page.0, 390, "light");
        browser.check_page("without figures");
        assert_ne!(browser.eval("document.title"), "taken");
        assert_eq!(browser.eval("document.body.innerHTML.includes('NaN')"), false);
    }
}
