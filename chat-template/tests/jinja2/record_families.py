"""Records what the published templates of models render, as `testdata/families.json`.

    python3 tests/jinja2/record_families.py FOLDER

needs `pip install jinja2 mistral-common sentencepiece`, and the templates of the models in FOLDER, by the names below. The
templates are not part of this project: they have licences of their own. Mistral's formats are recorded from mistral-common,
which is what the models were trained with.
"""

import copy
import json
import pathlib
import sys
import tempfile

from environment import environment

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city"},
                "days": {"type": "integer", "description": "Days ahead"},
                "unit": {"type": "string", "enum": ["C", "F"], "description": "Unit"},
            },
            "required": ["city"],
        },
    },
}
NOTE = {
    "type": "function",
    "function": {
        "name": "note",
        "description": "Notes é \"it\".",
        "parameters": {
            "type": "object",
            "properties": {
                "lines": {"type": "array", "items": {"type": "string"}, "description": "Lines"},
                "more": {"type": "object", "properties": {"a": {"type": "number"}}, "required": [], "description": "More"},
            },
            "required": ["lines", "more"],
        },
    },
}


def call(id, name, **arguments):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*calls, content="", **more):
    return {"role": "assistant", "content": content, **more, "tool_calls": list(calls)}


def result(id, content):
    return {"role": "tool", "tool_call_id": id, "content": content}


SYSTEM = {"role": "system", "content": "Be brief."}
ASK = {"role": "user", "content": "Weather in Paris?"}
PARIS = call("callParis", "get_weather", city="Paris", days=2)
ROME = call("call0Rome", "get_weather", city="Rome é")
SUNNY = result("callParis", "{\"sky\": \"sunny\"}")
RAIN = result("call0Rome", "rain, \"cold\"")
ANSWER = {"role": "assistant", "content": "Sunny."}
THANKS = {"role": "user", "content": "Thanks. And Rome?"}

CONVERSATIONS = {
    "one": ([ASK], []),
    "turns": ([ASK, ANSWER, THANKS], []),
    "system_turns": ([SYSTEM, ASK, ANSWER, THANKS], []),
    "tools": ([ASK], [WEATHER, NOTE]),
    "system_tools": ([SYSTEM, ASK, ANSWER, THANKS], [WEATHER]),
    "call": ([ASK, calls(PARIS), SUNNY], [WEATHER]),
    "system_call": ([SYSTEM, ASK, calls(PARIS), SUNNY], [WEATHER, NOTE]),
    "call_answer": ([ASK, calls(PARIS), SUNNY, ANSWER, THANKS], [WEATHER]),
    "call_without_tools": ([ASK, calls(PARIS), SUNNY, ANSWER, THANKS], []),
    "parallel": ([ASK, calls(PARIS, ROME), SUNNY, RAIN], [WEATHER]),
    "rounds": ([ASK, calls(PARIS), SUNNY, calls(ROME), RAIN, ANSWER, THANKS], [WEATHER]),
    "nested_arguments": ([ASK, calls(call("call00001", "note", lines=["a\n\"b\"", "é"], more={"a": 1.5, "b": None, "c": [True]})), result("call00001", "ok")], [NOTE]),
    "no_arguments": ([ASK, calls(call("call00001", "note")), result("call00001", "ok")], [NOTE]),
    "text_and_call": ([ASK, calls(PARIS, content="Let me look."), SUNNY], [WEATHER]),
    "text_and_parallel": ([ASK, calls(PARIS, ROME, content="Let me look."), SUNNY, RAIN, ANSWER, THANKS], [WEATHER]),
    "reasoning_and_call": ([ASK, calls(PARIS, reasoning_content="I need the weather."), SUNNY], [WEATHER]),
    "reasoning_of_earlier_turn": ([ASK, {"role": "assistant", "content": "Sunny.", "reasoning_content": "Easy."}, THANKS], []),
}

