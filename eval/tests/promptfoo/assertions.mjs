// Compares the vectors of testdata/assertions.json with promptfoo itself:
//
//   npm install promptfoo@0.120.0 && node eval/tests/promptfoo/assertions.mjs
//
// A vector with the field "promptfoo" says why it differs there; all others have to give the same pass and score.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

process.env.PROMPTFOO_DISABLE_TELEMETRY = '1';
process.env.PROMPTFOO_DISABLE_UPDATE = '1';
const installed = createRequire(path.join(process.cwd(), 'x.js')).resolve('promptfoo');
const { assertions } = (await import(pathToFileURL(installed))).default;

const directory = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../testdata');
const vectors = JSON.parse(fs.readFileSync(path.join(directory, 'assertions.json'), 'utf8')).assertions;
process.chdir(path.join(directory, 'expected'));

function grader(vector, response) {
  return {
    id: () => 'grader',
    callApi: async () => (vector.grader_error ? { error: vector.grader_error } : { output: response }),
    callEmbeddingApi: async (text) => {
      const embedding = text === 'answer' ? [1, 0] : vector.embeddings?.[text];
      return embedding ? { embedding } : { error: `no embedding of ${text}` };
    },
  };
}

async function run(vector, assertion) {
  const output = vector.times ? vector.output.repeat(vector.times) : vector.output;
  const text = grader(vector, vector.grader ?? '');
  const provider = { id: () => 'provider', config: { tools: vector.tools, functions: vector.tools?.map((tool) => tool.function) } };
  const named = vector.named && Object.values(vector.named)[0];
  const own = named ? { provider: grader(vector, named) } : {};
  const test = {
    vars: vector.vars ?? {},
    assert: [{ ...assertion, ...own }],
    options: { provider: { text, embedding: text } },
  };
  const providerResponse = {
    output: vector.tool_calls ? { tool_calls: vector.tool_calls } : output,
    cost: vector.cost,
    finishReason: vector.finish_reason,
  };
  const prompt = vector.prompt || 'prompt';
  return assertions.runAssertions({ prompt, provider, providerResponse, test, latencyMs: vector.cached ? undefined : vector.latency ?? 0 });
}

const outcome = async (vector) => {
  try {
    const { pass, score } = await run(vector, structuredClone(vector.assert));
    return { pass, score };
  } catch (error) {
    return { error: String(error.message).split('\n')[0] };
  }
};

let same = 0;
const failures = [];
// Texts that take other than linear time there are left out.
const linear = vectors.filter((vector) => !vector.times);
for (const vector of linear) {
  const theirs = await outcome(vector);
  const decided = vector.pass !== undefined;
  const score = vector.score ?? Number(vector.pass);
  const agrees = decided
    ? theirs.pass === vector.pass && Math.abs(theirs.score - score) < 1e-3
    : theirs.error !== undefined || theirs.pass === false;
  if (agrees === (vector.promptfoo === undefined)) {
    same += 1;
    continue;
  }
  failures.push(`${vector.why}: ${JSON.stringify(vector.assert)}\n  ours: ${JSON.stringify({ pass: vector.pass, score, error: vector.error ?? vector.invalid })}\n  promptfoo: ${JSON.stringify(theirs)}${vector.promptfoo ? `\n  said to differ: ${vector.promptfoo}` : ''}`);
}
console.log(failures.join('\n'));
console.log(`${same} of ${linear.length} as expected`);
process.exit(failures.length ? 1 : 0);
