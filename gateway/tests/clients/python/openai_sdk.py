"""The SDK of OpenAI: chat completions, completions, embeddings, models and Responses."""

from common import *

try:
    import openai
    from openai import OpenAI, AsyncOpenAI
except ImportError as error:
    missing(error)

client = OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Of a city", "parameters": PARAMETERS}}]
RESPONSES_TOOLS = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": False}]


def user(content=PROMPT):
    return [{"role": "user", "content": content}]


def delta(chunk):
    return chunk.choices[0].delta.content if chunk.choices else None


@check
def unary():
    for model in MODELS:
        completion = client.chat.completions.create(model=model, messages=user(), max_tokens=500)
        choice = completion.choices[0]
        equal((choice.message.content, choice.message.role), (TEXT, "assistant"))
        equal((choice.finish_reason, completion.object), ("stop", "chat.completion"))
        assert completion.usage.completion_tokens > 0, completion
        assert completion.id and completion._request_id, completion


@check
def system_prompts():
    # The container that takes a prompt has no template here, and is refused more than one message.
    for model in [CHAT, CLAUDE]:
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}]
        equal(client.chat.completions.create(model=model, messages=messages).choices[0].message.content, TEXT)
        response = client.responses.create(model=model, instructions="Be brief.", input=PROMPT, store=False)
        equal(response.output_text, TEXT)
    error = raises(openai.BadRequestError, lambda: client.chat.completions.create(model=TGI, messages=messages))
    equal(error.type, "invalid_request_error")


@check
def cut_by_a_token_limit():
    for model in MODELS:
        completion = client.chat.completions.create(model=model, messages=user(), max_tokens=3)
        choice = completion.choices[0]
        equal(choice.finish_reason, "length")
        assert TEXT.startswith(choice.message.content) and choice.message.content != TEXT, choice


@check
def streamed():
    for model in MODELS:
        chunks = list(client.chat.completions.create(model=model, messages=user(), max_tokens=500, stream=True))
        equal("".join(delta(chunk) or "" for chunk in chunks), TEXT)
        equal([c.choices[0].finish_reason for c in chunks if c.choices][-1], "stop")
        assert all(chunk.choices and chunk.usage is None for chunk in chunks), "usage that was not requested"
        assert len(chunks) > 5, len(chunks)


@check
def usage_of_a_stream():
    for model in [CHAT, CLAUDE]:
        options = {"include_usage": True}
        stream = client.chat.completions.create(model=model, messages=user(), stream=True, stream_options=options)
        chunks = list(stream)
        with_usage = [chunk for chunk in chunks if chunk.usage]
        equal((len(with_usage), chunks[-1].choices), (1, []))
        assert chunks[-1].usage.total_tokens > 0


