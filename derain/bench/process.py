"""The process of one case: `derain.bench.timing` starts it.

The case is its only argument, as JSON. What is found goes to stdout as JSON, and so does an error.
"""

import json
import sys
from pathlib import Path

from derain.bench.cases import Case
from derain.bench.timing import measure
from derain.errors import SAID_IN_A_LINE, UsageError, reason


def main() -> None:
    """Measure the case that the argument names."""
    task = json.loads(sys.argv[1])
    try:
        found = measure(Case(**task["case"]), task["pictures"], Path(task["corner"]))
    except UsageError as error:
        value = None if error.value is None else str(error.value)
        usage = {"problem": error.problem, "option": error.option, "advice": error.advice}
        found = {"usage": usage | {"value": value}}
    except SAID_IN_A_LINE as error:
        found = {"error": reason(error)}
    sys.stdout.write(json.dumps(found) + "\n")
