"""Checks requests against the types of the official clients: openai and anthropic with pydantic, Converse with botocore's
parameter validator.

Standard input has one JSON object a line, {"name", "api", "body"}. Prints a line for each request that is not accepted.
"""

import base64
import json
import sys

import botocore.session
from anthropic.types.message_create_params import MessageCreateParams
from botocore.validate import ParamValidator
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import TypeAdapter, ValidationError

TYPES = {
    "openai": TypeAdapter(CompletionCreateParams),
    "responses": TypeAdapter(ResponseCreateParams),
    "anthropic": TypeAdapter(MessageCreateParams),
}
CONVERSE = botocore.session.Session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape


def consume(value):
    """Visits all that was validated: pydantic validates iterables as they are read."""
    if isinstance(value, dict):
        for member in value.values():
            consume(member)
    elif hasattr(value, "__iter__") and not isinstance(value, (str, bytes)):
        for element in value:
            consume(element)


def with_bytes(shape, value):
    """The value with bytes where the service model has blobs. JSON has them in Base64."""
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    if shape.type_name == "structure" and not shape.is_document_type and isinstance(value, dict):
        return {
            name: with_bytes(shape.members[name], member) if name in shape.members else member
            for name, member in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [with_bytes(shape.member, element) for element in value]
    return value


def problem(api, body):
    if api == "bedrock":
        body = with_bytes(CONVERSE, {"modelId": "m", **body})
        report = ParamValidator().validate(body, CONVERSE)
        return report.generate_report() if report.has_errors() else None
    try:
        # Containers need no model, so that it may be missing.
        consume(TYPES[api].validate_python({"model": "m", **body}))
    except ValidationError as error:
        # The first errors say enough: there is one for each type of a union.
        return f"{error.error_count()} errors: {error.errors(include_url=False, include_context=False, include_input=False)[:3]}"
    return None


for line in sys.stdin:
    request = json.loads(line)
    found = problem(request["api"], request["body"])
    if found:
        print(f"{request['name']} as {request['api']}: {found}".replace("\n", " "))
