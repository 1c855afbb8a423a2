#!/usr/bin/env python3
"""Compares `octavo chat-template` with transformers, on real templates and generated conversations.

    tools/compare_chat_templates.py --program build/release/octavo TEMPLATE_OR_FOLDER...
    tools/compare_chat_templates.py --write src/text/chat_template_golden.jsonl src/text/chat_template_golden.jinja

Each template renders each conversation twice, by transformers (render_jinja_template) and by the program; the texts must
be equal, and where Jinja raises the program must answer with an error. Exit code 1 when anything differs. A template is
a .jinja file or a tokenizer_config.json. With --write, what transformers renders is written for the C++ tests instead.
Needs Python with transformers and jinja2.
"""

import argparse
import datetime
import itertools
import json
import pathlib
import random
import subprocess
import sys

from transformers.utils import chat_template_utils

NOW = datetime.datetime(2024, 7, 26)
SPECIAL_TOKENS = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}

TEXTS = [
    "Hi!",
    "",
    "  padded \n text\t",
    "two\nlines\n",
    "你好，世界 🌍 Ünïcödé ﬁ İ ß",
    'quotes " and \' and \\ and <tags> & {{ braces }} {% tag %}',
    "<think>\nhidden\n</think>\n\nvisible",
    "a\r\nb\u2028c\x0bd",
    "[TOOL_CALLS] <|im_end|> </s>",
]

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city.\nIn °C.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Name, e.g. 'Zürich'"},
                    "days": {"type": "integer", "default": 3},
                    "units": {"type": "string", "enum": ["c", "f"]},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "where": {
                        "type": "object",
                        "properties": {"lat": {"type": "number"}, "lon": {"type": ["number", "null"]}},
                        "required": ["lat"],
                    },
                },
                "required": ["city"],
            },
            "return": {"type": "string"},
        },
    },
    {"type": "function", "function": {"name": "no_arguments", "description": "", "parameters": {"type": "object", "properties": {}}}},
]

DOCUMENTS = [{"title": "Owls", "text": "Owls fly at night."}, {"title": "", "text": "Naïve"}]


def tool_call(name, arguments, call_id):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def fixed_conversations():
    user = {"role": "user", "content": "What is the weather in Paris?"}
    call = {"role": "assistant", "content": "", "tool_calls": [tool_call("get_weather", {"city": "Paris", "days": 2, "x": [1.5, None, True]}, "abcdefghi")]}
    result = {"role": "tool", "name": "get_weather", "tool_call_id": "abcdefghi", "content": '{"temperature": 22.5}'}
    answer = {"role": "assistant", "content": "It is 22.5 °C."}
    system = {"role": "system", "content": "You are a helpful assistant."}
    parts = {"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": "image"}, {"type": "text", "text": "what?"}]}
    yield [user]
    yield [system, user]
    yield [user, answer, {"role": "user", "content": "Thanks\n"}]
    yield [system, user, call, result, answer]
    yield [user, call, result]
    yield [user, dict(call, content=None), result, answer, user]
    yield [user, dict(call, content="Let me see."), result, result]
    yield [user, {"role": "assistant", "content": None, "tool_calls": [tool_call("a", {}, "call00001"), tool_call("b", {"q": "ü\n\"'"}, "call00002")]}]
    yield [user, {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {"a": 1}}]}]
    yield [user, {"role": "assistant", "content": "", "tool_calls": [tool_call("f", '{"a": 1}', "callstrng")]}]
    yield [user, {"role": "assistant", "content": "Sure.", "reasoning_content": "The user\nasks."}, user]
    yield [user, {"role": "assistant", "content": "Sure.", "thinking": "Hm."}, user, {"role": "assistant", "content": "x", "reasoning": "y"}]
    yield [user, {"role": "assistant", "content": "<think>\nold\n</think>\n\nnew"}, user]
    yield [{"role": "developer", "content": "Be brief."}, user]
    yield [user, user]
    yield [answer, user]
    yield [user, system]
    yield [parts]
    yield [system, {"role": "user", "content": [{"type": "text", "text": "only text"}]}, {"role": "assistant", "content": [{"type": "text", "text": "parts"}]}]
    yield []
    yield [{"role": "unknown", "content": "?"}]
    yield [{"role": "user"}]
    yield [{"content": "no role"}]
    yield [{"role": "user", "content": 5}]
    yield [{"role": "user", "content": {"a": [1, 2.0, None, True, "ü"]}}]


