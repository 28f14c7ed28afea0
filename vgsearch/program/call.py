"""Calls a Python function as a program: `python -m vgsearch.program.call MODULE FUNCTION HYPERPARAMETERS FIELDS...`.

HYPERPARAMETERS is JSON; FIELDS are those of the reporter, in order.
"""

import json
import os
import runpy
import sys
from pathlib import Path

from vgsearch.program.reporter import Reporter

CALLING = "VGSEARCH_CALLS_A_FUNCTION"
"""Set while a function's module is imported: a search that begins there is a script without a guard."""


def main() -> None:
    module, function, hyperparameters, out, checkpoint_folder, data, *numbers = sys.argv[1:]
    seed, n_steps, n_frames, resolution = map(int, numbers[:4])
    reporter = Reporter(
        Path(out), Path(checkpoint_folder), Path(data), seed, n_steps, n_frames, resolution, float(numbers[4])
    )
    os.environ[CALLING] = module
    # As a module of its own name: a script's `if __name__ == "__main__":` holds back what starts the search.
    found = runpy.run_module(module, run_name=module)
    found[function](json.loads(hyperparameters), reporter)


if __name__ == "__main__":
    main()
