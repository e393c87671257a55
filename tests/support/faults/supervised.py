"""A forked child whose file-changing system calls are each decided upon: let through, failed, or the end of it.

Linux's seccomp tells of every such call of the child, of its threads, libraries and children, whatever language made
it; nothing can pass by, as writes by C++ streams do past a preloaded library. The child is a fork of this process, so
that what takes seconds to import is imported once. https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

import contextlib
import ctypes
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

NUMBERS = {  # x86-64's, of arch/x86/entry/syscalls/syscall_64.tbl
    "write": 1, "open": 2, "mmap": 9, "pwrite64": 18, "writev": 20, "sendfile": 40, "fsync": 74, "fdatasync": 75,
    "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86, "unlink": 87,
    "symlink": 88, "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93, "lchown": 94, "utime": 132, "mknod": 133,
    "setxattr": 188, "fsetxattr": 190, "utimes": 235, "openat": 257, "mkdirat": 258, "mknodat": 259, "fchownat": 260,
    "futimesat": 261, "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "fchmodat": 268, "splice": 275,
    "utimensat": 280, "fallocate": 285, "pwritev": 296, "renameat2": 316, "copy_file_range": 326, "pwritev2": 328,
    "openat2": 437,
}  # fmt: skip
"""Calls that change a file, a folder, or what is written down of one. `close` is let through: where it fails (on a
network's file system), so does the write or fsync before it here."""

_NAMES = {number: name for name, number in NUMBERS.items()}
_DESCRIPTORS = {
    **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "fsync", "fdatasync"), 0),
    **dict.fromkeys(("ftruncate", "fchmod", "fchown", "fsetxattr", "fallocate"), 0),
    "splice": 2,
    "copy_file_range": 2,
    "mmap": 4,
}
"""Call -> which argument is the file that it changes."""

_PATHS: dict[str, tuple[tuple[int | None, int], ...]] = {
    **dict.fromkeys(("open", "truncate", "mkdir", "rmdir", "creat", "unlink", "chmod", "chown"), ((None, 0),)),
    **dict.fromkeys(("lchown", "utime", "mknod", "setxattr", "utimes"), ((None, 0),)),
    **dict.fromkeys(("openat", "openat2", "mkdirat", "mknodat", "fchownat", "futimesat", "unlinkat"), ((0, 1),)),
    **dict.fromkeys(("fchmodat", "utimensat"), ((0, 1),)),
    **dict.fromkeys(("rename", "link"), ((None, 0), (None, 1))),
    **dict.fromkeys(("renameat", "renameat2", "linkat"), ((0, 1), (2, 3))),
    "symlink": ((None, 1),),
    "symlinkat": ((1, 2),),
}
"""Call -> (which argument is the folder, which the path) of each path that it changes."""

REMOVALS = frozenset({"unlink", "unlinkat", "rmdir"})

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _SEND, _GO_ON = 0xC0502100, 0xC0182101, 1
_SECCOMP, _X86_64 = 317, 0xC000003E
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06

Verdict = int | Literal["go on", "kill"]
"""What becomes of a call; a number is the error that it fails with."""


@dataclass(frozen=True)
class Call:
    """A call that the child is about to make: its name, and the paths of the files that it would change."""

    name: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """How the child ended: its exit code (negative: by which signal), and what it said."""

    code: int
    out: str
    err: str


