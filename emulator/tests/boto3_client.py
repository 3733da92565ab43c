"""Invokes an emulator with boto3, without and with streaming: python3 boto3_client.py URL

Prints the bytes of both responses as two lines of hexadecimal digits.
"""

import sys

try:
    import boto3
    from botocore.config import Config
except ImportError:
    sys.exit(77)

client = boto3.session.Session().client(
    "sagemaker-runtime",
    endpoint_url=sys.argv[1],
    region_name="us-west-2",
    aws_access_key_id="AKIDEXAMPLE",
    aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    aws_session_token="boto3-token",
    config=Config(retries={"total_max_attempts": 1}, proxies={}),
)

common = {
    "EndpointName": "my-llm",
    "ContentType": "application/json",
    "CustomAttributes": "a=1;b=two words",
    "InferenceComponentName": "ic-1",
    "Body": '{"messages": [{"role": "user", "content": "你好"}], "stream": true}'.encode(),
}

answer = client.invoke_endpoint(Accept="text/event-stream", **common)
assert answer["ContentType"].startswith("text/event-stream"), answer
print(answer["Body"].read().hex())

answer = client.invoke_endpoint_with_response_stream(Accept="text/event-stream", **common)
assert answer["ContentType"].startswith("text/event-stream"), answer
assert answer["InvokedProductionVariant"] == "AllTraffic", answer
print(b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"]).hex())

try:
    client.invoke_endpoint(EndpointName="my-llm", Body=b"{}")
    sys.exit("no error")
except client.exceptions.ModelError as error:
    assert error.response["OriginalStatusCode"] == 400, error.response

answer = client.invoke_endpoint_async(
    EndpointName="my-llm", InputLocation="s3://bucket/key", InferenceId="mine", ContentType="application/json"
)
assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202, answer
assert answer["InferenceId"] == "mine", answer
assert answer["OutputLocation"].startswith("s3://") and answer["FailureLocation"].startswith("s3://"), answer
