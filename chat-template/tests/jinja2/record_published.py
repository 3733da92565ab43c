"""Renders all templates of a folder with Jinja2 in Python, for `cargo test --test published`.

    python3 tests/jinja2/record_published.py FOLDER
    SAGEWIRE_TEMPLATES=FOLDER cargo test -p sagewire-chat-template --test published

The templates of models are not part of this project. What they render is written to FOLDER/published.json.
"""

import copy
import json
import pathlib
import sys

from environment import environment

CONVERSATIONS = json.loads((pathlib.Path(__file__).parent / "../../testdata/families.json").read_text())["conversations"]


def messages_of(conversation):
    """The messages as sagewire passes them to a template."""
    messages, names = copy.deepcopy(conversation["messages"]), {}
    for message in messages:
        if "reasoning_content" in message:
            message["reasoning"] = message["reasoning_content"]
        for call in message.get("tool_calls", []):
            names[call["id"]] = call["function"]["name"]
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        if message["role"] == "tool":
            message["name"] = names[message["tool_call_id"]]
    return messages


def main():
    folder = pathlib.Path(sys.argv[1])
    env, rendered = environment(), {}
    for path in sorted(folder.glob("*.jinja")):
        for name, text in CONVERSATIONS.items():
            conversation = json.loads(text)
            variables = {"tools": conversation.get("tools"), "documents": None, "bos_token": "<s>", "eos_token": "</s>"}
            try:
                template = env.from_string(path.read_text(encoding="utf-8"))
                text = template.render(messages=messages_of(conversation), add_generation_prompt=True, **variables)
            except Exception as error:
                text = None
                print(path.name, name, repr(error)[:150])
            rendered[f"{path.name} {name}"] = text
    (folder / "published.json").write_text(json.dumps(rendered, ensure_ascii=False))


main()
