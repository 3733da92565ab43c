"""LangChain: ChatOpenAI and ChatBedrockConverse."""

from common import *

try:
    import botocore.exceptions
    import openai
    from langchain_aws import ChatBedrockConverse
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings
except ImportError as error:
    missing(error)


def chat_openai(model, **more):
    return ChatOpenAI(model=model, base_url=f"{GATEWAY}/v1", api_key=more.get("key", KEY), max_retries=0)


def responses(model, **more):
    return ChatOpenAI(
        model=model, base_url=f"{GATEWAY}/v1", api_key=more.get("key", KEY), max_retries=0, use_responses_api=True
    )


def converse(model, **more):
    return ChatBedrockConverse(
        model_id=model,
        provider="anthropic",
        # For a model that it does not know, LangChain turns both off.
        disable_streaming=False,
        supports_tool_choice_values=("auto", "any", "tool"),
        endpoint_url=GATEWAY,
        region_name=REGION,
        aws_access_key_id=AWS["aws_access_key_id"],
        aws_secret_access_key=more.get("key", AWS["aws_secret_access_key"]),
    )


CLASSES = [chat_openai, responses, converse]


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return "sunny"


@check
def unary():
    for make in CLASSES:
        for model in MODELS:
            message = make(model).invoke([HumanMessage(PROMPT)])
            equal(message.text, TEXT)
            assert message.usage_metadata["output_tokens"] > 0, message


@check
def streamed():
    for make in CLASSES:
        for model in MODELS:
            chunks = list(make(model).stream([HumanMessage(PROMPT)]))
            equal("".join(chunk.text for chunk in chunks), TEXT)
            assert len([chunk for chunk in chunks if chunk.text]) > 5, chunks


@check
def tools():
    for make in CLASSES:
        for model in [CHAT, CLAUDE]:
            chat = make(model).bind_tools([weather], tool_choice="any")
            message = chat.invoke([HumanMessage(PROMPT)])
            call = message.tool_calls[0]
            equal((call["name"], call["args"]), ("weather", {"city": PROMPT}))
            whole = None
            for chunk in chat.stream([HumanMessage(PROMPT)]):
                whole = chunk if whole is None else whole + chunk
            equal(whole.tool_calls[0]["args"], {"city": PROMPT})
            history = [HumanMessage(PROMPT), message, ToolMessage("sunny", tool_call_id=call["id"])]
            assert make(model).bind_tools([weather]).invoke(history).text


@check
def images():
    content = [
        {"type": "text", "text": PROMPT},
        {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": PNG},
    ]
    for make in CLASSES:
        equal(make(CHAT).invoke([HumanMessage(content)]).text, TEXT)


@check
def embeddings():
    client = OpenAIEmbeddings(
        model=EMBEDDINGS, base_url=f"{GATEWAY}/v1", api_key=KEY, check_embedding_ctx_length=False, max_retries=0
    )
    equal(client.embed_documents(["a", "b"]), VECTORS)


@check
def errors():
    for make in [chat_openai, responses]:
        fails(lambda: make(CHAT, key="wrong").invoke(PROMPT), openai.AuthenticationError)
        fails(lambda: make(UNKNOWN).invoke(PROMPT), openai.NotFoundError)
        assert REASON in str(fails(lambda: make(REFUSING).invoke(PROMPT), openai.BadRequestError))
        assert REASON in str(fails(lambda: make(FAILING).invoke(PROMPT), openai.InternalServerError))
    client_error = botocore.exceptions.ClientError
    assert "InvalidSignature" in str(fails(lambda: converse(CHAT, key="wrong").invoke(PROMPT), client_error))
    assert "ResourceNotFound" in str(fails(lambda: converse(UNKNOWN).invoke(PROMPT), client_error))
    assert REASON in str(fails(lambda: converse(REFUSING).invoke(PROMPT), client_error))


@check
def broken_streams():
    for model in BROKEN:
        for make, expected in [
            (chat_openai, openai.APIError),
            (responses, Exception),
            (converse, botocore.exceptions.EventStreamError),
        ]:
            seen = []

            def read():
                for chunk in make(model).stream([HumanMessage(PROMPT)]):
                    seen.append(chunk.text)

            fails(read, expected)
            joined = "".join(seen)
            assert joined and TEXT.startswith(joined) and joined != TEXT, joined


main()
