"""Runs a function as Lambda does: in a process of its own, one event after another.

    python -m tests.aws.invoke unlost.aws.process ANSWERS < EVENTS

EVENTS has one JSON object a line: `event`, and `seconds` that the invocation may take.  What the
function answers goes into the file ANSWERS, a line each; its log is what the process prints.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

from tests.aws.context import Context


def main() -> None:
    name, answers = sys.argv[1:]
    os.environ["AWS_LAMBDA_FUNCTION_NAME"] = name  # so that the import starts it, as in Lambda
    function = importlib.import_module(name).handler
    with Path(answers).open("w") as file:
        for line in sys.stdin:
            told = json.loads(line)
            answer = function(told["event"], Context(told.get("seconds", 60)))
            file.write(json.dumps(answer) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
