// Runs a configuration with promptfoo, and prints one JSON line for each result: provider, variables, prompt, and whether it passed.
import { readFileSync } from 'node:fs';
import yaml from 'js-yaml';
import promptfoo from 'promptfoo';

const suite = yaml.load(readFileSync(process.argv[2], 'utf8'));
const evaluation = await promptfoo.evaluate({ ...suite, writeLatestResults: false }, { cache: false, maxConcurrency: 1 });
const summary = evaluation.toEvaluateSummary ? await evaluation.toEvaluateSummary() : evaluation;
for (const { provider, vars, prompt, success, error, response, gradingResult } of summary.results) {
  const checks = (gradingResult?.componentResults ?? []).map(({ assertion, pass }) => [assertion?.type, pass]);
  const failed = response?.error !== undefined || response?.output === undefined;
  const line = { provider: provider.id, vars, prompt: prompt.raw, success, failed, checks, error };
  process.stdout.write(`result ${JSON.stringify(line)}\n`);
}
process.exit(0);
