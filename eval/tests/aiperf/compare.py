"""Compares the percentiles of `sagewire bench` with those of AIPerf: see README.md."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

REQUESTS, CONCURRENCY = 16, 4
SERVER = ["--time-to-first-token", "200", "--tokens-per-second", "20", "--jitter", "0.3"]
METRICS = [
    ("ttft", "time_to_first_token"),
    ("itl", "inter_chunk_latency"),
    ("tpot", "inter_token_latency"),
    ("e2el", "request_latency"),
]
PROMPT = "one two three four five six seven eight nine ten"
# A tokenizer of words: AIPerf's own one is downloaded. The server counts the tokens.
TOKENIZER = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(sys.argv[1])
"""
# A difference of less than 5 %, or than the resolution of the timers of the two clients, is none.
RELATIVE, ABSOLUTE_MS = 0.05, 2.0


def emulator(sagewire):
    """A fresh emulator: its n-th request takes the same time in each run. Returns the process and its URL."""
    process = subprocess.Popen([sagewire, "emulate", "--port", "0", *SERVER], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().removeprefix("listening on ").strip()


def environment(url):
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
    urls = {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url, "AWS_REGION": "us-east-1"}
    return os.environ | keys | urls


def ours(sagewire, base, folder, env):
    prompts = folder / "chats.jsonl"
    prompts.write_text(json.dumps({"prompt": PROMPT}) + "\n")
    report = folder / "sagewire.json"
    token = subprocess.run([sagewire, "token"], env=env, check=True, capture_output=True, text=True).stdout.strip()
    arguments = ["--url", base, "--model", "m", "--prompts", prompts, "--output", report]
    arguments += ["--concurrency", str(CONCURRENCY), "--requests", str(REQUESTS)]
    subprocess.run([sagewire, "bench", *arguments], env=env | {"OPENAI_API_KEY": token}, check=True)
    level = json.loads(report.read_text())["targets"][0]["levels"][0]
    assert level["endings"]["complete"] == REQUESTS, level
    return {ours: level[ours] for ours, _ in METRICS}


def theirs(aiperf, sagewire, base, folder, env):
    prompts = folder / "single_turn.jsonl"
    prompts.write_text(json.dumps({"text": PROMPT}) + "\n")
    token = subprocess.run([sagewire, "token"], env=env, check=True, capture_output=True, text=True).stdout.strip()
    tokenizer = folder / "tokenizer"
    python = pathlib.Path(aiperf).with_name("python")
    subprocess.run([python, "-c", TOKENIZER, tokenizer], env=env, check=True)
    host, path = base.split("/endpoints/")
    arguments = ["--model", "m", "--endpoint-type", "chat", "--streaming", "--tokenizer", tokenizer]
    arguments += ["--url", host, "--custom-endpoint", f"/endpoints/{path}/chat/completions", "--api-key", token]
    arguments += ["--input-file", prompts, "--custom-dataset-type", "single_turn", "--use-server-token-count"]
    arguments += ["--concurrency", str(CONCURRENCY), "--request-count", str(REQUESTS)]
    arguments += ["--output-artifact-dir", folder / "aiperf", "--ui", "none"]
    subprocess.run([aiperf, "profile", *arguments], env=env, check=True, cwd=folder)
    [report] = (folder / "aiperf").rglob("profile_export_aiperf.json")
    report = json.loads(report.read_text())
    return {ours: report[theirs] for ours, theirs in METRICS if theirs in report}


def main():
    sagewire, aiperf = (str(pathlib.Path(path).absolute()) for path in sys.argv[1:3])
    results = []
    for measure in [lambda *of: ours(sagewire, *of), lambda *of: theirs(aiperf, sagewire, *of)]:
        process, url = emulator(sagewire)
        try:
            with tempfile.TemporaryDirectory() as folder:
                base = f"{url}/endpoints/my-llm/openai/v1"
                results.append(measure(base, pathlib.Path(folder), environment(url)))
        finally:
            process.kill()
    bench, reference = results
    is_same = True
    print(f"{'':12}{'sagewire':>12}{'AIPerf':>12}{'difference':>12}")
    for metric, values in reference.items():
        for percentile in ("p50", "p90", "p99"):
            found, expected = bench[metric][percentile], values[percentile]
            difference = found - expected
            ok = abs(difference) <= max(RELATIVE * expected, ABSOLUTE_MS)
            is_same &= ok
            name = f"{metric} {percentile}"
            print(f"{name:12}{found:12.2f}{expected:12.2f}{difference / expected:12.1%}{'' if ok else '  !'}")
    sys.exit(0 if is_same else 1)


if __name__ == "__main__":
    main()