def supported() -> str:
    """Return why no child can be supervised here, or nothing."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "system calls are watched on Linux for x86-64 only"
    actions = Path("/proc/sys/kernel/seccomp/actions_avail")
    if not actions.exists() or "user_notif" not in actions.read_text():
        return "this system's seccomp does not ask"
    return ""


def run(body: Callable[[], int], decide: Callable[[Call], Verdict], notes: Path, seconds: float = 1800) -> Ended:
    """Run `body` in a forked child and return how it ended.

    Parameters
    ----------
    body
        Its result is the exit code. Handlers that were registered for the interpreter's end run, too.
    decide
        Asked before each call; calls wait for each other meanwhile.
    notes
        Folder for what the child says, outside of what it changes.
    seconds
        After which the child is killed and `TimeoutError` is raised.
    """
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _be_the_child(body, theirs, notes)
    theirs.close()
    _, (listener, *_), _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    try:
        _serve(listener, child, decide, time.monotonic() + seconds)
    finally:
        os.close(listener)
        _, status = os.waitpid(child, 0)
    said = ((notes / name).read_text(errors="replace") for name in ("out", "err"))
    return Ended(os.waitstatus_to_exitcode(status), *said)


def _be_the_child(body: Callable[[], int], theirs: socket.socket, notes: Path) -> NoReturn:
    import atexit
    import sys
    import threading
    import traceback

    code = 99
    try:
        os.setsid()
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(notes / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
        atexit._clear()  # those of the parent
        listener = _listen()
        socket.send_fds(theirs, [b"."], [listener])
        os.close(listener)
        theirs.close()
        code = body()
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _listen() -> int:
    """Have this process ask before each file-changing call; return what the questions come from."""
    libc = ctypes.CDLL(None, use_errno=True)
    content = b"".join(struct.pack("HBBI", *line) for line in _filter())
    kept = ctypes.create_string_buffer(content)
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(content) // 8, ctypes.addressof(kept)))
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    listener: int = libc.syscall(_SECCOMP, 1, 8, program)  # SECCOMP_SET_MODE_FILTER, NEW_LISTENER
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return listener


def _filter() -> list[tuple[int, int, int, int]]:
    """Return the filter, in instructions of (code, jump where true, jump where false, operand)."""
    flags = {"open": 1, "openat": 2}
    plain = [number for name, number in NUMBERS.items() if name not in (*flags, "mmap")]
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _X86_64), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, 0)]
    for number in plain:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _NOTIFY)]
    for name, argument in flags.items():
        low = 16 + 8 * argument
        lines += [(_EQUAL, 0, 4, NUMBERS[name]), (_LOAD, 0, 0, low), (_ANY_BIT, 0, 1, _WRITING)]
        lines += [(_RETURN, 0, 0, _NOTIFY), (_RETURN, 0, 0, _ALLOW)]
    shared_and_writable = [(_LOAD, 0, 0, 16 + 16), (_ANY_BIT, 0, 3, 2), (_LOAD, 0, 0, 16 + 24), (_ANY_BIT, 0, 1, 1)]
    lines += [(_EQUAL, 0, 5, NUMBERS["mmap"]), *shared_and_writable, (_RETURN, 0, 0, _NOTIFY)]
    return [*lines, (_RETURN, 0, 0, _ALLOW)]


def _serve(listener: int, child: int, decide: Callable[[Call], Verdict], deadline: float) -> None:
    """Answer questions until all processes that may ask are gone."""
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    while True:
        events = waiting.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not events:
            _kill(child)
            raise TimeoutError("the command did not end")
        if not events[0][1] & select.POLLIN:
            return
        question = bytearray(80)
        try:
            fcntl.ioctl(listener, _RECEIVE, question)
        except OSError:  # who asked is gone
            continue
        key, process, _, number, _, _, *arguments = struct.unpack("QIIiIQ6Q", question)
        verdict = decide(Call(_NAMES[number], _changed(process, _NAMES[number], arguments)))
        if verdict == "kill":
            _kill(child)
            with contextlib.suppress(ProcessLookupError):  # who asked may be a process that left the group
                os.kill(process, signal.SIGKILL)
            continue
        answer = struct.pack("QqiI", key, 0, *((0, _GO_ON) if verdict == "go on" else (-int(verdict), 0)))
        try:
            fcntl.ioctl(listener, _SEND, answer)
        except OSError:
            continue


def _kill(child: int) -> None:
    """End the child and what it started, which are a group of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _changed(process: int, name: str, arguments: list[int]) -> tuple[str, ...]:
    """Return the paths that a call changes."""
    if name in _DESCRIPTORS:
        return (_open_file(process, arguments[_DESCRIPTORS[name]]),)
    return tuple(
        _path(process, None if folder is None else arguments[folder], arguments[path]) for folder, path in _PATHS[name]
    )


def _open_file(process: int, descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/{process}/fd/{descriptor & 0xFFFFFFFF}").removesuffix(" (deleted)")
    except OSError:
        return "?"


def _path(process: int, folder: int | None, pointer: int) -> str:
    if pointer == 0:  # of the open file itself, as utimensat's
        return "?" if folder is None else _open_file(process, folder)
    try:
        with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
            memory.seek(pointer)
            text = os.fsdecode(memory.read(4096).split(b"\0", 1)[0])
        current = os.readlink(f"/proc/{process}/cwd")
    except OSError:
        return "?"
    here = folder is None or folder & 0xFFFFFFFF == 0xFFFFFF9C  # AT_FDCWD
    return os.path.normpath(os.path.join(current if here else _open_file(process, folder or 0), text))
