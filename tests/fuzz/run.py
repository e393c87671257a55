"""Run as a script, `make fuzz`: coverage-guided fuzzing of what reads bytes that others made, by Atheris (libFuzzer).

Each parser has processes of its own, one after the other, for so many inputs or seconds, with a limit of memory and of
time for each input. What is found is an input in build/fuzz-inputs/NAME, and ends the parser's run; a table says how
many inputs were read.
"""

import argparse
import gc
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # last: in the root, the hall's folder would hide the rooms
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

from tests.support.fuzzing.corpus import file_name, keep, kept  # noqa: E402

MEMORY, SECONDS = 256, 10
"""Megabytes above what the libraries take, and seconds, for one input."""

AT_ONCE, FEWER_AT_ONCE = 2_000_000, {"core ml": 200_000}
"""Inputs of one process: Atheris's notes grow by some 25 bytes with each, and would count as an input's own memory.
coremltools remembers each shape that it ever met.
"""

HEAD = "| parser | inputs | seconds | inputs/s | the last that reached something new (of edges) | found |"
IN_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where an input becomes a file, ten times as often a second as on a disk."""


def fuzz_one(name: str, corpus: Path, files: Path, arguments: list[str]) -> None:
    """Fuzz a parser, which writes what it reads as files, in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["amused_edge", "starlette", "python_multipart"]):
        from tests.support.fuzzing.parser import tried
        from tests.support.fuzzing.parsers import PARSERS

        parser = PARSERS[name]
        seeds = parser.seeds()
        read = tried(parser, files)
        for seed in seeds:
            read(seed)  # imports what reading takes
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        return parser.mutate(data, chance)[:most]

    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    limits = [f"-rss_limit_mb={taken + MEMORY}", f"-malloc_limit_mb={MEMORY}", f"-timeout={SECONDS}", "-max_len=65536"]
    gc.freeze()  # what libraries made is not looked through again
    atheris.Setup([sys.argv[0], str(corpus), *limits, *arguments], read, custom_mutator=mutate)
    atheris.Fuzz()


@dataclass(frozen=True)
class Most:
    """How long a parser is fuzzed: until either is reached."""

    inputs: int
    seconds: int


@dataclass(frozen=True)
class Ran:
    """What one process did: inputs, the last that reached something new and its edges, and what it found."""

    inputs: int
    last: tuple[int, str] | None
    found: str


def fuzz(name: str, place: Path, most: Most, environment: dict[str, str]) -> tuple[str, bool]:
    """Fuzz a parser, in processes of so many inputs, each of which goes on with what those before it reached.

    Returns a row of the table, and whether something was found.
    """
    (place / "corpus").mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(kept(name)):
        (place / "corpus" / f"kept-{number}").write_bytes(data)
    begun, inputs, last, found = time.monotonic(), 0, "", ""
    (place / "log").unlink(missing_ok=True)
    while not found and inputs < most.inputs and (left := most.seconds - int(time.monotonic() - begun)) > 0:
        at_once = FEWER_AT_ONCE.get(name, AT_ONCE)
        ran = _fuzz_some(name, place, Most(min(at_once, most.inputs - inputs), left), environment)
        if ran.last is not None:
            last = f"{inputs + ran.last[0]} ({ran.last[1]})"
        inputs, found = inputs + ran.inputs, ran.found
    took = time.monotonic() - begun
    return f"| {name} | {inputs} | {took:.0f} | {inputs / took:.0f} | {last} | {found[:150]} |", bool(found)


def _fuzz_some(name: str, place: Path, most: Most, environment: dict[str, str]) -> Ran:
    limits = [f"-runs={most.inputs}", f"-max_total_time={most.seconds}"]
    options = [*limits, f"-artifact_prefix={place}/", "-print_final_stats=1"]
    log = place / "log"
    begins = log.stat().st_size if log.exists() else 0
    with log.open("ab") as file, tempfile.TemporaryDirectory(dir=IN_MEMORY) as files:
        command = [sys.executable, __file__, "--one", name, "--out", str(place / "corpus"), "--files", files]
        ran = subprocess.run([*command, "--", *options], stdout=file, stderr=file, env=environment, check=False)
    text = log.read_bytes()[begins:].decode(errors="replace")
    inputs = re.findall(r"stat::number_of_executed_units:\s*(\d+)", text) or re.findall(r"^#(\d+)", text, re.M)
    errors = re.findall(r"^RuntimeError: .*|ERROR: libFuzzer.*", text, re.M) or ["see the log"]
    new = re.findall(r"^#(\d+)\s+NEW\s.*cov: (\d+)", text, re.M)
    found = "" if ran.returncode == 0 and inputs else errors[0]
    return Ran(int(inputs[-1]) if inputs else 0, (int(new[-1][0]), new[-1][1]) if new else None, found)


