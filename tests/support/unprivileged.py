"""Runs commands as a user whom file permissions bind, also where the tests run as root."""

import ctypes
import os
import subprocess
from pathlib import Path

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


def run_unprivileged(
    command: list[str], cwd: Path, environment: dict[str, str | None]
) -> subprocess.CompletedProcess[str]:
    """Run a command; variables that are None are not set."""
    merged = {**os.environ, **environment}
    given = {name: value for name, value in merged.items() if value is not None}
    return subprocess.run(
        command, cwd=cwd, env=given, capture_output=True, text=True, check=False, preexec_fn=_bind_to_permissions
    )


def _bind_to_permissions() -> None:
    """Take from root what lets it pass over permissions (capabilities(7)); from the next `exec` on it has it no more.

    So the user stays the same, and what belongs to it (the interpreter too) can still be run.
    """
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "cannot drop a capability")