# By family: the name of the template, where it is from, its variables, and how it takes messages.
FAMILIES = {
    "llama3.1": ("meta-llama-Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct", {"bos_token": "<|begin_of_text|>", "date_string": "05 Mar 2026"}, {}),
    "llama3.3": ("meta-llama-Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct", {"bos_token": "<|begin_of_text|>", "date_string": "05 Mar 2026"}, {"family": "llama3.1"}),
    "qwen2.5": ("Qwen-Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct", {}, {}),
    "qwen3": ("Qwen-Qwen3-0.6B", "Qwen/Qwen3-0.6B", {}, {}),
    "hermes": ("NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "NousResearch/Hermes-3-Llama-3.1-8B (tool_use)", {"bos_token": "<|begin_of_text|>"}, {"only_tools": True}),
    "deepseek-v3": ("vllm-deepseekv3", "vllm-project/vllm, examples/tool_chat_template_deepseekv3.jinja, without the white space of its lines", {"bos_token": "<｜begin▁of▁sentence｜>"}, {"joined": True}),
    "deepseek-r1": ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", {"bos_token": "<｜begin▁of▁sentence｜>"}, {"no_content": True, "texts": True}),
    "gemma3": ("gemma3-pythonic", "vllm-project/vllm, examples/tool_chat_template_gemma3_pythonic.jinja", {"bos_token": "<bos>"}, {}),
    "granite3": ("ibm-granite-granite-3.3-2B-Instruct", "ibm-granite/granite-3.3-2b-instruct", {}, {"calls_in_content": True}),
    "granite4": ("ibm-granite-granite-4.0", "ibm-granite/granite-4.0", {}, {}),
    "phi4-mini": ("phi-4-mini", "ggml-org/llama.cpp, models/templates/llama-cpp-microsoft-Phi-4-mini-instruct.jinja", {"eos_token": "<|endoftext|>"}, {"tools_undefined": True}),
    "gpt-oss": ("openai-gpt-oss-120b", "openai/gpt-oss-120b", {}, {"thinking": True}),
    "mistral-v11": ("Mistral-Small-3.2-24B-Instruct-2506", "mistralai/Mistral-Small-3.2-24B-Instruct-2506", {"bos_token": "<s>", "eos_token": "</s>"}, {"only_system": True}),
}


def adapt(messages, how):
    messages = copy.deepcopy(messages)
    for message in messages:
        tool_calls = message.get("tool_calls", [])
        if how.get("thinking") and "reasoning_content" in message:
            message["thinking"] = message.pop("reasoning_content")
        if how.get("no_content") and tool_calls:
            message["content"] = None
        if how.get("texts"):
            for tool_call in tool_calls:
                tool_call["function"]["arguments"] = json.dumps(tool_call["function"]["arguments"], ensure_ascii=False)
        if how.get("calls_in_content") and tool_calls:
            functions = [tool_call["function"] for tool_call in message.pop("tool_calls")]
            message["content"] += "<|tool_call|>" + json.dumps(functions, ensure_ascii=False)
    return messages


def outcome(render):
    try:
        return {"rendered": render()}
    except Exception as error:
        return {"fails": str(error)[:120]}


def record_published(folder):
    env = environment()
    for family, (file, source, variables, how) in FAMILIES.items():
        text = (folder / (file + ".jinja")).read_text(encoding="utf-8")
        if how.get("joined"):
            text = "".join(line.strip() for line in text.splitlines())
        template = env.from_string(text)
        for name, (messages, tools) in CONVERSATIONS.items():
            if how.get("only_tools") and not tools or how.get("only_system") and messages[0] != SYSTEM:
                continue
            given = {} if how.get("tools_undefined") and not tools else {"tools": tools or None}
            variables = {"eos_token": "<｜end▁of▁sentence｜>", **variables}
            vector = outcome(lambda: template.render(messages=adapt(messages, how), add_generation_prompt=True, **given, **variables))
            yield {"family": how.get("family", family), "source": source, "conversation": name, **vector}


def record_mistral():
    import mistral_common
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    data = pathlib.Path(mistral_common.__file__).parent / "data"
    with tempfile.TemporaryDirectory() as folder:
        tekken = json.loads((data / "tekken_240911.json").read_text())
        tekken["config"]["version"] = "v7"
        v7 = pathlib.Path(folder) / "tekken.json"
        v7.write_text(json.dumps(tekken))
        tokenizers = {
            "mistral-v3": MistralTokenizer.v3(),
            "mistral-nemo": MistralTokenizer.from_file(str(data / "tekken_240718.json")),
            "mistral-v7": MistralTokenizer.from_file(str(v7)),
        }
    for family, tokenizer in tokenizers.items():
        for name, (messages, tools) in CONVERSATIONS.items():
            def render():
                request = ChatCompletionRequest.from_openai(messages=adapt(messages, {"texts": True}), tools=tools or None)
                text = tokenizer.encode_chat_completion(request).text
                return text.replace("▁", " ").replace("<0x0A>", "\n")
            yield {"family": family, "source": "mistral-common", "conversation": name, **outcome(render)}


def main():
    vectors = [*record_published(pathlib.Path(sys.argv[1])), *record_mistral()]
    path = pathlib.Path(__file__).parent / "../../testdata/families.json"
    with open(path, "w", encoding="utf-8") as file:
        # As texts: the order of their keys matters.
        conversations = {}
        for name, (messages, tools) in CONVERSATIONS.items():
            body = {"messages": adapt(messages, {"texts": True}), **({"tools": tools} if tools else {})}
            conversations[name] = json.dumps(body, ensure_ascii=False)
        file.write('{"conversations": {\n')
        file.write(",\n".join(f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in conversations.items()))
        file.write('},\n"vectors": [\n')
        file.write(",\n".join(" " + json.dumps(vector, ensure_ascii=False) for vector in vectors))
        file.write("]}\n")


main()
