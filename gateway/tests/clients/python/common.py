"""What the scripts of the Python clients share: the gateway's address and keys, and a list of checks.

Each script prints a line for each check. It exits with 77 if its packages are not installed."""

import asyncio
import inspect
import json
import os
import sys
import traceback

GATEWAY = os.environ["GATEWAY"]
# The same gateway, with TLS.
GATEWAY_TLS = os.environ["GATEWAY_TLS"]
KEY = os.environ["GATEWAY_KEY"]
AWS = {
    "aws_access_key_id": os.environ["GATEWAY_ACCESS_KEY_ID"],
    "aws_secret_access_key": os.environ["GATEWAY_SECRET_ACCESS_KEY"],
}
REGION = "us-east-1"
PROMPT = os.environ["PROMPT"]
# With this text, an echo, every container responds to the prompt.
TEXT = os.environ["TEXT"]
# Containers of three APIs.
CHAT, TGI, CLAUDE = "chat", "tgi", "claude"
MODELS = [CHAT, TGI, CLAUDE]
# A container that refuses, with this message, and one that fails.
REFUSING, FAILING, REASON = "refusing", "failing", "the container's own reason"
# Streams that break: with an exception, and without the end of the body.
BROKEN = ["broken", "cut"]
UNKNOWN = "no-such-model"
EMBEDDINGS = "embeddings"
VECTORS = [[0.25, -0.5, 1.0], [2.0, 0.0, -4.0]]
# A picture of one pixel.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}

checks = []


def check(function):
    checks.append(function)
    return function


def raises(expected, function):
    """The exception that a call raises, which has to be of exactly this class."""
    try:
        result = function()
    except Exception as error:
        assert type(error).__name__ == expected.__name__, f"{type(error)!r}, not {expected!r}: {error}"
        return error
    raise AssertionError(f"no {expected.__name__}, but {result!r}")


def fails(function, *expected):
    """The exception that a call raises, of one of these classes or a subclass; of any class without them."""
    try:
        result = function()
    except Exception as error:
        assert isinstance(error, expected or Exception), f"{type(error)!r}: {error}"
        return error
    raise AssertionError(f"no error, but {result!r}")


def breaks(expected, stream, text):
    """Reads a stream that breaks. It has to raise, after some of the text and before all of it."""
    seen = []

    def read():
        for event in stream():
            seen.append(text(event) or "")

    error = raises(expected, read)
    joined = "".join(seen)
    assert joined and TEXT.startswith(joined) and joined != TEXT, f"{joined!r} before {error!r}"
    return error


def equal(found, expected):
    assert found == expected, f"{found!r}, not {expected!r}"


def arguments(text):
    equal(json.loads(text), {"city": PROMPT})


def main():
    only = sys.argv[1:]
    failed = 0
    for function in checks:
        if only and function.__name__ not in only:
            continue
        try:
            result = function()
            if inspect.iscoroutine(result):
                asyncio.run(result)
            print(f"ok {function.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED {function.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(checks) - failed} of {len(checks)} checks passed")
    sys.exit(1 if failed else 0)


def missing(error):
    print(f"not installed: {error}")
    sys.exit(77)