def random_conversation(rng):
    messages = []
    if rng.random() < 0.4:
        messages.append({"role": "system", "content": rng.choice(TEXTS)})
    for _ in range(rng.randint(1, 4)):
        messages.append({"role": "user", "content": rng.choice(TEXTS)})
        assistant = {"role": "assistant", "content": rng.choice(TEXTS)}
        if rng.random() < 0.3:
            assistant[rng.choice(["reasoning_content", "thinking", "reasoning"])] = rng.choice(TEXTS)
        if rng.random() < 0.4:
            names = [rng.choice(["get_weather", "no_arguments"]) for _ in range(rng.randint(1, 2))]
            ids = ["call%05d" % rng.randint(0, 99999) for _ in names]
            assistant["tool_calls"] = [tool_call(n, {"city": rng.choice(TEXTS), "n": rng.choice([1, -2.5, 1e20, None, False, [], {}])}, i) for n, i in zip(names, ids)]
            messages.append(assistant)
            messages += [{"role": "tool", "name": n, "tool_call_id": i, "content": rng.choice(TEXTS)} for n, i in zip(names, ids)]
            assistant = {"role": "assistant", "content": rng.choice(TEXTS)}
        if rng.random() < 0.8:
            messages.append(assistant)
    return messages


def cases(n_random, seed):
    rng = random.Random(seed)
    switches = [{}, {"enable_thinking": False}, {"enable_thinking": True}, {"thinking": True}, {"reasoning_effort": "high"}]
    extras = [{}, {"tools": TOOLS}, {"tools": []}, {"documents": DOCUMENTS}]
    for messages, generation, extra, switch in itertools.product(fixed_conversations(), [False, True], extras[:2], switches[:3]):
        yield {"messages": messages, "add_generation_prompt": generation, **extra, **switch}
    for _ in range(n_random):
        yield {
            "messages": random_conversation(rng),
            "add_generation_prompt": rng.random() < 0.5,
            **rng.choice(extras),
            **rng.choice(switches),
        }


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def oracle(template, case):
    variables = {**SPECIAL_TOKENS, **case}
    messages = variables.pop("messages")
    try:
        texts, _ = chat_template_utils.render_jinja_template([messages], chat_template=template, **variables)
        return {"text": texts[0]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def program_answers(program, path, all_cases):
    lines = "".join(json.dumps({**SPECIAL_TOKENS, **case}, ensure_ascii=False) + "\n" for case in all_cases)
    command = [program, "chat-template", str(path), "--now", NOW.strftime("%Y-%m-%d")]
    run = subprocess.run(command, input=lines.encode(), capture_output=True, check=False)
    answers = [json.loads(line) for line in run.stdout.decode().split("\n") if line]
    if not answers:  # the template itself was refused
        return [{"error": run.stderr.decode().strip()}] * len(all_cases)
    return answers


def read_template(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(text)["chat_template"] if path.suffix == ".json" else text


def write_golden(template, all_cases, path):
    with path.open("w", encoding="utf-8") as file:
        for case in all_cases:
            answer = oracle(template, case)
            answer = {"text": answer["text"]} if "text" in answer else {"error": True}
            file.write(json.dumps({"variables": {**SPECIAL_TOKENS, **case}, **answer}, ensure_ascii=False) + "\n")


def compare(program, path, all_cases, n_shown):
    template = read_template(path)
    answers = program_answers(program, path, all_cases)
    if len(answers) != len(all_cases):
        print(f"{path.name}: {len(answers)} answers to {len(all_cases)} lines")
        return 0, 0, len(all_cases)
    n_texts = n_errors = n_different = 0
    for case, answer in zip(all_cases, answers):
        expected = oracle(template, case)
        if answer.get("text") == expected.get("text") and ("error" in answer) == ("error" in expected):
            n_texts += "text" in expected
            n_errors += "error" in expected
            continue
        n_different += 1
        if n_different <= n_shown:
            print(f"{path.name}: {json.dumps(case, ensure_ascii=False)}\n  expected {expected}\n  found    {answer}")
    return n_texts, n_errors, n_different


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program")
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--random", type=int, default=150, help="generated conversations beside the fixed ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=2, help="differences to print per template")
    parser.add_argument("templates", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    chat_template_utils.datetime = FixedClock
    paths = [p for t in args.templates for p in (sorted(t.glob("*.jinja")) if t.is_dir() else [t])]
    all_cases = list(cases(args.random, args.seed))
    if args.write:
        rng = random.Random(args.seed)
        write_golden(read_template(paths[0]), rng.sample(all_cases, 60), args.write)
        return 0
    if not args.program:
        parser.error("--program or --write is needed")
    totals = [0, 0, 0]
    for path in paths:
        counts = compare(args.program, path, all_cases, args.show)
        totals = [a + b for a, b in zip(totals, counts)]
        if counts[2]:
            print(f"{path.name}: {counts[2]} of {len(all_cases)} differ")
    print(f"{len(paths)} templates x {len(all_cases)} conversations: {totals[0]} equal texts, {totals[1]} errors on both sides, {totals[2]} different")
    return 1 if totals[2] else 0


if __name__ == "__main__":
    sys.exit(main())
