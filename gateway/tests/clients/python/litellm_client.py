"""LiteLLM as a library: its providers for OpenAI, Anthropic, Bedrock and SageMaker."""

from common import *

try:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm
except ImportError as error:
    missing(error)

litellm.num_retries = 0
litellm.suppress_debug_info = True
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]
MESSAGES = [{"role": "user", "content": PROMPT}]
OPENAI = {"api_base": f"{GATEWAY}/v1", "api_key": KEY}
ANTHROPIC = {"api_base": GATEWAY, "api_key": KEY}
BEDROCK = {"aws_bedrock_runtime_endpoint": GATEWAY, "aws_region_name": REGION, **AWS}


def routes(model):
    yield {"model": f"openai/{model}", **OPENAI}
    yield {"model": f"anthropic/{model}", **ANTHROPIC}
    # LiteLLM knows no tools of models that are not in its list.
    allowed = {"allowed_openai_params": ["tools", "tool_choice"]}
    yield {"model": f"bedrock/converse/{model}", **allowed, **BEDROCK}


def delta(chunk):
    return chunk.choices[0].delta.content if chunk.choices else None


@check
def unary():
    for model in MODELS:
        for route in routes(model):
            response = litellm.completion(**route, messages=MESSAGES, max_tokens=500, max_retries=0)
            choice = response.choices[0]
            equal((choice.message.content, choice.finish_reason), (TEXT, "stop"))
            assert response.usage.completion_tokens > 0, response


@check
def streamed():
    for model in MODELS:
        for route in routes(model):
            stream = litellm.completion(**route, messages=MESSAGES, max_tokens=500, stream=True, max_retries=0)
            chunks = list(stream)
            equal("".join(delta(chunk) or "" for chunk in chunks), TEXT)
            equal(chunks[-1].choices[0].finish_reason, "stop")


@check
def tools():
    for model in [CHAT, CLAUDE]:
        for route in routes(model):
            asked = dict(**route, messages=MESSAGES, tools=TOOLS, tool_choice="required", max_tokens=500)
            message = litellm.completion(**asked).choices[0].message
            equal(message.tool_calls[0].function.name, "weather")
            arguments(message.tool_calls[0].function.arguments)
            chunks = list(litellm.completion(**asked, stream=True))
            built = litellm.stream_chunk_builder(chunks, messages=MESSAGES)
            arguments(built.choices[0].message.tool_calls[0].function.arguments)


@check
def images():
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": PROMPT}, url]}]
    for route in routes(CHAT):
        equal(litellm.completion(**route, messages=messages, max_tokens=500).choices[0].message.content, TEXT)


@check
def embeddings():
    response = litellm.embedding(model=f"openai/{EMBEDDINGS}", input=["a", "b"], **OPENAI)
    equal([data["embedding"] for data in response.data], VECTORS)


@check
def errors():
    ask = lambda route, **more: litellm.completion(**{**route, **more}, messages=MESSAGES, max_tokens=9, max_retries=0)
    for route in routes(CHAT):
        if "api_key" in route:
            raises(litellm.AuthenticationError, lambda: ask(route, api_key="wrong"))
        else:
            error = fails(lambda: ask(route, aws_secret_access_key="wrong"))
            equal(error.status_code in [401, 403], True)
    for route in routes(UNKNOWN):
        raises(litellm.NotFoundError, lambda: ask(route))
    for route in list(routes(REFUSING))[:2]:
        error = raises(litellm.BadRequestError, lambda: ask(route))
        assert REASON in str(error), error
    for route in list(routes(FAILING))[:2]:
        assert REASON in str(fails(lambda: ask(route)))


@check
def broken_streams():
    messages = [{"role": "user", "content": PROMPT}]
    for model in BROKEN:
        for route in routes(model):
            seen = []

            def read():
                stream = litellm.completion(**route, messages=messages, max_tokens=900, stream=True, max_retries=0)
                for chunk in stream:
                    seen.append(chunk)

            fails(read)
            joined = "".join(delta(chunk) or "" for chunk in seen)
            assert TEXT.startswith(joined) and joined != TEXT, (route["model"], joined)
            assert all(chunk.choices[0].finish_reason != "stop" for chunk in seen if chunk.choices), route["model"]


main()
