"""Strands Agents: OpenAIModel, BedrockModel and SageMakerAIModel."""

import logging

from common import *

# It has no parameter for the URL.
os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = GATEWAY

try:
    import boto3
    from strands import Agent
    from strands.models.bedrock import BedrockModel
    from strands.models.openai import OpenAIModel
    from strands.models.sagemaker import SageMakerAIModel
except ImportError as error:
    missing(error)

logging.disable(logging.CRITICAL)


def session(secret=AWS["aws_secret_access_key"]):
    return boto3.Session(AWS["aws_access_key_id"], secret, region_name=REGION)


def openai_model(model, **wrong):
    arguments = {"base_url": f"{GATEWAY}/v1", "api_key": wrong.get("key", KEY), "max_retries": 0}
    return OpenAIModel(client_args=arguments, model_id=model)


def bedrock_model(model, streaming=True, **wrong):
    keys = session(**({"secret": wrong["key"]} if wrong else {}))
    return BedrockModel(model_id=model, endpoint_url=GATEWAY, boto_session=keys, streaming=streaming)


def bedrock_unary(model, **wrong):
    return bedrock_model(model, streaming=False, **wrong)


def sagemaker_model(model, stream=True, **wrong):
    keys = session(**({"secret": wrong["key"]} if wrong else {}))
    config = {"endpoint_name": model, "region_name": REGION}
    return SageMakerAIModel(config, {"max_tokens": 900, "stream": stream}, boto_session=keys)


def sagemaker_unary(model, **wrong):
    return sagemaker_model(model, stream=False, **wrong)


CLASSES = [openai_model, bedrock_model, bedrock_unary, sagemaker_model, sagemaker_unary]
WEATHER = {"name": "weather", "description": "Of a city", "inputSchema": {"json": PARAMETERS}}


def agent(model):
    return Agent(model=model, callback_handler=None, retry_strategy=None)


def text(result):
    return "".join(part.get("text", "") for part in result.message["content"])


@check
def agents():
    for make in CLASSES:
        # SageMaker's operations pass the container's API through, and Strands speaks that of OpenAI.
        for model in MODELS if "sagemaker" not in make.__name__ else [CHAT]:
            result = agent(make(model))(PROMPT)
            equal((text(result), result.stop_reason), (TEXT, "end_turn"))


@check
async def streamed():
    for make in CLASSES:
        pieces = []
        async for event in agent(make(CHAT)).stream_async(PROMPT):
            pieces.append(event.get("data", ""))
        equal("".join(pieces), TEXT)


@check
async def tools():
    for make in [openai_model, bedrock_model, bedrock_unary]:
        for model in [CHAT, CLAUDE]:
            messages = [{"role": "user", "content": [{"text": PROMPT}]}]
            stream = make(model).stream(messages, [WEATHER], tool_choice={"any": {}})
            input, name, reason = "", None, None
            async for event in stream:
                start = event.get("contentBlockStart", {}).get("start", {}).get("toolUse")
                name = start["name"] if start else name
                input += event.get("contentBlockDelta", {}).get("delta", {}).get("toolUse", {}).get("input", "")
                reason = event.get("messageStop", {}).get("stopReason", reason)
            equal((name, reason), ("weather", "tool_use"))
            arguments(input)


@check
def images():
    import base64

    image = {"image": {"format": "png", "source": {"bytes": base64.b64decode(PNG)}}}
    for make in [openai_model, bedrock_model]:
        equal(text(agent(make(CHAT))([{"text": PROMPT}, image])), TEXT)


@check
def errors():
    for make in CLASSES:
        error = fails(lambda: agent(make(CHAT, key="wrong"))(PROMPT))
        assert type(error).__name__ in ["AuthenticationError", "ClientError"], repr(error)
        error = fails(lambda: agent(make(UNKNOWN))(PROMPT))
        assert type(error).__name__ in ["NotFoundError", "ResourceNotFoundException", "ClientError", "ValidationError"], repr(error)
        error = fails(lambda: agent(make(REFUSING))(PROMPT))
        assert REASON in str(error), repr(error)


@check
def broken_streams():
    for model in BROKEN:
        for make in [openai_model, bedrock_model, sagemaker_model]:
            pieces = []
            broken = Agent(model=make(model), callback_handler=lambda **event: pieces.append(event.get("data", "")))
            fails(lambda: broken(PROMPT))
            joined = "".join(pieces)
            assert TEXT.startswith(joined) and joined != TEXT, (make.__name__, joined)


main()