def fuzz_all(names: list[str], most: Most, out: Path) -> int:
    """Fuzz parsers one after the other and print a table; return how many found something."""
    found = 0
    print(HEAD, "|---" * 6 + "|", sep="\n", flush=True)
    for name in names:
        row, wrong = fuzz(name, out / file_name(name), most, dict(os.environ))
        found += wrong
        print(row, flush=True)
    return found


PLANTED = {
    "external data": (
        "runtime/engines/onnx/external_data.py",
        "while position < len(message):\n        byte",
        "while True:\n        byte",
    ),
    "bytecode": ("runtime/engines/coreai/bytecode.py", "if not 0 < alignment <= _LARGEST_ALIGNMENT:", "if False:"),
    "prompt weights": ("runtime/tasks/weights.py", r"(\d+(\.\d*)?|\.\d+)", r"(\d+\.?\d*|\.\d+)"),
    "state": ("runtime/tasks/state.py", " or not all(1 <= side <= _LARGEST_SIDE for side in shape)", ""),
}
"""Parser -> a file, what stands there, and what is put in its place: a check that is forgotten, a loop that does not
end, a pattern that takes the square of its text.
"""


def find_planted(most: Most, out: Path) -> int:
    """Plant faults in copies of the package, one at a time; return how many were not found in so long."""
    missed = 0
    print(HEAD, "|---" * 6 + "|", sep="\n", flush=True)
    for name, (file, before, after) in PLANTED.items():
        package = out / "planted" / file_name(name) / "amused_edge"
        shutil.rmtree(package.parent, ignore_errors=True)
        shutil.copytree(ROOT / "amused_edge", package)
        for room in ("runtime", "export", "quantization", "benchmarks", "conformance", "serve"):
            shutil.copytree(ROOT / room, package / room, ignore=shutil.ignore_patterns("page", "vectors"))
        text = (package / file).read_text()
        if before not in text:
            sys.exit(f"{file} does not hold {before}")
        (package / file).write_text(text.replace(before, after, 1))
        paths = f"{package.parent}:{os.environ.get('PYTHONPATH', '')}"
        row, found = fuzz(name, package.parent / file_name(name), most, {**os.environ, "PYTHONPATH": paths})
        missed += not found
        print(row, flush=True)
    return missed


def main() -> None:
    """Fuzz what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--inputs", type=int, default=10_000_000, help="of each parser, at most")
    parser.add_argument("--seconds", type=int, default=3600, help="for each parser, at most")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fuzz-inputs")
    parser.add_argument("--planted", action="store_true", help="plant faults in copies, and look for them")
    parser.add_argument("--keep", action="store_true", help="keep small inputs of the last run for the next ones")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--files", type=Path, help=argparse.SUPPRESS)
    ours, theirs = sys.argv[1:], []
    if "--" in ours:
        place = ours.index("--")
        ours, theirs = ours[:place], ours[place + 1 :]
    chosen = parser.parse_args(ours)
    if chosen.one:
        fuzz_one(chosen.one, chosen.out, chosen.files, theirs)
        return
    most = Most(chosen.inputs, chosen.seconds)
    if chosen.planted:
        sys.exit(int(find_planted(most, chosen.out.resolve()) > 0))
    from tests.support.fuzzing.parsers import PARSERS

    names = chosen.names or list(PARSERS)
    if chosen.keep:
        for name in names:
            found = (chosen.out / file_name(name) / "corpus").glob("*")
            print(f"{name}: {keep(name, [path.read_bytes() for path in found])} inputs")
        return
    sys.exit(int(fuzz_all(names, most, chosen.out.resolve()) > 0))


if __name__ == "__main__":
    main()
