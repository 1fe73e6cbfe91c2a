"""Runs in the guest: all scenarios in one process, since numpy, bcc and clang take their time.

Prints one JSON object a line, as each ends: a question and what its scenario
saw, or its error.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback


def main() -> None:
    for name in sys.argv[1:]:
        started = time.monotonic()
        try:
            report = importlib.import_module(f"{name}_scenario").run()
        except Exception:  # one scenario's failure must not hide the others' results
            report = {"error": traceback.format_exc()}
        print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr)
        print(json.dumps({name: report}), flush=True)


main()
