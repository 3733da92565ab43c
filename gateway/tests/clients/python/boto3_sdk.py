"""AWS's SDK: the clients of Bedrock Runtime and SageMaker Runtime."""

import base64

from common import *

try:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import ClientError, EventStreamError
except ImportError as error:
    missing(error)


def connect(service, **more):
    config = Config(retries={"total_max_attempts": 1})
    options = {"endpoint_url": GATEWAY, "region_name": REGION, "config": config, **AWS, **more}
    return boto3.client(service, **options)


bedrock = connect("bedrock-runtime")
sagemaker = connect("sagemaker-runtime")
TOOLS = {
    "tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": PARAMETERS}}}],
    "toolChoice": {"any": {}},
}


def conversation(content=PROMPT):
    content = [{"text": content}] if isinstance(content, str) else content
    return [{"role": "user", "content": content}]


def text(event):
    return event.get("contentBlockDelta", {}).get("delta", {}).get("text")


def refused(code, status, function):
    error = fails(function, ClientError)
    found = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    # Exceptions of the service's model have classes of their own, which are checked by name.
    equal(found, (code, status))
    return error


@check
def unary():
    for model in MODELS:
        more = {} if model == TGI else {"system": [{"text": "Be brief."}]}
        config = {"maxTokens": 500}
        response = bedrock.converse(modelId=model, messages=conversation(), inferenceConfig=config, **more)
        equal(response["output"]["message"], {"role": "assistant", "content": [{"text": TEXT}]})
        equal(response["stopReason"], "end_turn")
        assert response["usage"]["outputTokens"] > 0 and response["metrics"]["latencyMs"] >= 0, response
        assert response["ResponseMetadata"]["RequestId"], response


@check
def streamed():
    for model in MODELS:
        events = list(bedrock.converse_stream(modelId=model, messages=conversation())["stream"])
        equal("".join(text(event) or "" for event in events), TEXT)
        equal(next(iter(events[0])), "messageStart")
        stops = [event["messageStop"]["stopReason"] for event in events if "messageStop" in event]
        equal(stops, ["end_turn"])
        if model != TGI:
            assert events[-1]["metadata"]["usage"]["totalTokens"] > 0, events[-1]


@check
def cut_by_a_token_limit():
    for model in MODELS:
        response = bedrock.converse(modelId=model, messages=conversation(), inferenceConfig={"maxTokens": 3})
        equal(response["stopReason"], "max_tokens")


@check
def tools():
    for model in [CHAT, CLAUDE]:
        response = bedrock.converse(modelId=model, messages=conversation(), toolConfig=TOOLS)
        call = response["output"]["message"]["content"][-1]["toolUse"]
        equal((call["name"], call["input"], response["stopReason"]), ("weather", {"city": PROMPT}, "tool_use"))
        stream = bedrock.converse_stream(modelId=model, messages=conversation(), toolConfig=TOOLS)["stream"]
        deltas = [event["contentBlockDelta"]["delta"] for event in stream if "contentBlockDelta" in event]
        arguments("".join(delta.get("toolUse", {}).get("input", "") for delta in deltas))
        result = {"toolUseId": call["toolUseId"], "content": [{"text": "sunny"}]}
        messages = conversation() + [response["output"]["message"]]
        messages += [{"role": "user", "content": [{"toolResult": result}]}]
        config = {"tools": TOOLS["tools"]}
        assert bedrock.converse(modelId=model, messages=messages, toolConfig=config)["output"]["message"]["content"]


@check
def images():
    image = {"image": {"format": "png", "source": {"bytes": base64.b64decode(PNG)}}}
    for model in [CHAT, CLAUDE]:
        response = bedrock.converse(modelId=model, messages=conversation([{"text": PROMPT}, image]))
        equal(response["output"]["message"]["content"], [{"text": TEXT}])


@check
def arns():
    arn = f"arn:aws:sagemaker:{REGION}:123456789012:endpoint/{CHAT}"
    response = bedrock.converse(modelId=arn, messages=conversation())
    equal(response["output"]["message"]["content"], [{"text": TEXT}])


@check
def invoke_model():
    claude = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": conversation()}
    claude["messages"][0]["content"] = PROMPT
    openai = {"messages": [{"role": "user", "content": PROMPT}]}
    for body, path in [
        (claude, lambda response: response["content"][0]["text"]),
        (openai, lambda response: response["choices"][0]["message"]["content"]),
    ]:
        for model in [CHAT, CLAUDE]:
            response = bedrock.invoke_model(modelId=model, body=json.dumps(body))
            equal(path(json.loads(response["body"].read())), TEXT)
            response = bedrock.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))
            events = [json.loads(event["chunk"]["bytes"]) for event in response["body"]]
            if body is claude:
                found = "".join(event.get("delta", {}).get("text", "") for event in events)
                equal(events[-1]["type"], "message_stop")
            else:
                found = "".join(c["delta"].get("content") or "" for e in events for c in e["choices"])
            equal(found, TEXT)


