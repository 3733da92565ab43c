//! Runs an evaluation: every test with every prompt and every provider.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use futures_util::stream::{self, StreamExt};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::assertion::{Graders, Subject, Verdict};
use crate::config::{PromptTemplate, Suite, Test};
use crate::provider::{CallError, Connector, Prompt, Provider, Spec};
use crate::results::{Outcome, Results, Stats};
use crate::template;

/// The version of the results.
const VERSION: u32 = 1;

/// An evaluation whose providers are connected.
#[derive(Debug)]
pub struct Evaluation {
    suite: Arc<Suite>,
    cases: Vec<Case>,
    graders: Vec<Graders>,
}

/// A call: a test with a prompt and a provider.
#[derive(Clone, Debug)]
struct Case {
    test: usize,
    prompt: usize,
    repeat: usize,
    spec: Arc<Spec>,
    provider: Arc<Provider>,
}

/// What identifies the outcome of a case, when an evaluation is resumed.
type Identity = (String, Option<String>, String, usize, String, usize);

impl Evaluation {
    /// Connects the providers of a suite. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// A profile or a URL of a provider is invalid.
    pub async fn new(suite: Suite, connector: &mut Connector) -> Result<Self, CallError> {
        let mut providers = Vec::new();
        for spec in &suite.providers {
            providers.push((Arc::clone(spec), connector.connect(spec).await?));
        }
        let mut graders = Vec::new();
        for test in &suite.tests {
            graders.push(connect_graders(test, connector).await?);
        }
        let mut cases = Vec::new();
        for (test_index, test) in suite.tests.iter().enumerate() {
            for repeat in 0..suite.repeat {
                for (spec, provider) in providers.iter().filter(|(spec, _)| test.selects(spec)) {
                    for (prompt_index, prompt) in suite.prompts.iter().enumerate() {
                        let is_selected = spec.prompts.as_deref().is_none_or(|names| prompt.is_in(names))
                            && test.prompts.as_deref().is_none_or(|names| prompt.is_in(names));
                        if is_selected {
                            let (spec, provider) = (Arc::clone(spec), Arc::clone(provider));
                            cases.push(Case {
                                test: test_index,
                                prompt: prompt_index,
                                repeat,
                                spec,
                                provider,
                            });
                        }
                    }
                }
            }
        }
        Ok(Self { suite: Arc::new(suite), cases, graders })
    }

    /// The number of calls.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether there is nothing to call.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Runs until everything is done, or until `interrupt` is ready; then calls that have not ended are dropped, and counted as
    /// skipped. Outcomes in `previous` without an error are not run again. `on_outcome` is called with each outcome as it is
    /// there.
    pub async fn run(
        &self,
        previous: Option<Results>,
        interrupt: impl Future<Output = ()>,
        mut on_outcome: impl FnMut(&Outcome),
    ) -> Results {
        let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let mut known: HashMap<Identity, Outcome> = previous
            .into_iter()
            .flat_map(|results| results.results)
            .filter(|outcome| outcome.error.is_none())
            .map(|outcome| (identity(&outcome), outcome))
            .collect();
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(self.cases.len());
        let mut calls = Vec::new();
        for (index, case) in self.cases.iter().enumerate() {
            let (outcome, prompt) = self.outcome(case);
            match (known.remove(&identity(&outcome)), prompt) {
                (Some(known), _) => {
                    on_outcome(&known);
                    outcomes.push(Some(known));
                }
                (None, Ok(prompt)) => {
                    outcomes.push(None);
                    calls.push((index, case, outcome, prompt));
                }
                (None, Err(error)) => {
                    let outcome = Outcome { error: Some(error), ..outcome };
                    on_outcome(&outcome);
                    outcomes.push(Some(outcome));
                }
            }
        }
        let calls = calls.into_iter().map(|(index, case, outcome, prompt)| async move {
            (index, self.call(case, outcome, &prompt).await)
        });
        let mut running = stream::iter(calls).buffer_unordered(self.suite.max_concurrency.max(1));
        let mut interrupt = pin!(interrupt);
        while let Either::Left((Some((index, outcome)), _)) = select(running.next(), interrupt.as_mut()).await
        {
            on_outcome(&outcome);
            outcomes[index] = Some(outcome);
        }
        let skipped = outcomes.iter().filter(|outcome| outcome.is_none()).count();
        let results: Vec<_> = outcomes.into_iter().flatten().collect();
        let stats = Stats { skipped, ..stats(&results) };
        Results {
            version: VERSION,
            timestamp: now,
            description: self.suite.description.clone(),
            results,
            stats,
        }
    }

