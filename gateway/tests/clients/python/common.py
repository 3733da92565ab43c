"""What the scripts of the Python clients share: the gateway's address and keys, and a list of checks.

Each script prints a line for each check. It exits with 77 if its packages are not installed."""

import asyncio
import inspect
import json
import os
import sys
import traceback

GATEWAY = os.environ["GATEWAY"]
KEY = os.environ["GATEWAY_KEY"]
AWS = {
    "aws_access_key_id": os.environ["GATEWAY_ACCESS_KEY_ID"],
    "aws_secret_access_key": os.environ["GATEWAY_SECRET_ACCESS_KEY"],
}
REGION = "us-east-1"
PROMPT = os.environ["PROMPT"]
# With this text, an echo, every container responds to the prompt.
TEXT = os.environ["TEXT"]
