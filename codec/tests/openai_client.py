"""Checks streams, responses and requests of Responses with OpenAI's own client.

Reads a JSON document from standard input: `streams`, `responses` and `requests`, as `openai_client.rs` writes them. Exits with 77 if
a package is missing or has another version, and with 1 if the client accepts anything differently than expected.
"""

import json
import sys

VERSION = "3.57.0"

try:
    import openai
    import httpx2
    import pydantic
    from openai.types.responses import (
        Response,
        ResponseStreamEvent,
        response_create_params as params,
    )
except ImportError as error:
    print(error)
    sys.exit(77)
if openai.__version__ != VERSION:
    print(f"openai is {openai.__version__}, not {VERSION}")
    sys.exit(77)

EVENT = pydantic.TypeAdapter(ResponseStreamEvent)
STREAMING = pydantic.TypeAdapter(params.ResponseCreateParamsStreaming)
NON_STREAMING = pydantic.TypeAdapter(params.ResponseCreateParamsNonStreaming)
ENDINGS = ("response.completed", "response.incomplete", "response.failed")


def client(body, content_type, status=200):
    """A client with a server that sends this body, and the requests that it gets."""
    requests = []

    def respond(request):
        requests.append(json.loads(request.content))
        return httpx2.Response(status, content=body.encode(), headers={"content-type": content_type})

    transport = httpx2.MockTransport(respond)
    http = httpx2.Client(transport=transport)
    return openai.OpenAI(api_key="none", http_client=http, max_retries=0), requests


def records(body):
    """The names and the data of the events."""
    for block in body.split("\n\n"):
        if block:
            event, data = block.split("\n")
            assert event.startswith("event: ") and data.startswith("data: "), block
            yield event[len("event: "):], json.loads(data[len("data: "):])


class Lifecycle:
    """What a client that follows the events one by one keeps."""

    def __init__(self):
        self.open, self.items, self.parts, self.ids = {}, {}, {}, set()

    def check(self, number, name, event):
        assert event["type"] == name and event["sequence_number"] == number, (number, event)
        kind = name.removeprefix("response.")
        if kind == "output_item.added":
            item = event["item"]
            assert event["output_index"] == len(self.items) + len(self.open), event
            assert item["id"] not in self.ids, "IDs are unique"
            self.ids.add(item["id"])
            self.open[event["output_index"]] = item
        elif kind == "output_item.done":
            begun = self.open.pop(event["output_index"])
            assert begun["id"] == event["item"]["id"] and begun["type"] == event["item"]["type"]
            self.items[event["output_index"]] = event["item"]
        elif "item_id" in event:
            assert self.open[event["output_index"]]["id"] == event["item_id"], event
            self.part(kind, event)

    def part(self, kind, event):
        index = event.get("content_index", event.get("summary_index"))
        key = (event["output_index"], index)
        if kind.endswith("part.added"):
            assert key not in self.parts, "a part begins once"
            self.parts[key] = ""
        elif kind.endswith(".delta"):
            self.parts[key] = (self.parts.get(key) if index is None else self.parts[key]) or ""
            self.parts[key] += event["delta"]
        elif kind.endswith("part.done"):
            part = event["part"]
            assert self.parts[key] == part.get("text", part.get("refusal")), event
        elif kind.endswith(".done"):
            fields = ("text", "refusal", "arguments", "input")
            text = next(event[field] for field in fields if field in event)
            assert self.parts.get(key, "") == text, event


