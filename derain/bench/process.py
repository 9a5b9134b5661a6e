"""The process of one case: `derain.bench.timing` starts it.

The case is its only argument, as JSON. What is found goes to stdout as JSON, an error to stderr, as
the last line.
"""

import json
import sys
from pathlib import Path

from derain.bench.cases import Case
from derain.bench.timing import measure


def main() -> None:
    """Measure the case that the argument names."""
    task = json.loads(sys.argv[1])
    try:
        found = measure(Case(**task["case"]), task["pictures"], Path(task["corner"]))
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise SystemExit(" ".join(str(error).split())) from None
    sys.stdout.write(json.dumps(found) + "\n")
