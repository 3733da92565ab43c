// The SDK of OpenAI: chat completions, embeddings, models and Responses.

import OpenAI from 'openai';
import * as common from './common.mjs';

const { assert, GATEWAY, KEY, PROMPT, TEXT, CHAT, CLAUDE, MODELS, UNKNOWN, REASON } = common;
const client = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY, maxRetries: 0 });
const tools = [{ type: 'function', function: { name: 'weather', parameters: common.PARAMETERS } }];
const user = (content = PROMPT) => [{ role: 'user', content }];
const delta = (chunk) => chunk.choices[0]?.delta?.content;

await common.main({
  async unary() {
    for (const model of MODELS) {
      const completion = await client.chat.completions.create({ model, messages: user(), max_tokens: 500 });
      assert.equal(completion.choices[0].message.content, TEXT);
      assert.equal(completion.choices[0].finish_reason, 'stop');
      assert.ok(completion.usage.completion_tokens > 0 && completion._request_id);
    }
  },
  async streamed() {
    for (const model of MODELS) {
      const stream_options = { include_usage: true };
      const request = { model, messages: user(), max_tokens: 500, stream: true, stream_options };
      const chunks = await common.all(client.chat.completions.create(request));
      assert.equal(chunks.map((chunk) => delta(chunk) ?? '').join(''), TEXT);
      assert.equal(chunks.filter((chunk) => chunk.usage).length, 1);
      const helper = client.chat.completions.stream({ model, messages: user(), max_tokens: 500 });
      assert.equal(await helper.finalContent(), TEXT);
    }
  },
  async tools() {
    for (const model of [CHAT, CLAUDE]) {
      const request = { model, messages: user(), tools, tool_choice: 'required' };
      const completion = await client.chat.completions.create(request);
      const [call] = completion.choices[0].message.tool_calls;
      assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ['weather', { city: PROMPT }]);
      const helper = client.chat.completions.stream(request);
      const message = await helper.finalMessage();
      assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: PROMPT });
      const result = { role: 'tool', tool_call_id: call.id, content: 'sunny' };
      const messages = [...user(), completion.choices[0].message, result];
      const next = await client.chat.completions.create({ model, messages, tools });
      assert.ok(next.choices[0].message.content);
    }
  },
  async images() {
    const url = `data:image/png;base64,${common.PNG}`;
    const content = [{ type: 'text', text: PROMPT }, { type: 'image_url', image_url: { url } }];
    for (const model of [CHAT, CLAUDE]) {
      const completion = await client.chat.completions.create({ model, messages: user(content) });
      assert.equal(completion.choices[0].message.content, TEXT);
    }
  },
  async embeddings() {
    for (const encoding_format of [undefined, 'float']) {
      const request = { model: common.EMBEDDINGS, input: ['a', 'b'], encoding_format };
      const response = await client.embeddings.create(request);
      assert.deepEqual(response.data.map((data) => [...data.embedding]), common.VECTORS);
    }
  },
  async models() {
    const listed = (await common.all(client.models.list())).map((model) => model.id);
    for (const model of MODELS) assert.ok(listed.includes(model), listed);
  },
  async responses() {
    for (const model of MODELS) {
      const response = await client.responses.create({ model, input: PROMPT, store: false });
      assert.deepEqual([response.output_text, response.status], [TEXT, 'completed']);
      const stream = client.responses.stream({ model, input: PROMPT, store: false });
      const final = await stream.finalResponse();
      assert.equal(final.output_text, TEXT);
    }
  },
  async errors() {
    const other = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: 'wrong', maxRetries: 0 });
    for (const stream of [false, true]) {
      const create = (model, sdk = client) => sdk.chat.completions.create({ model, messages: user(), stream });
      await common.raises(OpenAI.AuthenticationError, () => create(CHAT, other));
      const unknown = await common.raises(OpenAI.NotFoundError, () => create(UNKNOWN));
      assert.equal(unknown.code, 'model_not_found');
      const refusing = await common.raises(OpenAI.BadRequestError, () => create(common.REFUSING));
      assert.match(refusing.message, new RegExp(REASON));
      assert.ok(refusing.requestID);
      const failing = await common.raises(OpenAI.InternalServerError, () => create(common.FAILING));
      assert.match(failing.message, new RegExp(REASON));
    }
  },
  async broken_streams() {
    for (const model of common.BROKEN) {
      const request = { model, messages: user(), stream: true };
      const error = await common.breaks(() => client.chat.completions.create(request), delta);
      assert.ok(error instanceof OpenAI.APIError, error);
      await common.fails(() => client.chat.completions.stream({ model, messages: user() }).finalContent());
      // OpenAI's own way: the stream ends with `response.failed`, and nothing raises.
      const final = await client.responses.stream({ model, input: PROMPT, store: false }).finalResponse();
      assert.deepEqual([final.status, final.output_text === TEXT], ['failed', false]);
    }
  },
});
