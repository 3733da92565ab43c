#!/usr/bin/env python3
"""Decodes the streams of `compare --write-streams DIR` with the Python clients for SageMaker, and prints how many tokens
each recovers and which ending it reports.

    cargo run --release -p sagewire-benches --bin compare -- --write-streams target/streams
    python3 benches/python/recovered.py target/streams

Each line of requirements.txt is installed in a virtual environment of its own, under `--venvs` (target/venvs). An
existing environment is used as it is. Nothing is sent over the network: instead of a response from SageMaker, a client
gets the bytes of the file, in the reads that `streams.json` lists.
"""

import argparse
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Timeout of one variant in seconds; one of the clients never returns.
PATIENCE = 60


class NotDone(Exception):
    """Raised by the glue code if [DONE] is missing; no library does this."""


# How each client is used. A function takes the reads of a response body and a list to which it adds texts, and returns
# the ending that the client reports. The glue code below is as correct as a few lines allow, so losses are not due to it.


def event_stream(reads):
    """The `Body` that boto3 returns, from botocore's own parser."""
    import botocore.session
    from botocore.eventstream import EventStream
    from botocore.parsers import EventStreamJSONParser

    class Raw:
        def stream(self):
            yield from reads

        def close(self):
            pass

    name = "InvokeEndpointWithResponseStream"
    service = botocore.session.get_session().get_service_model("sagemaker-runtime")
    shape = service.operation_model(name).output_shape.members["Body"]
    return EventStream(Raw(), shape, EventStreamJSONParser(), name)


def payloads(reads):
    for event in event_stream(reads):
        yield event["PayloadPart"]["Bytes"]


def lines(lines, texts):
    """Glue code: the text of lines of server-sent events, and an error if [DONE] is missing."""
    for line in lines:
        data = line.decode().strip().removeprefix("\ufeff")
        if not data.startswith("data:"):
            continue
        data = data.removeprefix("data:").strip()
        if data == "[DONE]":
            return "[DONE]"
        for choice in json.loads(data)["choices"]:
            texts.append(choice["delta"].get("content") or "")
    raise NotDone("no [DONE]")


def each_part(reads, texts):
    """As in many examples: assumes that each part consists of complete lines."""
    return lines((line for part in payloads(reads) for line in part.splitlines()), texts)


def by_hand(reads, texts):
    """The parts joined, then split at line ends."""

    def whole():
        rest = b""
        for part in payloads(reads):
            *complete, rest = (rest + part).split(b"\n")
            yield from complete
        yield rest

    return lines(whole(), texts)


def line_iterator_of_langchain(reads, texts):
    from langchain_aws.llms.sagemaker_endpoint import LineIterator

    return lines(LineIterator(event_stream(reads)), texts)


def line_iterator_of_sagemaker(reads, texts):
    try:
        from sagemaker.core.iterators import LineIterator
    except ImportError:
        from sagemaker.iterators import LineIterator
    return lines(LineIterator(event_stream(reads)), texts)


LITELLM = {
    "model": "sagemaker_chat/endpoint",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "num_retries": 0,
    "aws_access_key_id": "AKIDEXAMPLE",
    "aws_secret_access_key": "secret",
    "aws_region_name": "us-east-1",
}


def finish(chunk, texts):
    choice = chunk.choices[0]
    texts.append(choice.delta.content or "")
    return choice.finish_reason


def litellm_completion(reads, texts):
    import httpx
    import litellm
    from litellm.llms.custom_httpx.http_handler import HTTPHandler

    class Body(httpx.SyncByteStream):
        def __iter__(self):
            yield from reads

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Body()))
    client = HTTPHandler(client=httpx.Client(transport=transport))
    said = None
    for chunk in litellm.completion(client=client, **LITELLM):
        said = finish(chunk, texts) or said
    return said


def litellm_acompletion(reads, texts):
    import asyncio

    import httpx
    import litellm
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    class Body(httpx.AsyncByteStream):
        async def __aiter__(self):
            for read in reads:
                yield read

    async def run():
        client = AsyncHTTPHandler()
        transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Body()))
        client.client = httpx.AsyncClient(transport=transport)
        said = None
        async for chunk in await litellm.acompletion(client=client, **LITELLM):
            said = finish(chunk, texts) or said
        return said

    return asyncio.run(run())


def strands(reads, texts):
    import asyncio

    import boto3
    from strands.models.sagemaker import SageMakerAIModel

    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret", region_name="us-east-1")
    model = SageMakerAIModel(
        endpoint_config={"endpoint_name": "endpoint"}, payload_config={"max_tokens": 16}, boto_session=session
    )
    model.client.invoke_endpoint_with_response_stream = lambda **_: {"Body": event_stream(reads)}

    async def run():
        said = None
        async for event in model.stream([{"role": "user", "content": [{"text": "hi"}]}]):
            if "contentBlockDelta" in event:
                texts.append(event["contentBlockDelta"]["delta"].get("text", ""))
            elif "messageStop" in event:
                said = event["messageStop"]["stopReason"]
        return said

    return asyncio.run(run())


