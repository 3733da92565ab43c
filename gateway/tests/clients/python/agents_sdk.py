"""OpenAI's Agents SDK, over Responses and over chat completions."""

from common import *

try:
    import openai
    from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner
    from agents import function_tool, set_tracing_disabled
    from openai import AsyncOpenAI
except ImportError as error:
    missing(error)

set_tracing_disabled(True)
CLASSES = [OpenAIResponsesModel, OpenAIChatCompletionsModel]


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    equal(city, PROMPT)
    called.append(city)
    return "sunny"


called = []


def agent(kind, model, key=KEY, **more):
    client = AsyncOpenAI(base_url=f"{GATEWAY}/v1", api_key=key, max_retries=0)
    instructions = None if model == TGI else "Be brief."
    return Agent(name="test", instructions=instructions, model=kind(model=model, openai_client=client), **more)


@check
async def unary():
    for kind in CLASSES:
        for model in MODELS:
            result = await Runner.run(agent(kind, model), PROMPT)
            equal(result.final_output, TEXT)
            assert result.context_wrapper.usage.output_tokens > 0, result


@check
async def streamed():
    for kind in CLASSES:
        for model in MODELS:
            result = Runner.run_streamed(agent(kind, model), PROMPT)
            text = ""
            async for event in result.stream_events():
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                    text += event.data.delta
            equal((text, result.final_output), (TEXT, TEXT))


@check
async def tools():
    for kind in CLASSES:
        for model in [CHAT, CLAUDE]:
            called.clear()
            settings = ModelSettings(tool_choice="required")
            worker = agent(kind, model, tools=[weather], model_settings=settings)
            # The tool is called once; the next turn has its result, and no required tool.
            result = await Runner.run(worker, PROMPT)
            equal((called, bool(result.final_output)), ([PROMPT], True))
            called.clear()
            result = Runner.run_streamed(worker, PROMPT)
            async for event in result.stream_events():
                pass
            equal((called, bool(result.final_output)), ([PROMPT], True))


@check
async def images():
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
    content = [{"type": "input_text", "text": PROMPT}, image]
    for kind in CLASSES:
        result = await Runner.run(agent(kind, CHAT), [{"role": "user", "content": content}])
        equal(result.final_output, TEXT)


async def run_fails(worker, expected, prompt=PROMPT):
    try:
        result = await Runner.run(worker, prompt)
    except expected as error:
        return error
    raise AssertionError(f"no error, but {result!r}")


@check
async def errors():
    for kind in CLASSES:
        await run_fails(agent(kind, CHAT, key="wrong"), openai.AuthenticationError)
        await run_fails(agent(kind, UNKNOWN), openai.NotFoundError)
        assert REASON in str(await run_fails(agent(kind, REFUSING), openai.BadRequestError))
        assert REASON in str(await run_fails(agent(kind, FAILING), openai.InternalServerError))


@check
async def broken_streams():
    for kind in CLASSES:
        for model in BROKEN:
            result, text = Runner.run_streamed(agent(kind, model), PROMPT), ""
            try:
                async for event in result.stream_events():
                    if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                        text += event.data.delta
                raise RuntimeError(f"no error, but {result.final_output!r}")
            except RuntimeError:
                raise
            except Exception:
                pass
            assert text and TEXT.startswith(text) and text != TEXT, text


main()
