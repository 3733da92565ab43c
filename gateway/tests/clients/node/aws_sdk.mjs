// AWS's SDK: the clients of Bedrock Runtime, over HTTP/2 as is its default, and of SageMaker Runtime, over HTTP/1.1. It is run for an
// address without TLS, and for one with it.

import * as bedrock from '@aws-sdk/client-bedrock-runtime';
import * as sagemaker from '@aws-sdk/client-sagemaker-runtime';
import * as common from './common.mjs';

const { assert, GATEWAY, PROMPT, TEXT, CHAT, CLAUDE, MODELS, REASON } = common;
const options = { endpoint: GATEWAY, region: common.REGION, credentials: common.CREDENTIALS, maxAttempts: 1 };
const client = new bedrock.BedrockRuntimeClient(options);
const endpoints = new sagemaker.SageMakerRuntimeClient(options);
const secretAccessKey = 'wrong';
const wrong = { ...options, credentials: { ...common.CREDENTIALS, secretAccessKey } };
const toolConfig = {
  tools: [{ toolSpec: { name: 'weather', inputSchema: { json: common.PARAMETERS } } }],
  toolChoice: { any: {} },
};
const conversation = (content = [{ text: PROMPT }]) => [{ role: 'user', content }];
const converse = (modelId, more = {}, sdk = client) =>
  sdk.send(new bedrock.ConverseCommand({ modelId, messages: conversation(), ...more }));
const stream = async (modelId, more = {}, sdk = client) =>
  (await sdk.send(new bedrock.ConverseStreamCommand({ modelId, messages: conversation(), ...more }))).stream;
const text = (event) => event.contentBlockDelta?.delta?.text;

await common.main({
  async unary() {
    for (const modelId of MODELS) {
      const response = await converse(modelId);
      assert.deepEqual(response.output.message.content, [{ text: TEXT }]);
      assert.equal(response.stopReason, 'end_turn');
      assert.ok(response.usage.outputTokens > 0 && response.$metadata.requestId);
    }
  },
  async streamed() {
    for (const modelId of MODELS) {
      const events = await common.all(stream(modelId));
      assert.equal(events.map((event) => text(event) ?? '').join(''), TEXT);
      assert.equal(events.find((event) => event.messageStop).messageStop.stopReason, 'end_turn');
    }
  },
  async tools() {
    for (const modelId of [CHAT, CLAUDE]) {
      const response = await converse(modelId, { toolConfig });
      const { toolUse } = response.output.message.content.at(-1);
      assert.deepEqual([toolUse.name, toolUse.input, response.stopReason], ['weather', { city: PROMPT }, 'tool_use']);
      const events = await common.all(stream(modelId, { toolConfig }));
      const input = events.map((event) => event.contentBlockDelta?.delta?.toolUse?.input ?? '').join('');
      assert.deepEqual(JSON.parse(input), { city: PROMPT });
      const toolResult = { toolUseId: toolUse.toolUseId, content: [{ text: 'sunny' }] };
      const messages = [...conversation(), response.output.message, { role: 'user', content: [{ toolResult }] }];
      const next = await converse(modelId, { messages, toolConfig: { tools: toolConfig.tools } });
      assert.ok(next.output.message.content.length);
    }
  },
  async images() {
    const image = { format: 'png', source: { bytes: Buffer.from(common.PNG, 'base64') } };
    for (const modelId of [CHAT, CLAUDE]) {
      const response = await converse(modelId, { messages: conversation([{ text: PROMPT }, { image }]) });
      assert.deepEqual(response.output.message.content, [{ text: TEXT }]);
    }
  },
  async invoke_model() {
    const messages = [{ role: 'user', content: PROMPT }];
    const body = JSON.stringify({ anthropic_version: 'bedrock-2023-05-31', max_tokens: 500, messages });
    const input = { modelId: CHAT, body, contentType: 'application/json' };
    const response = await client.send(new bedrock.InvokeModelCommand(input));
    assert.equal(JSON.parse(Buffer.from(response.body)).content[0].text, TEXT);
    const command = new bedrock.InvokeModelWithResponseStreamCommand(input);
    const events = await common.all((await client.send(command)).body);
    const parsed = events.map((event) => JSON.parse(Buffer.from(event.chunk.bytes)));
    assert.equal(parsed.map((event) => event.delta?.text ?? '').join(''), TEXT);
    assert.equal(parsed.at(-1).type, 'message_stop');
  },
  async endpoints() {
    const messages = [{ role: 'user', content: PROMPT }];
    const input = { EndpointName: CHAT, ContentType: 'application/json', Body: JSON.stringify({ messages }) };
    const response = await endpoints.send(new sagemaker.InvokeEndpointCommand(input));
    assert.equal(JSON.parse(Buffer.from(response.Body)).choices[0].message.content, TEXT);
    const Body = JSON.stringify({ messages, stream: true });
    const command = new sagemaker.InvokeEndpointWithResponseStreamCommand({ ...input, Body });
    const parts = await common.all((await endpoints.send(command)).Body);
    const data = Buffer.concat(parts.map((part) => part.PayloadPart.Bytes)).toString();
    assert.ok(data.endsWith('data: [DONE]\n\n'), data);
  },
  async errors() {
    const other = new bedrock.BedrockRuntimeClient(wrong);
    for (const call of [converse, stream]) {
      const signature = await common.fails(() => call(CHAT, {}, other));
      assert.deepEqual([signature.name, signature.$metadata.httpStatusCode], ['InvalidSignatureException', 403]);
      const unknown = await common.fails(() => call(common.UNKNOWN));
      assert.ok(unknown instanceof bedrock.ResourceNotFoundException, unknown);
      for (const [model, status] of [[common.REFUSING, 400], [common.FAILING, 500]]) {
        const error = await common.fails(() => call(model));
        assert.ok(error instanceof bedrock.ModelErrorException, error);
        assert.equal(error.originalStatusCode, status);
        assert.match(error.message, new RegExp(REASON));
      }
    }
    const input = { EndpointName: common.REFUSING, ContentType: 'application/json', Body: '{}' };
    const error = await common.fails(() => endpoints.send(new sagemaker.InvokeEndpointCommand(input)));
    assert.ok(error instanceof sagemaker.ModelError, error);
    assert.equal(error.OriginalStatusCode, 400);
    const invoke = new sagemaker.InvokeEndpointCommand({ ...input, EndpointName: CHAT });
    const signature = await common.fails(() => new sagemaker.SageMakerRuntimeClient(wrong).send(invoke));
    assert.equal(signature.name, 'InvalidSignatureException');
  },
  async broken_streams() {
    for (const modelId of common.BROKEN) {
      let events = [];
      const read = async () => {
        for await (const event of await stream(modelId, { messages: conversation() })) events.push(event);
      };
      const error = await common.fails(read);
      assert.ok(['ModelStreamErrorException', 'InternalServerException'].includes(error.name), error);
      const seen = events.map((event) => text(event) ?? '').join('');
      assert.ok(seen && TEXT.startsWith(seen) && seen !== TEXT, seen);
      assert.ok(!events.some((event) => event.messageStop), 'an end');
    }
  },
  async concurrent_requests() {
    const one = async (number) => {
      const content = [{ text: `${number} ${PROMPT}` }];
      const events = await common.all(stream(CHAT, { messages: conversation(content) }));
      assert.equal(events.map((event) => text(event) ?? '').join(''), TEXT.replace(PROMPT, content[0].text));
    };
    await Promise.all(Array.from({ length: 32 }, (_, number) => one(number)));
  },
});
