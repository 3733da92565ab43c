"""Resolves settings and credentials with botocore, for comparison.

Standard input has one JSON object a line. {"hosts": true} prints the host of SageMaker Runtime of every region of botocore's
partitions, for each variant. {"env": {...}, "profile": name or null, "invoke": bool} prints what a client in this environment
uses: the settings, and the credentials with which it signs a request. With "invoke", the request is sent.
"""

import json
import os
import sys

from botocore.awsrequest import AWSResponse
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import ClientError, EndpointProviderError, HTTPClientError
from botocore.loaders import Loader
from botocore.session import Session

SERVICE = "sagemaker-runtime"
PATH = "/endpoints/e/invocations"
LOADER = Loader()


def hosts():
    rules = LOADER.load_service_model(SERVICE, "endpoint-rule-set-1")
    partitions = LOADER.load_data("partitions")
    provider = EndpointProvider(rules, partitions)
    found = []
    for partition in partitions["partitions"]:
        for region in partition["regions"]:
            for fips in (False, True):
                for dual_stack in (False, True):
                    parameters = {"Region": region, "UseFIPS": fips, "UseDualStack": dual_stack}
                    try:
                        url = provider.resolve_endpoint(**parameters).url
                    except EndpointProviderError as error:
                        url = f"error: {error}"
                    found.append({"region": region, "fips": fips, "dual_stack": dual_stack, "url": url})
    return found


class Empty:
    """A body without bytes."""

    def stream(self, **_):
        return iter([b"{}"])


def resolve(case):
    os.environ.clear()
    os.environ.update(case["env"])
    session = Session(profile=case.get("profile"))
    session.register_component("data_loader", LOADER)
    # It would ask the user for the code of a second factor.
    session.get_component("credential_provider").get_provider("assume-role")._prompter = lambda _: "123456"
    client = session.create_client(SERVICE)
    sent = []

    def intercept(request, **_):
        sent.append(request)
        return None if case.get("invoke") else AWSResponse(request.url, 200, {}, Empty())

    client.meta.events.register(f"before-send.{SERVICE}.*", intercept)
    status = None
    try:
        client.invoke_endpoint(EndpointName="e", Body=b"{}")
        status = "200" if case.get("invoke") else None
    except ClientError as error:
        status = str(error.response["ResponseMetadata"]["HTTPStatusCode"])
    except HTTPClientError as error:
        # The request was signed, but did not arrive.
        status = type(error).__name__
    request = sent[0]
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
    }
    key, _, region = headers["authorization"].split("Credential=")[1].split("/")[:3]
    return {
        "region": region,
        "url": request.url.removesuffix(PATH).rstrip("/"),
        "key": key[-4:],
        "token": "x-amz-security-token" in headers,
        "attempts": (client.meta.config.retries or {}).get("total_max_attempts"),
        "status": status,
    }


def main():
    for line in sys.stdin:
        case = json.loads(line)
        try:
            found = hosts() if case.get("hosts") else resolve(case)
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(found), flush=True)


main()
