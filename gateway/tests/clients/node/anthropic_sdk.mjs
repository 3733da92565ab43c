// The SDK of Anthropic.

import Anthropic from '@anthropic-ai/sdk';
import * as common from './common.mjs';

const { assert, GATEWAY, KEY, PROMPT, TEXT, CHAT, CLAUDE, MODELS, REASON } = common;
const client = new Anthropic({ baseURL: GATEWAY, apiKey: KEY, maxRetries: 0 });
const tools = [{ name: 'weather', input_schema: common.PARAMETERS }];
const request = (model, content = PROMPT, more = {}) => {
  return { model, max_tokens: 1000, messages: [{ role: 'user', content }], ...more };
};

await common.main({
  async unary() {
    for (const model of MODELS) {
      const more = model === common.TGI ? {} : { system: 'Be brief.' };
      const message = await client.messages.create(request(model, PROMPT, more));
      assert.deepEqual([message.content[0].text, message.stop_reason], [TEXT, 'end_turn']);
      assert.ok(message.usage.output_tokens > 0 && message._request_id);
    }
  },
  async streamed() {
    for (const model of MODELS) {
      assert.equal(await client.messages.stream(request(model)).finalText(), TEXT);
      const events = await common.all(client.messages.create(request(model, PROMPT, { stream: true })));
      assert.equal(events.at(-1).type, 'message_stop');
      assert.equal(events.map((event) => event.delta?.text ?? '').join(''), TEXT);
    }
  },
  async tools() {
    for (const model of [CHAT, CLAUDE]) {
      const asked = request(model, PROMPT, { tools, tool_choice: { type: 'any' } });
      const message = await client.messages.create(asked);
      const call = message.content.at(-1);
      assert.deepEqual([call.name, call.input, message.stop_reason], ['weather', { city: PROMPT }, 'tool_use']);
      const final = await client.messages.stream(asked).finalMessage();
      assert.deepEqual(final.content.at(-1).input, { city: PROMPT });
      const result = { type: 'tool_result', tool_use_id: call.id, content: 'sunny' };
      const messages = [...asked.messages, { role: 'assistant', content: message.content }];
      messages.push({ role: 'user', content: [result] });
      assert.ok((await client.messages.create({ model, max_tokens: 100, messages, tools })).content.length);
    }
  },
  async images() {
    const source = { type: 'base64', media_type: 'image/png', data: common.PNG };
    const content = [{ type: 'text', text: PROMPT }, { type: 'image', source }];
    for (const model of [CHAT, CLAUDE]) {
      assert.equal((await client.messages.create(request(model, content))).content[0].text, TEXT);
    }
  },
  async errors() {
    const other = new Anthropic({ baseURL: GATEWAY, apiKey: 'wrong', maxRetries: 0 });
    for (const stream of [false, true]) {
      const create = (model, sdk = client) => sdk.messages.create(request(model, PROMPT, { stream }));
      await common.raises(Anthropic.AuthenticationError, () => create(CHAT, other));
      await common.raises(Anthropic.NotFoundError, () => create(common.UNKNOWN));
      const refusing = await common.raises(Anthropic.BadRequestError, () => create(common.REFUSING));
      assert.match(refusing.message, new RegExp(REASON));
      assert.ok(refusing.requestID);
      const failing = await common.raises(Anthropic.InternalServerError, () => create(common.FAILING));
      assert.match(failing.message, new RegExp(REASON));
    }
  },
  async broken_streams() {
    for (const model of common.BROKEN) {
      const asked = request(model, PROMPT, { stream: true });
      const error = await common.breaks(() => client.messages.create(asked), (event) => event.delta?.text);
      assert.ok(error instanceof Anthropic.APIError, error);
      await common.fails(() => client.messages.stream(request(model)).finalMessage());
    }
  },
});
