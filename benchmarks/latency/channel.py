"""The child's end of a process that is measured: a job comes in, events go out, as lines of JSON.

Imports next to nothing, for what is imported here counts to the time until a subject is ready.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

Tell = Callable[..., None]
"""Takes the name of an event and its facts."""


def begin() -> tuple[Tell, dict[str, Any]]:
    """Return what tells the parent of an event, and the job, which is read from stdin."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a library prints goes to stderr,
    sys.stdout = sys.stderr  # at once, and not at the end, behind an error

    def tell(event: str, **facts: Any) -> None:
        events.write(json.dumps({"event": event, **facts}) + "\n")

    return tell, json.loads(sys.stdin.readline())


def wait() -> bool:
    """Wait until the parent sends a line; returns whether it is still there."""
    return sys.stdin.readline() != ""
