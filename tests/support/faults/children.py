"""Work in a forked child, for what it imports, starts and changes to stay there."""

import os
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_a_child(work: Callable[[], T]) -> T:
    """Return what `work` returns in a forked child.

    Raises
    ------
    SystemExit
        The child failed; what it said was shown.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as file:
                file.write(pickle.dumps(work()))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        content = file.read()
    _, status = os.waitpid(child, 0)
    if status or not content:
        raise SystemExit("a child failed, see above")
    found: T = pickle.loads(content)
    return found
