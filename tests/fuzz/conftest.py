"""A table of the calls, where they were many."""

import os

from fuzz_inputs import CALLS


def pytest_terminal_summary(terminalreporter):
    if "DSMIX_FUZZ" not in os.environ or not CALLS:
        return
    terminalreporter.section(f"{sum(CALLS.values()):,} fuzzed calls")
    for name in sorted({name for name, _ in CALLS}):
        returned, refused = CALLS[name, "returned"], CALLS[name, "refused"]
        terminalreporter.line(f"{returned:>10,} returned {refused:>10,} refused  {name}")