def summary(response):
    """What a response consists of."""
    found = {"status": response.status, "text": response.output_text, "calls": [], "reasoning": ""}
    for item in response.output:
        if item.type in ("function_call", "custom_tool_call"):
            text = item.arguments if item.type == "function_call" else item.input
            found["calls"].append([item.call_id, item.name, text])
        elif item.type == "reasoning":
            found["reasoning"] += "".join(part.text for part in item.summary)
        elif item.type == "message":
            refusals = [part.refusal for part in item.content if part.type == "refusal"]
            if refusals:
                found["refusal"] = "".join(refusals)
            found.setdefault("annotations", []).extend(
                annotation.type
                for part in item.content
                if part.type == "output_text"
                for annotation in part.annotations
            )
            if item.phase:
                found.setdefault("phases", []).append(item.phase)
    if response.incomplete_details:
        found["incomplete"] = response.incomplete_details.reason
    if response.error:
        found["error"] = response.error.code
    if response.usage:
        found["usage"] = [response.usage.input_tokens, response.usage.output_tokens]
    return found


def expect(name, response, expected):
    found = summary(response)
    for field, value in expected.items():
        assert found.get(field) == value, f"{name}: {field} is {found.get(field)!r}, not {value!r}"


def check_stream(name, body, expected):
    events, lifecycle = [], Lifecycle()
    for number, (event, data) in enumerate(records(body)):
        EVENT.validate_json(json.dumps(data), strict=True)
        lifecycle.check(number, event, data)
        events.append(event)
    assert events[:2] == ["response.created", "response.in_progress"], events
    assert [event for event in events if event in ENDINGS] == events[-1:], events
    last = data["response"]
    done = [item for _, item in sorted(lifecycle.items.items())]
    assert last["output"] == done, "the last event repeats what was done"
    assert last["status"] == "failed" or not lifecycle.open, "every item ends"

    sdk, _ = client(body, "text/event-stream")
    typed = list(sdk.responses.create(model="m", input="hi", stream=True))
    assert [event.type for event in typed] == events
    expect(name, typed[-1].response, expected)
    with sdk.responses.stream(model="m", input="hi") as stream:
        for event in stream:
            pass
        if expected["status"] == "completed":
            final = stream.get_final_response()
            expect(name, final, expected)
        else:
            try:
                final = stream.get_final_response()
            except RuntimeError:
                final = None
            assert final is None or final.status == expected["status"], f"{name} is no success"


def check_response(name, body, expected):
    Response.model_validate_json(body, strict=True)
    sdk, _ = client(body, "application/json")
    expect(name, sdk.responses.create(model="m", input="hi"), expected)


def consume(value):
    """Iterables are only validated when they are read."""
    if isinstance(value, dict):
        for inner in value.values():
            consume(inner)
    elif not isinstance(value, (str, bytes)) and hasattr(value, "__iter__"):
        for inner in value:
            consume(inner)


def check_request(name, body):
    consume((STREAMING if body.get("stream") else NON_STREAMING).validate_python(body))
    response = '{"id":"r","object":"response","created_at":0,"model":"m","output":[],"status":"completed",' \
        '"parallel_tool_calls":true,"tool_choice":"auto","tools":[]}'
    sdk, requests = client(response, "application/json")
    known = {key: value for key, value in body.items() if key in params.ResponseCreateParamsBase.__annotations__}
    extra = {key: value for key, value in body.items() if key not in known and key != "stream"}
    sdk.responses.create(**known, extra_body=extra)
    sent = {key: value for key, value in body.items() if key != "stream"}
    assert requests == [sent], f"{name}: the client sends {requests}"


def main():
    document = json.load(sys.stdin)
    failed = 0
    checks = [
        ("streams", lambda case: check_stream(case["name"], case["body"], case["expect"])),
        ("responses", lambda case: check_response(case["name"], case["body"], case["expect"])),
        ("requests", lambda case: check_request(case["name"], json.loads(case["body"]))),
    ]
    for kind, check in checks:
        for case in document[kind]:
            try:
                check(case)
            except Exception as error:
                failed += 1
                print(f"{kind}: {case['name']}: {type(error).__name__}: {error}\n{case['body']}", file=sys.stderr)
        print(f"{kind}: {len(document[kind])}")
    sys.exit(1 if failed else 0)


main()
