// Vercel's AI SDK: its providers for OpenAI (Responses and chat), OpenAI-compatible servers, Anthropic and Bedrock.

import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embedMany, generateText, jsonSchema, streamText, tool } from 'ai';
import * as common from './common.mjs';

const { assert, GATEWAY, KEY, PROMPT, TEXT, CHAT, CLAUDE, MODELS, REASON } = common;
const providers = (apiKey = KEY, secretAccessKey = common.CREDENTIALS.secretAccessKey) => {
  const openai = createOpenAI({ baseURL: `${GATEWAY}/v1`, apiKey });
  const { accessKeyId } = common.CREDENTIALS;
  return {
    responses: (model) => openai.responses(model),
    chat: (model) => openai.chat(model),
    compatible: createOpenAICompatible({ name: 'gateway', baseURL: `${GATEWAY}/v1`, apiKey }),
    anthropic: createAnthropic({ baseURL: `${GATEWAY}/v1`, apiKey }),
    bedrock: createAmazonBedrock({ baseURL: GATEWAY, region: common.REGION, accessKeyId, secretAccessKey, apiKey: '' }),
  };
};
const weather = tool({ description: 'Of a city', inputSchema: jsonSchema(common.PARAMETERS) });
const settings = { maxRetries: 0, maxOutputTokens: 900 };

await common.main({
  async unary() {
    for (const [name, provider] of Object.entries(providers())) {
      for (const model of MODELS) {
        const result = await generateText({ model: provider(model), prompt: PROMPT, ...settings });
        assert.deepEqual([name, result.text, result.finishReason], [name, TEXT, 'stop']);
        assert.ok(result.usage.outputTokens > 0, name);
      }
    }
  },
  async streamed() {
    for (const [name, provider] of Object.entries(providers())) {
      for (const model of MODELS) {
        const result = streamText({ model: provider(model), prompt: PROMPT, ...settings });
        const pieces = await common.all(result.textStream);
        assert.equal(pieces.join(''), TEXT, name);
        assert.equal(await result.finishReason, 'stop', name);
      }
    }
  },
  async tools() {
    for (const [name, provider] of Object.entries(providers())) {
      for (const model of [CHAT, CLAUDE]) {
        const request = { model: provider(model), prompt: PROMPT, tools: { weather }, toolChoice: 'required' };
        const whole = await generateText({ ...request, ...settings });
        assert.deepEqual(whole.toolCalls.map((call) => call.input), [{ city: PROMPT }], name);
        const calls = await streamText({ ...request, ...settings }).toolCalls;
        assert.deepEqual(calls.map((call) => [call.toolName, call.input]), [['weather', { city: PROMPT }]], name);
      }
    }
  },
  async images() {
    const image = Buffer.from(common.PNG, 'base64');
    const content = [{ type: 'text', text: PROMPT }, { type: 'image', image, mediaType: 'image/png' }];
    for (const [name, provider] of Object.entries(providers())) {
      const messages = [{ role: 'user', content }];
      const { text } = await generateText({ model: provider(CHAT), messages, ...settings });
      assert.equal(text, TEXT, name);
    }
  },
  async embeddings() {
    const openai = createOpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY });
    const model = openai.embedding(common.EMBEDDINGS);
    assert.deepEqual((await embedMany({ model, values: ['a', 'b'], maxRetries: 0 })).embeddings, common.VECTORS);
  },
  async errors() {
    const ask = (model) => generateText({ model, prompt: PROMPT, ...settings });
    for (const [name, provider] of Object.entries(providers())) {
      for (const [call, status, reason] of [
        [() => ask(providers('wrong', 'wrong')[name](CHAT)), name === 'bedrock' ? 403 : 401, ''],
        [() => ask(provider(common.UNKNOWN)), 404, ''],
        [() => ask(provider(common.REFUSING)), name === 'bedrock' ? 424 : 400, REASON],
      ]) {
        const error = await common.fails(call);
        assert.ok(APICallError.isInstance(error), `${name}: ${error}`);
        assert.equal(error.statusCode, status, name);
        assert.ok(error.message.includes(reason), `${name}: ${error.message}`);
      }
    }
  },
  async broken_streams() {
    for (const [name, provider] of Object.entries(providers())) {
      for (const model of common.BROKEN) {
        const errors = [];
        const onError = ({ error }) => errors.push(error);
        const result = streamText({ model: provider(model), prompt: PROMPT, ...settings, onError });
        let seen = '';
        try {
          for await (const part of result.fullStream) {
            if (part.type === 'text-delta') seen += part.text;
            if (part.type === 'error') errors.push(part.error);
            if (part.type === 'finish') assert.notEqual(part.finishReason, 'stop', name);
          }
        } catch (error) {
          errors.push(error);
        }
        assert.ok(errors.length, `${name}: no error after ${seen}`);
        assert.ok(TEXT.startsWith(seen) && seen !== TEXT, `${name}: ${seen}`);
      }
    }
  },
});
