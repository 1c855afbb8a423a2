#!/usr/bin/env python3
"""Recomputes the expectations in src/text/jinja/golden.jsonl with transformers' own environment.

    tools/make_chat_golden.py [FILE]

The first line holds the variables, every other line a template and what it gives: {"template": …, "text": …} or
{"template": …, "error": true}. To add a case, append {"template": …} and run this. Needs Python with transformers.
"""

import copy
import datetime
import json
import pathlib
import sys

from transformers.utils import chat_template_utils

GOLDEN = pathlib.Path(__file__).parent.parent / "src/text/jinja/golden.jsonl"


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 6, 5, 4, 3)


def main():
    chat_template_utils.datetime = FixedClock
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN
    head, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    lines = [head]
    for row in rows:
        try:
            template = chat_template_utils._compile_jinja_template(row["template"])
            lines.append({"template": row["template"], "text": template.render(**copy.deepcopy(head))})
        except Exception:
            lines.append({"template": row["template"], "error": True})
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
