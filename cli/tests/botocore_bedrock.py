"""Reads ConverseStream frames from standard input with botocore, as boto3 does, and prints them as JSON lines.

An event is {name: members}, an exception that ends the stream {"error": {"Code": ..., "Message": ...}}.
"""

import json
import sys

from botocore.eventstream import EventStream
from botocore.exceptions import EventStreamError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import EventStreamJSONParser


class Response:
    """The part of urllib3's response that botocore reads from."""

    def stream(self):
        # Cut where nothing ends, as a network would.
        while chunk := sys.stdin.buffer.read(61):
            yield chunk

    def close(self):
        pass


def main():
    description = Loader().load_service_model("bedrock-runtime", "service-2")
    operation = ServiceModel(description, "bedrock-runtime").operation_model("ConverseStream")
    shape = operation.get_event_stream_output()
    try:
        for event in EventStream(Response(), shape, EventStreamJSONParser(), "ConverseStream"):
            print(json.dumps(event))
    except EventStreamError as error:
        print(json.dumps({"error": error.response["Error"]}))


main()