@check
def endpoints():
    body = json.dumps({"messages": [{"role": "user", "content": PROMPT}]})
    arguments = dict(EndpointName=CHAT, Body=body, ContentType="application/json")
    response = sagemaker.invoke_endpoint(**arguments)
    equal(json.loads(response["Body"].read())["choices"][0]["message"]["content"], TEXT)
    body = json.dumps({"messages": [{"role": "user", "content": PROMPT}], "stream": True})
    stream = sagemaker.invoke_endpoint_with_response_stream(**{**arguments, "Body": body})["Body"]
    data = b"".join(event["PayloadPart"]["Bytes"] for event in stream).decode()
    records = [line[6:] for line in data.splitlines() if line.startswith("data: ")]
    equal(records.pop(), "[DONE]")
    chunks = [json.loads(record) for record in records]
    equal("".join(c["delta"].get("content") or "" for e in chunks for c in e["choices"]), TEXT)


@check
def wrong_keys():
    wrong = connect("bedrock-runtime", aws_secret_access_key="wrong")
    for converse in [wrong.converse, wrong.converse_stream]:
        refused("InvalidSignatureException", 403, lambda: converse(modelId=CHAT, messages=conversation()))
    other = connect("bedrock-runtime", aws_access_key_id="AKIDOTHER")
    refused("UnrecognizedClientException", 403, lambda: other.converse(modelId=CHAT, messages=conversation()))
    session = connect("bedrock-runtime", aws_session_token="token")
    refused("UnrecognizedClientException", 403, lambda: session.converse(modelId=CHAT, messages=conversation()))
    unsigned = connect("bedrock-runtime", config=Config(signature_version=UNSIGNED))
    error = fails(lambda: unsigned.converse(modelId=CHAT, messages=conversation()), ClientError)
    equal(error.response["ResponseMetadata"]["HTTPStatusCode"], 403)
    wrong = connect("sagemaker-runtime", aws_secret_access_key="wrong")
    invoke = lambda: wrong.invoke_endpoint(EndpointName=CHAT, Body="{}", ContentType="application/json")
    refused("InvalidSignatureException", 403, invoke)


@check
def bearer_tokens():
    # They are sent over TLS only, and take the place of the key pair if none is set in code.
    def with_token(token):
        os.environ["AWS_BEARER_TOKEN_BEDROCK"] = token
        config = Config(retries={"total_max_attempts": 1})
        return boto3.client("bedrock-runtime", endpoint_url=GATEWAY_TLS, region_name=REGION, config=config)

    try:
        client, sent = with_token(KEY), []
        client.meta.events.register("before-send", lambda request, **_: sent.append(request.headers["Authorization"]))
        for model in MODELS:
            response = client.converse(modelId=model, messages=conversation())
            equal(response["output"]["message"]["content"], [{"text": TEXT}])
            stream = client.converse_stream(modelId=model, messages=conversation())["stream"]
            equal("".join(text(event) or "" for event in stream), TEXT)
        equal({bytes(value, "ascii") if isinstance(value, str) else value for value in sent}, {b"Bearer " + KEY.encode()})
        wrong = with_token("wrong")
        for converse in [wrong.converse, wrong.converse_stream]:
            refused("UnrecognizedClientException", 403, lambda: converse(modelId=CHAT, messages=conversation()))
    finally:
        del os.environ["AWS_BEARER_TOKEN_BEDROCK"]


@check
def changed_bodies():
    def change(request, **_):
        request.body = request.body.replace(b"quick", b"slick")

    other = connect("bedrock-runtime")
    other.meta.events.register("before-send.bedrock-runtime.Converse", change)
    refused("InvalidSignatureException", 403, lambda: other.converse(modelId=CHAT, messages=conversation()))


@check
def unknown_models():
    for converse in [bedrock.converse, bedrock.converse_stream]:
        call = lambda: converse(modelId=UNKNOWN, messages=conversation())
        equal(type(refused("ResourceNotFoundException", 404, call)), bedrock.exceptions.ResourceNotFoundException)


@check
def errors_of_containers():
    for converse in [bedrock.converse, bedrock.converse_stream]:
        for model, status in [(REFUSING, 400), (FAILING, 500)]:
            call = lambda: converse(modelId=model, messages=conversation())
            error = refused("ModelErrorException", 424, call)
            equal(type(error), bedrock.exceptions.ModelErrorException)
            equal(error.response.get("originalStatusCode"), status)
            assert REASON in str(error), error
    invoke = lambda: sagemaker.invoke_endpoint(EndpointName=REFUSING, Body="{}", ContentType="application/json")
    error = refused("ModelError", 424, invoke)
    equal(type(error), sagemaker.exceptions.ModelError)
    equal(error.response["OriginalStatusCode"], 400)
    assert REASON in error.response["OriginalMessage"], error.response


@check
def broken_streams():
    for model in BROKEN:
        seen = []
        try:
            for event in bedrock.converse_stream(modelId=model, messages=conversation())["stream"]:
                seen.append(event)
            raise AssertionError(f"no error: {seen[-1]}")
        except EventStreamError as error:
            assert "modelStreamErrorException" in str(error) or "internalServerException" in str(error), error
        joined = "".join(text(event) or "" for event in seen)
        assert joined and TEXT.startswith(joined) and joined != TEXT, joined
        assert not any("messageStop" in event for event in seen), seen


@check
def retries():
    # The SDK's own retries end, and report the error of the service.
    default = connect("bedrock-runtime", config=Config(retries={"mode": "standard", "total_max_attempts": 2}))
    error = fails(lambda: default.converse(modelId=UNKNOWN, messages=conversation()), ClientError)
    equal(error.response["ResponseMetadata"]["RetryAttempts"], 0)


main()