    /// The outcome of a case before its call, and its prompt, or why it cannot be made.
    fn outcome(&self, case: &Case) -> (Outcome, Result<Prompt, String>) {
        let (test, template) = (&self.suite.tests[case.test], &self.suite.prompts[case.prompt]);
        let text = prompt(template, test);
        let outcome = Outcome {
            provider: case.spec.id.clone(),
            label: case.spec.label.clone(),
            prompt: text.as_ref().unwrap_or(&template.text).clone(),
            prompt_index: case.prompt,
            test_index: case.test,
            repeat_index: case.repeat,
            description: test.description.clone(),
            vars: test.vars.clone(),
            ..Outcome::default()
        };
        let prompt = text.map(|text| Prompt { text, vars: test.vars.clone(), repeat: case.repeat });
        (outcome, prompt.map_err(|reason| format!("the prompt is not a valid template: {reason}")))
    }

    async fn call(&self, case: &Case, outcome: Outcome, prompt: &Prompt) -> Outcome {
        let reply = match case.provider.chat(prompt).await {
            Ok(reply) => reply,
            Err(error) => return Outcome { error: Some(error.to_string()), ..outcome },
        };
        let cost = reply.tokens.and_then(|tokens| case.spec.cost(tokens));
        let test = &self.suite.tests[case.test];
        let subject =
            Subject { prompt: &prompt.text, reply: &reply, vars: &test.vars, cost, tools: &case.spec.tools };
        let (mut checks, mut error) = (Vec::new(), None);
        for assertion in &test.assertions {
            match assertion.check(&subject, &self.graders[case.test]).await {
                Ok(check) => checks.push(check),
                Err(failed) => error = error.or(Some(failed.to_string())),
            }
        }
        let verdict = Verdict::new(&checks, test.threshold);
        Outcome {
            latency_ms: Some(reply.latency.as_millis().try_into().unwrap_or(u64::MAX)),
            tokens: reply.tokens,
            cost,
            finish_reason: reply.finish_reason,
            cached: reply.cached,
            output: Some(reply.output),
            success: verdict.pass && error.is_none(),
            score: if error.is_none() { verdict.score } else { 0.0 },
            error,
            checks,
            ..outcome
        }
    }
}

/// The prompt with the variables of a test. In a conversation the variables are replaced in each text, so that quotes in them do no
/// harm.
fn prompt(template: &PromptTemplate, test: &Test) -> Result<String, String> {
    let text = match serde_json::from_str::<Value>(&template.text) {
        Ok(json @ (Value::Array(_) | Value::Object(_))) => render_all(&json, &test.vars)?.to_string(),
        _ => template::render(&template.text, &test.vars)?,
    };
    Ok(format!("{}{text}{}", test.prefix, test.suffix))
}

/// Replaces the variables of all texts in a value.
fn render_all(value: &Value, vars: &Map<String, Value>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => template::render(text, vars)?.into(),
        Value::Array(items) => {
            items.iter().map(|item| render_all(item, vars)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Value::Object(map) => {
            let field = |(key, value): (&String, &Value)| Ok((key.clone(), render_all(value, vars)?));
            map.iter().map(field).collect::<Result<Map<_, _>, String>>()?.into()
        }
        other => other.clone(),
    })
}

