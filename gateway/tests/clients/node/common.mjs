// What the scripts of the Node clients share: the gateway's address and keys, and a list of checks.
//
// Each script prints a line for each check.

import assert from 'node:assert/strict';

export { assert };
export const GATEWAY = process.env.GATEWAY;
export const KEY = process.env.GATEWAY_KEY;
export const REGION = 'us-east-1';
export const CREDENTIALS = {
  accessKeyId: process.env.GATEWAY_ACCESS_KEY_ID,
  secretAccessKey: process.env.GATEWAY_SECRET_ACCESS_KEY,
};
// With this text, an echo, every container responds to the prompt.
export const { PROMPT, TEXT } = process.env;
// Containers of three APIs.
export const [CHAT, TGI, CLAUDE] = ['chat', 'tgi', 'claude'];
export const MODELS = [CHAT, TGI, CLAUDE];
// A container that refuses, with this message, and one that fails.
export const [REFUSING, FAILING, REASON] = ['refusing', 'failing', "the container's own reason"];
// Streams that break: with an exception, and without the end of the body.
export const BROKEN = ['broken', 'cut'];
export const UNKNOWN = 'no-such-model';
export const EMBEDDINGS = 'embeddings';
export const VECTORS = [[0.25, -0.5, 1.0], [2.0, 0.0, -4.0]];
// A picture of one pixel.
export const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
export const PARAMETERS = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };

// The error that a call raises, of this class.
export async function raises(expected, call) {
  let result;
  try {
    result = await call();
  } catch (error) {
    assert.equal(error.constructor.name, expected.name, `${error.stack}`);
    return error;
  }
  throw new Error(`no ${expected.name}, but ${JSON.stringify(result)}`);
}

// Any error that a call raises.
export async function fails(call) {
  let result;
  try {
    result = await call();
  } catch (error) {
    return error;
  }
  throw new Error(`no error, but ${JSON.stringify(result)}`);
}

// Reads a stream that breaks. It has to raise, after some of the text and before all of it.
export async function breaks(stream, text) {
  let seen = '';
  const error = await fails(async () => {
    for await (const event of await stream()) seen += text(event) ?? '';
  });
  assert.ok(seen && TEXT.startsWith(seen) && seen !== TEXT, `${seen} before ${error}`);
  return error;
}

export async function all(stream) {
  const events = [];
  for await (const event of await stream) events.push(event);
  return events;
}

export async function main(checks) {
  const only = process.argv.slice(2);
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    if (only.length && !only.includes(name)) continue;
    try {
      await check();
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}\n${error?.stack ?? error}`);
    }
  }
  console.log(`${Object.keys(checks).length - failed} of ${Object.keys(checks).length} checks passed`);
  process.exit(failed ? 1 : 0);
}