@check
def tools():
    for model in [CHAT, CLAUDE]:
        for choice in ["required", {"type": "function", "function": {"name": "weather"}}]:
            request = dict(model=model, messages=user(), tools=TOOLS, tool_choice=choice)
            completion = client.chat.completions.create(**request)
            message = completion.choices[0].message
            equal((len(message.tool_calls), message.tool_calls[0].function.name), (1, "weather"))
            arguments(message.tool_calls[0].function.arguments)
            text, name, reasons = "", None, []
            for chunk in client.chat.completions.create(**request, stream=True):
                for call in chunk.choices[0].delta.tool_calls or []:
                    name = name or call.function.name
                    text += call.function.arguments or ""
                reasons.append(chunk.choices[0].finish_reason)
            equal(name, "weather")
            arguments(text)
            equal(reasons[-1], completion.choices[0].finish_reason)
            if choice == "required":
                equal(reasons[-1], "tool_calls")
        # The conversation goes on with the result.
        history = user() + [message.model_dump(exclude_none=True)]
        history += [{"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}]
        completion = client.chat.completions.create(model=model, messages=history, tools=TOOLS)
        assert completion.choices[0].message.content, completion


@check
def images():
    parts = [
        {"type": "text", "text": PROMPT},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    for model in [CHAT, CLAUDE]:
        completion = client.chat.completions.create(model=model, messages=user(parts), max_tokens=500)
        equal(completion.choices[0].message.content, TEXT)


@check
def completions():
    completion = client.completions.create(model=CHAT, prompt=PROMPT, max_tokens=500)
    equal(completion.choices[0].text, TEXT)
    chunks = list(client.completions.create(model=CHAT, prompt=PROMPT, max_tokens=500, stream=True))
    equal("".join(chunk.choices[0].text for chunk in chunks if chunk.choices), completion.choices[0].text)


@check
def embeddings():
    for encoding in [openai.NOT_GIVEN, "float", "base64"]:
        response = client.embeddings.create(model=EMBEDDINGS, input=["a", "b"], encoding_format=encoding)
        if encoding != "base64":
            equal([data.embedding for data in response.data], VECTORS)
        equal([data.index for data in response.data], [0, 1])


@check
def models():
    listed = [model.id for model in client.models.list()]
    assert {CHAT, TGI, CLAUDE, EMBEDDINGS} <= set(listed), listed
    equal(client.models.retrieve(CHAT).id, CHAT)
    raises(openai.NotFoundError, lambda: client.models.retrieve(UNKNOWN))


@check
def responses():
    for model in MODELS:
        response = client.responses.create(model=model, input=PROMPT, store=False)
        equal((response.output_text, response.status), (TEXT, "completed"))
        events = list(client.responses.create(model=model, input=PROMPT, stream=True, store=False))
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        equal(text, TEXT)
        equal((events[0].type, events[-1].type), ("response.created", "response.completed"))
        equal(events[-1].response.output_text, TEXT)
        equal([event.sequence_number for event in events], list(range(len(events))))


@check
def tools_of_responses():
    for model in [CHAT, CLAUDE]:
        request = dict(model=model, input=PROMPT, tools=RESPONSES_TOOLS, tool_choice="required", store=False)
        call = client.responses.create(**request).output[-1]
        equal((call.type, call.name), ("function_call", "weather"))
        arguments(call.arguments)
        with client.responses.stream(**request) as stream:
            for event in stream:
                pass
            arguments(stream.get_final_response().output[-1].arguments)


@check
def wrong_keys():
    other = OpenAI(base_url=f"{GATEWAY}/v1", api_key="sk-wrong", max_retries=0)
    for stream in [False, True]:
        create = lambda: other.chat.completions.create(model=CHAT, messages=user(), stream=stream)
        error = raises(openai.AuthenticationError, create)
        equal(error.code, "invalid_api_key")
    raises(openai.AuthenticationError, lambda: other.models.list())
    raises(openai.AuthenticationError, lambda: other.responses.create(model=CHAT, input=PROMPT))


@check
def unknown_models():
    for stream in [False, True]:
        create = lambda: client.chat.completions.create(model=UNKNOWN, messages=user(), stream=stream)
        error = raises(openai.NotFoundError, create)
        equal(error.code, "model_not_found")
    raises(openai.NotFoundError, lambda: client.responses.create(model=UNKNOWN, input=PROMPT))
    raises(openai.NotFoundError, lambda: client.embeddings.create(model=UNKNOWN, input="a"))


@check
def errors_of_containers():
    for stream in [False, True]:
        for model, expected in [(REFUSING, openai.BadRequestError), (FAILING, openai.InternalServerError)]:
            create = lambda: client.chat.completions.create(model=model, messages=user(), stream=stream)
            error = raises(expected, create)
            assert REASON in str(error), error
            assert error.request_id, error
            create = lambda: client.responses.create(model=model, input=PROMPT, stream=stream)
            assert REASON in str(raises(expected, create))


@check
def malformed_requests():
    error = raises(openai.BadRequestError, lambda: client.chat.completions.create(model=CHAT, messages="hello"))
    equal(error.type, "invalid_request_error")


@check
def broken_streams():
    for model in BROKEN:
        stream = lambda: client.chat.completions.create(model=model, messages=user(), stream=True)
        breaks(openai.APIError, stream, delta)
        seen = []

        def read():
            for event in client.responses.create(model=model, input=PROMPT, stream=True, store=False):
                seen.append(event)
                if event.type in ["error", "response.failed"]:
                    raise InterruptedError

        try:
            read()
            raise AssertionError(f"no error: {seen[-1]}")
        except (openai.APIError, InterruptedError):
            pass
        kinds = [event.type for event in seen]
        assert "response.output_text.delta" in kinds and "response.completed" not in kinds, kinds


@check
async def concurrent_requests():
    async with AsyncOpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0) as other:

        async def one(number):
            content = f"{number} {PROMPT}"
            stream = await other.chat.completions.create(model=CHAT, messages=user(content), stream=True)
            equal("".join([delta(chunk) or "" async for chunk in stream]), TEXT.replace(PROMPT, content))

        await asyncio.gather(*(one(number) for number in range(32)))


main()