fn identity(outcome: &Outcome) -> Identity {
    let vars = Value::Object(outcome.vars.clone()).to_string();
    let (provider, label, prompt) = (outcome.provider.clone(), outcome.label.clone(), outcome.prompt.clone());
    (provider, label, prompt, outcome.test_index, vars, outcome.repeat_index)
}

fn stats(results: &[Outcome]) -> Stats {
    let mut stats = Stats::default();
    for outcome in results {
        match (&outcome.error, outcome.success) {
            (Some(_), _) => stats.errors += 1,
            (None, true) => stats.successes += 1,
            (None, false) => stats.failures += 1,
        }
        if let Some(tokens) = outcome.tokens.filter(|_| !outcome.cached) {
            stats.tokens.prompt += tokens.prompt;
            stats.tokens.completion += tokens.completion;
            stats.tokens.total += tokens.total;
        }
    }
    stats
}

async fn connect_graders(test: &Test, connector: &mut Connector) -> Result<Graders, CallError> {
    let mut graders = Graders::default();
    if let Some(spec) = &test.graders.text {
        graders.text = Some(connector.connect(spec).await?);
    }
    if let Some(spec) = &test.graders.embedding {
        graders.embedding = Some(connector.connect(spec).await?);
    }
    for (key, spec) in &test.graders.named {
        graders.named.insert(key.clone(), connector.connect(spec).await?);
    }
    Ok(graders)
}

impl Test {
    fn selects(&self, spec: &Spec) -> bool {
        self.providers.as_deref().is_none_or(|names| names.iter().any(|name| spec.is_named(name)))
    }
}

impl PromptTemplate {
    /// Whether a name in a list is that of this prompt: its ID or label, or the text itself. `NAME*` and `NAME:*` are all that begin
    /// with it, as in promptfoo.
    fn is_in(&self, names: &[String]) -> bool {
        let own = || [self.id.as_deref(), self.label.as_deref(), Some(&self.text)].into_iter().flatten();
        names.iter().any(|name| match name.strip_suffix('*') {
            Some(start) => own().any(|own| own.starts_with(start)),
            None => own().any(|own| own == name || own.starts_with(&format!("{name}:"))),
        })
    }
}

/// Which parts of a suite run.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Filter {
    /// The descriptions of tests have to match.
    pub pattern: Option<regex::Regex>,
    /// The IDs or labels of providers have to match.
    pub providers: Option<regex::Regex>,
    /// The number of tests, from the first that match.
    pub first: Option<usize>,
}

impl Filter {
    /// Removes everything else from a suite.
    pub fn apply(&self, suite: &mut Suite) {
        if let Some(pattern) = &self.providers {
            let is_selected = |spec: &Arc<Spec>| {
                pattern.is_match(&spec.id)
                    || spec.label.as_deref().is_some_and(|label| pattern.is_match(label))
            };
            suite.providers.retain(is_selected);
        }
        if let Some(pattern) = &self.pattern {
            suite.tests.retain(|test| test.description.as_deref().is_some_and(|text| pattern.is_match(text)));
        }
        if let Some(first) = self.first {
            suite.tests.truncate(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vars(json: &Value) -> Map<String, Value> {
        json.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn variables_in_a_conversation_are_replaced_in_each_text() {
        let template = PromptTemplate {
            text: r#"[{"role":"user","content":"About {{ topic }}"}]"#.into(),
            ..PromptTemplate::default()
        };
        let test = Test { vars: vars(&json!({"topic": "\"quotes\"\nand lines"})), ..Test::default() };
        let text = prompt(&template, &test).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!([{"role": "user", "content": "About \"quotes\"\nand lines"}])
        );
        let template = PromptTemplate { text: "A {{ topic }}!".into(), ..PromptTemplate::default() };
        let test = Test {
            prefix: "<".into(),
            suffix: ">".into(),
            vars: vars(&json!({"topic": 1})),
            ..Test::default()
        };
        assert_eq!(prompt(&template, &test).unwrap(), "<A 1!>");
    }
}
