"""The SDK of Anthropic, with its own API and as Bedrock's client."""

from common import *

try:
    import anthropic
    from anthropic import Anthropic, AnthropicBedrock
except ImportError as error:
    missing(error)

client = Anthropic(base_url=GATEWAY, api_key=KEY, max_retries=0)
bedrock = AnthropicBedrock(
    base_url=GATEWAY,
    aws_access_key=AWS["aws_access_key_id"],
    aws_secret_key=AWS["aws_secret_access_key"],
    aws_region=REGION,
    max_retries=0,
)
CLIENTS = [client, bedrock]
TOOLS = [{"name": "weather", "description": "Of a city", "input_schema": PARAMETERS}]


def request(model, content=PROMPT, **more):
    return dict(model=model, max_tokens=1000, messages=[{"role": "user", "content": content}], **more)


@check
def unary():
    for sdk in CLIENTS:
        for model in MODELS:
            more = {} if model == TGI else {"system": "Be brief."}
            message = sdk.messages.create(**request(model, **more))
            equal([block.text for block in message.content], [TEXT])
            equal((message.role, message.stop_reason), ("assistant", "end_turn"))
            assert message.usage.output_tokens > 0, message
            assert message._request_id or sdk is bedrock, message


@check
def streamed():
    for sdk in CLIENTS:
        for model in MODELS:
            with sdk.messages.stream(**request(model)) as stream:
                equal("".join(stream.text_stream), TEXT)
                message = stream.get_final_message()
            equal((message.content[0].text, message.stop_reason), (TEXT, "end_turn"))
            kinds = [event.type for event in sdk.messages.create(**request(model), stream=True)]
            equal((kinds[0], kinds[-1]), ("message_start", "message_stop"))
            equal(kinds.count("message_start"), 1)


@check
def cut_by_a_token_limit():
    for model in MODELS:
        message = client.messages.create(**{**request(model), "max_tokens": 3})
        equal(message.stop_reason, "max_tokens")


@check
def bearer_tokens():
    other = Anthropic(base_url=GATEWAY, auth_token=KEY, api_key=None, max_retries=0)
    equal(other.messages.create(**request(CHAT)).content[0].text, TEXT)


@check
def tools():
    for sdk in CLIENTS:
        for model in [CHAT, CLAUDE]:
            asked = request(model, tools=TOOLS, tool_choice={"type": "any"})
            message = sdk.messages.create(**asked)
            call = message.content[-1]
            equal((call.type, call.name, call.input), ("tool_use", "weather", {"city": PROMPT}))
            equal(message.stop_reason, "tool_use")
            with sdk.messages.stream(**asked) as stream:
                equal(stream.get_final_message().content[-1].input, {"city": PROMPT})
            messages = asked["messages"] + [
                {"role": "assistant", "content": message.content},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
            ]
            assert sdk.messages.create(model=model, max_tokens=100, messages=messages, tools=TOOLS).content


@check
def images():
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    content = [{"type": "text", "text": PROMPT}, {"type": "image", "source": source}]
    for sdk in CLIENTS:
        for model in [CHAT, CLAUDE]:
            equal(sdk.messages.create(**request(model, content)).content[0].text, TEXT)


@check
def models():
    listed = [model.id for model in client.models.list()]
    assert {CHAT, TGI, CLAUDE} <= set(listed), listed
    equal(client.models.retrieve(CHAT).id, CHAT)


@check
def no_count_of_tokens():
    # SageMaker has no such operation: clients take 404 for that.
    count = lambda: client.messages.count_tokens(model=CHAT, messages=[{"role": "user", "content": PROMPT}])
    raises(anthropic.NotFoundError, count)


@check
def wrong_keys():
    other = Anthropic(base_url=GATEWAY, api_key="wrong", max_retries=0)
    for stream in [False, True]:
        error = raises(anthropic.AuthenticationError, lambda: other.messages.create(**request(CHAT), stream=stream))
        equal(error.body["error"]["type"], "authentication_error")
        other_bedrock = bedrock.copy(aws_secret_key="wrong")
        create = lambda: other_bedrock.messages.create(**request(CHAT), stream=stream)
        raises(anthropic.PermissionDeniedError, create)


@check
def unknown_models():
    for stream in [False, True]:
        for sdk in CLIENTS:
            raises(anthropic.NotFoundError, lambda: sdk.messages.create(**request(UNKNOWN), stream=stream))


@check
def errors_of_containers():
    for stream in [False, True]:
        for model, expected in [(REFUSING, anthropic.BadRequestError), (FAILING, anthropic.InternalServerError)]:
            error = raises(expected, lambda: client.messages.create(**request(model), stream=stream))
            assert REASON in str(error), error
            assert error.request_id, error
            error = None
            try:
                bedrock.messages.create(**request(model), stream=stream)
            except anthropic.APIStatusError as raised:
                error = raised
            # ModelErrorException, whatever the status of the container.
            equal(error.status_code, 424)
            assert REASON in str(error), error


def text(event):
    return getattr(getattr(event, "delta", None), "text", None)


@check
def broken_streams():
    for model in BROKEN:
        breaks(anthropic.APIStatusError, lambda: client.messages.create(**request(model), stream=True), text)

        def final():
            with client.messages.stream(**request(model)) as stream:
                return stream.get_final_message()

        raises(anthropic.APIStatusError, final)
        seen = []
        try:
            for event in bedrock.messages.create(**request(model), stream=True):
                seen.append(event.type)
            raise AssertionError(f"no error: {seen}")
        except AssertionError:
            raise
        except Exception:
            pass
        assert "content_block_delta" in seen and "message_stop" not in seen, seen


main()
