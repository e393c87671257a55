"""Run as a script, `make arm64` and `make haswell`: bundles on emulated processors beside this machine. Prints a table,
and ends with 1 where a golden output is not reproduced or other tokens are drawn than rounding explains.

The processor is emulated in user mode (QEMU): its arithmetic is exact, its time means nothing. Which of ARM's
instructions ran is read from what the emulator translated, which it does when code is first reached.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from amused_edge.benchmarks.metrics.logits import kl_divergence, relative_error

PROBE = Path(__file__).with_name("probe.py")
GRIDS = ("first", "half")
"""Logits of the probe: with every token masked, and with half of them."""

STEPS = 4
"""Of the picture."""

LEAST_EQUAL = 0.9
"""Share of tokens, of the worst recipe: 8-bit activations round otherwise near a half."""

_THREE_REGISTERS, _BY_ELEMENT = 0xBFE0FC00, 0xBFC0F400
INSTRUCTIONS = {
    "dot": (
        (_THREE_REGISTERS, (0x0E809400, 0x2E809400, 0x0E809C00)),  # SDOT, UDOT, USDOT
        (_BY_ELEMENT, (0x0F80E000, 0x2F80E000)),
    ),
    "i8mm": ((0xFFE0FC00, (0x4E80A400, 0x6E80A400, 0x4E80AC00)),),  # SMMLA, UMMLA, USMMLA
    "bf16": (
        (_THREE_REGISTERS, (0x2E40EC00, 0x2E40FC00, 0x2EC0FC00)),  # BFMMLA, BFDOT, BFMLAL
        (_BY_ELEMENT, (0x0F40F000, 0x0FC0F000)),
    ),
    "half": (
        (_THREE_REGISTERS, (0x0E400C00, 0x0E401400, 0x2E401C00)),  # FMLA, FADD, FMUL of halves
        (_BY_ELEMENT, (0x0F001000,)),
    ),
    "SVE": ((0x1E000000, (0x04000000,)),),
}
"""Kind -> (mask, values) of its words (Arm Architecture Reference Manual, C4.1). The emulator's own disassembler does
not know them.
"""

LINE = re.compile(r"^(0x[0-9a-f]+):  ([0-9a-f]{8})  ")


class Processor(Protocol):
    """One that the emulator knows."""

    def prepare(self, system: Path) -> None:
        """Write what a process on it reads of the system."""

    def emulated(self, system: Path, *options: str) -> list[str]:
        """Return the command that runs Python on it."""

    def environment(self, system: Path) -> dict[str, str]:
        """Return the variables of an emulated process."""


@dataclass(frozen=True)
class X86:
    """Runs this machine's own Python.

    Attributes
    ----------
    model
        For the emulator.
    """

    model: str

    def prepare(self, system: Path) -> None:
        """See `Processor`."""

    def emulated(self, system: Path, *options: str) -> list[str]:
        """See `Processor`."""
        return [str(system / "qemu-x86_64-static"), *options, "-cpu", self.model, sys.executable]

    def environment(self, system: Path) -> dict[str, str]:
        """See `Processor`."""
        return dict(os.environ)


@dataclass(frozen=True)
class Arm:
    """Runs a Python for ARM, whose libraries `system` holds.

    Attributes
    ----------
    model
        For the emulator.
    part, features
        As /proc/cpuinfo names it, which the engine reads and the emulator does not make up.
    """

    model: str
    part: str
    features: str

    def prepare(self, system: Path) -> None:
        """See `Processor`: /proc/cpuinfo of two such cores."""
        core = (
            f"Features\t: {self.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\n"
            f"CPU part\t: {self.part}\nCPU revision\t: 0\n"
        )
        cores = "".join(f"processor\t: {index}\n{core}\n" for index in range(2))
        (system / "root" / "proc" / "cpuinfo").write_text(cores)

    def emulated(self, system: Path, *options: str) -> list[str]:
        """See `Processor`."""
        root = system / "root"
        emulator = system / "qemu-aarch64-static"
        return [str(emulator), *options, "-cpu", self.model, "-L", str(root), str(root / "usr/bin/python3.11"), "-S"]

    def environment(self, system: Path) -> dict[str, str]:
        """See `Processor`."""
        return {"PYTHONPATH": str(system / "site"), "ORT_DISABLE_TELEMETRY": "1", "HOME": str(system), "PATH": ""}


_BASIC = "fp asimd aes pmull sha1 sha2 crc32 cpuid"
_DOTS = f"{_BASIC} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
_NOT_EMULATED = ("pcid", "x2apic", "tsc-deadline", "hle", "invpcid", "rtm")
PROCESSORS: dict[str, Processor] = {
    "Haswell": X86(",".join(("Haswell", *(f"{one}=off" for one in _NOT_EMULATED)))),
    "Cortex-A72": Arm("cortex-a72", "0xd08", _BASIC),
    "Cortex-A76": Arm("cortex-a76", "0xd0b", _DOTS),
    "i8mm": Arm("max,sve=off,sme=off,pauth=off", "0xd47", f"{_DOTS} i8mm bf16"),
}
"""x86 without 8-bit dot products, where sums of signed weights saturate unless the engine is told not to let them. ARM
without them; with them; with products of 8-bit matrices too, which is all that the emulator knows but scalable vectors.
"""


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", type=Path, help="made by system.sh")
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--processors", nargs="+", choices=PROCESSORS, required=True)
    arguments = parser.parse_args()
    header = ("processor", "bundle", "logits", "mean KL", "equal tokens", "golden logits", "golden pixels", "s")
    print("| " + " | ".join((*header, *INSTRUCTIONS)) + " |")
    print("|---" * (len(header) + len(INSTRUCTIONS)) + "|", flush=True)
    wrong = []
    for name in arguments.processors:
        processor = PROCESSORS[name]
        processor.prepare(arguments.system)
        imports = reached(arguments.system, processor, ["-c", "import onnxruntime, numpy"])
        for bundle in arguments.bundles:
            row, fine = compare(arguments.system, processor, bundle, imports)
            print("| " + " | ".join((name, bundle.name, *row)) + " |", flush=True)
            if not fine:
                wrong.append(f"{bundle.name} on {name}")
    if wrong:
        sys.exit(f"not reproduced: {', '.join(wrong)}")


def compare(system: Path, processor: Processor, bundle: Path, imports: dict[str, set[str]]) -> tuple[list[str], bool]:
    """Return the cells of a row, and whether the processor computes the bundle.

    The last cells say at how many places of the code each kind of instruction was reached, beyond what imports reach;
    they are empty for x86, whose instructions are not told apart.
    """
    here, there = (system / f"{name}.npz" for name in ("here", "there"))
    probe = [PROBE, bundle.resolve(), here, STEPS]
    subprocess.run([sys.executable, *map(str, probe)], check=True)
    started = time.perf_counter()
    probe[2] = there
    ran = reached(system, processor, list(map(str, probe)))
    seconds = time.perf_counter() - started
    with np.load(here) as x86, np.load(there) as arm:
        same_ids, error, pixels, logits_allowed, pixels_allowed = arm["golden"]
        apart = max(relative_error(x86[name], arm[name]) for name in GRIDS)
        divergence = max(kl_divergence(x86[name], arm[name]).mean() for name in GRIDS)
        equal = [float((a == b).mean()) for a, b in zip(x86["tokens"], arm["tokens"], strict=True)]
    fine = bool(same_ids) and error <= logits_allowed and pixels <= pixels_allowed
    shares = ", ".join(f"{share:.1%}" for share in equal)
    golden = (f"{error:.1e} of {logits_allowed:.0e}", f"{pixels:.0f} of {pixels_allowed:.0f}")
    kinds = [str(len(ran[kind]) - len(imports[kind])) if isinstance(processor, Arm) else "" for kind in INSTRUCTIONS]
    cells = [f"{apart:.1e}", f"{divergence:.1e}", shares, *golden, f"{seconds:.0f}", *kinds]
    return cells, fine and min(equal) >= LEAST_EQUAL


def reached(system: Path, processor: Processor, arguments: list[str]) -> dict[str, set[str]]:
    """Return the addresses of each of ARM's kinds of instructions that were reached."""
    found: dict[str, set[str]] = defaultdict(set)
    if isinstance(processor, X86):
        subprocess.run([*processor.emulated(system), *arguments], env=processor.environment(system), check=True)
        return found
    for line in translated(system, processor, arguments):
        if (parts := LINE.match(line)) is not None:
            word = int(parts[2], 16)
            for kind, families in INSTRUCTIONS.items():
                if any(word & mask in values for mask, values in families):
                    found[kind].add(parts[1])
    return found


def translated(system: Path, processor: Processor, arguments: list[str]) -> Iterator[str]:
    """Yield the assembler of all code that ran, as the emulator writes it."""
    command = [*processor.emulated(system, "-d", "in_asm", "-D", "/dev/stdout"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=processor.environment(system)) as process:
        if process.stdout is not None:
            yield from process.stdout
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


if __name__ == "__main__":
    main()