# The names of the clients in the table, by the package in requirements.txt.
CLIENTS = {
    "litellm": {"LiteLLM, completion": litellm_completion, "LiteLLM, acompletion": litellm_acompletion},
    "strands-agents": {"Strands Agents": strands},
    "langchain-aws": {"langchain-aws, LineIterator + glue": line_iterator_of_langchain},
    "sagemaker": {"sagemaker, LineIterator + glue": line_iterator_of_sagemaker},
    "botocore": {"botocore, part by part + glue": each_part, "botocore, lines by hand + glue": by_hand},
}


def recovered(answer, tokens):
    """Number of tokens that the response contains, complete and in order. Each token ends in its number, so it is unique."""
    at = count = 0
    for token in tokens:
        found = answer.find(token, at)
        if found >= 0:
            at, count = found + len(token), count + 1
    return count


class Hung(BaseException):
    """Not an Exception, so that no client catches it."""


def hung(*_):
    raise Hung


def run(client, reads, tokens):
    texts, said, fault, ending = [], None, None, None
    signal.signal(signal.SIGALRM, hung)
    signal.alarm(PATIENCE)
    try:
        said = client(reads, texts)
    except Hung:
        ending = "hung"
    except ImportError:
        raise  # Not caused by the stream.
    except Exception as error:
        ending, fault = "error", f"{type(error).__name__}: {error}".splitlines()[0]
    finally:
        signal.alarm(0)
    count = recovered("".join(texts), tokens)
    ending = ending or ("complete" if count == len(tokens) else "silent")
    return {"recovered": count, "ending": ending, "said": said, "fault": fault}


def child(package, version, streams):
    """Prints a line of JSON for each client of the package and each variant."""
    installed = importlib.metadata.version(package)
    if installed != version:
        sys.exit(f"{package} {installed} is installed, not {version}")
    index = json.loads((streams / "streams.json").read_text())
    for name, client in CLIENTS[package].items():
        for variant in index["variants"]:
            body, reads = (streams / variant["file"]).read_bytes(), []
            for length in variant["reads"]:
                reads.append(body[:length])
                body = body[length:]
            result = run(client, reads, index["tokens"])
            result |= {"client": name, "version": version, "variant": variant["name"], "arrived": variant["arrived"]}
            print(json.dumps(result), flush=True)


def environment(line, folder):
    """The interpreter of the virtual environment for a line of requirements.txt, which is created if necessary."""
    client = line.split()[0].split("[")[0].split("==")[0]
    version = line.split()[0].split("==")[1]
    path = folder / f"{client}-{version}"
    if not path.exists():
        print(f"installing {line}", file=sys.stderr)
        venv.create(path, with_pip=True)
        subprocess.run([path / "bin/python", "-m", "pip", "install", "--quiet", *line.split()], check=True)
    return client, version, path / "bin/python"


def table(rows, index):
    variants = index["variants"]
    print(f"Tokens recovered of {len(index['tokens']):,}, and how the stream ended.\n")
    print("|", " | ".join(["client", *(variant["name"] for variant in variants)]), "|")
    print("|---|" + "---|" * len(variants))
    print("|", " | ".join(["*in the bytes*", *(f"{variant['arrived']:,}" for variant in variants)]), "|")
    for key in dict.fromkeys((row["client"], row["version"]) for row in rows):
        cells = []
        for variant in variants:
            row = next(row for row in rows if (row["client"], row["version"], row["variant"]) == (*key, variant["name"]))
            said = f" ({row['said']})" if row["ending"] == "silent" else ""
            cells.append(f"{row['recovered']:,} {row['ending']}{said}")
        client, _, how = key[0].partition(",")
        print("|", " | ".join([f"{client} {key[1]}{',' if how else ''}{how}", *cells]), "|")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("streams", type=Path, help="what compare --write-streams wrote")
    arguments.add_argument("--venvs", type=Path, default=HERE.parents[1] / "target/venvs")
    arguments.add_argument("--only", help="only the clients of this package")
    arguments.add_argument("--json", action="store_true", help="a line of JSON for each result instead of the table")
    arguments.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = arguments.parse_args()
    if arguments.child:
        return child(*arguments.child, arguments.streams)

    rows = []
    for line in (HERE / "requirements.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if arguments.only and not line.startswith(arguments.only):
            continue
        try:
            client, version, python = environment(line, arguments.venvs)
        except subprocess.CalledProcessError:
            print(f"cannot be installed: {line}", file=sys.stderr)
            continue
        command = [python, __file__, arguments.streams, "--child", client, version]
        quiet = os.environ | {"PYTHONWARNINGS": "ignore", "LITELLM_LOG": "CRITICAL", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        output = subprocess.run(command, env=quiet, stdout=subprocess.PIPE, text=True)
        rows += [json.loads(line) for line in output.stdout.splitlines() if line.startswith("{")]
    if arguments.json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
    else:
        table(rows, json.loads((arguments.streams / "streams.json").read_text()))


if __name__ == "__main__":
    main()
