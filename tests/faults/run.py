"""Run as a script, `make faults`: every command that writes, with every file-changing system call failing in each way,
and killed before each. Prints a table, and ends with 1 where something was not as it must be.
"""

import argparse
import importlib
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # last: in the root, the hall's folder would hide the rooms
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"  # what is forked has one thread
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
sys.dont_write_bytecode = True

from tests.support.faults.campaign import FAULTS, Account, calls_of, campaign  # noqa: E402
from tests.support.faults.children import in_a_child  # noqa: E402
from tests.support.faults.commands import (  # noqa: E402
    NOT_HERE,
    RUNTIME,
    Makers,
    bench_commands,
    bundle_commands,
    drawing_commands,
    npm_commands,
)
from tests.support.faults.hub import hub_commands, served_hub  # noqa: E402
from tests.support.faults.judge import Command  # noqa: E402
from tests.support.faults.scene import Scene  # noqa: E402
from tests.support.faults.spared import spared_export  # noqa: E402
from tests.support.faults.supervised import supported  # noqa: E402


def make_sources(folder: Path) -> dict[str, Path]:
    """Make what commands read, once."""
    names = {"checkpoint": "checkpoint", "onnx": "onnx", "coreml": "coreml", "coreai": "coreai", "lora": "lora"}
    places = {name: folder / place for name, place in names.items()}
    places |= {"prompts": folder / "prompts" / "prompts.txt", "device": folder / "device" / "results.json"}
    if not (folder / "complete").exists():
        in_a_child(lambda: _make_sources(folder, places))
        (folder / "complete").touch()
    return places


def _make_sources(folder: Path, places: dict[str, Path]) -> None:
    import json
    import shutil

    from amused_edge.export.bundle_export import ExportOptions, export_bundle
    from amused_edge.runtime.sampling.options import GenerationOptions
    from tests.support.checkpoints import TINY_COREML, write_checkpoint
    from tests.support.device_results import device_results
    from tests.support.loras import save_as_diffusers, trained

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_checkpoint(places["checkpoint"], uvit=TINY_COREML)
    save_as_diffusers(places["lora"], trained(places["checkpoint"], r=2, lora_alpha=2))
    for name in ("prompts", "device"):
        places[name].parent.mkdir()
    places["prompts"].write_text("a fox\na boat\n")
    places["device"].write_text(json.dumps(device_results()))
    options = ExportOptions(8, 12, GenerationOptions(steps=2, guidance_scale=2.5), name="tiny")
    for target in ("onnx", "coreml", "coreai"):
        export_bundle(places["checkpoint"], places[target], options, target=target)


def run_one(command: Command, scene: Scene, chosen: argparse.Namespace) -> Account:
    """Import what a command needs, and run it with faults."""
    os.environ.update(command.environment(scene))
    for module in command.modules:
        importlib.import_module(module)
    spared = spared_export(command.target) if command.target else None
    calls: list[list[str]] = []
    if spared is not None:
        scene.clear()
        spared.keep(lambda: scene.command(command.arguments))
        for mode in ("off", "give"):
            spared.use(mode)
            calls.append(calls_of(command, scene))
        if sorted(calls[0]) != sorted(calls[1]):  # folders are not listed in the same order each time
            differs = set(calls[0]) ^ set(calls[1])
            raise SystemExit(f"what is spared makes calls of its own: {len(calls[0])}, {len(calls[1])}, {differs}")
    os.chdir(ROOT)
    return campaign(
        command,
        scene,
        faults=tuple(chosen.faults),
        each=chosen.each_kind,
        sample=chosen.sample,
        seconds=chosen.seconds,
        seed=chosen.seed,
        skip=chosen.skip,
        only=chosen.only,
    )


def told(name: str, account: Account) -> str:
    """Return a row of the table, and what was wrong."""
    ends = ", ".join(f"{count} {how}" for how, count in sorted(account.ended.items()))
    row = (
        f"| {name} | {account.points} | {account.kinds} | {account.runs} | {ends} | {account.second_runs} | "
        f"{len(account.wrong)} | {account.seconds:.0f} |"
    )
    others = ", ".join(f"{count} x {what}" for what, count in account.left_out.items())
    left = ", ".join(f"{what} {count} times" for what, count in account.left_in_temporary.most_common(4))
    notes = [f"    not counted: {others}"] if others else []
    notes += [f"    stayed in the temporary folder: {left}"] if left else []
    return "\n".join([row, *notes, *(f"    WRONG {' | '.join(each)}" for each in account.wrong)])


def main() -> None:
    """Run the commands that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of commands, as in the table; all if none is given")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "faults")
    parser.add_argument("--each-kind", type=int, help="so many calls of each kind: one name, changing one file")
    parser.add_argument("--sample", type=int, help="so many pairs of call and fault of each command, by chance")
    parser.add_argument("--seconds", type=float, help="for each command; what is run meanwhile is a matter of chance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="go on after so many runs with the same seed")
    parser.add_argument("--only", default="", help="only calls of which this, a pattern, is found")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=FAULTS)
    parser.add_argument("--bundle", type=Path, help="draw with this one, and do nothing that needs another")
    chosen = parser.parse_args()
    if why := supported():
        sys.exit(f"faults cannot be tried here: {why}")
    print(
        "| command | points | kinds | runs | ended | second runs | wrong | seconds |\n" + "|---" * 8 + "|", flush=True
    )
    begun = time.monotonic()
    with ExitStack() as open_until_done:
        failed = run_all(known_commands(chosen, open_until_done), chosen)
    if not chosen.names:
        print("\n".join(f"not run: {name}, which {why}" for name, why in NOT_HERE.items()))
    print(f"{time.monotonic() - begun:.0f} seconds")
    sys.exit(int(failed))


def known_commands(chosen: argparse.Namespace, open_until_done: ExitStack) -> Makers:
    """Return the commands that may be run."""
    if chosen.bundle is not None:
        return drawing_commands(chosen.bundle.resolve()) | npm_commands(chosen.bundle.resolve())
    sources = make_sources(chosen.folder.resolve() / "sources")
    hub = open_until_done.enter_context(served_hub(sources["onnx"]))
    commands = drawing_commands(sources["onnx"]) | npm_commands(sources["onnx"]) | bundle_commands(sources)
    commands |= bench_commands(sources["onnx"], sources["device"], sources["prompts"])
    return commands | hub_commands(sources["onnx"], hub, RUNTIME)


def run_all(commands: Makers, chosen: argparse.Namespace) -> bool:
    """Run those that are asked for, print a row of each, and return whether anything was wrong."""
    failed = False
    for name in chosen.names or commands:
        scene = Scene(chosen.folder.resolve() / "scenes" / name.replace(", ", "-").replace(" ", "-"))
        command = commands[name]()
        account: Account = in_a_child(lambda command=command, scene=scene: run_one(command, scene, chosen))
        print(told(name, account), flush=True)
        failed = failed or bool(account.wrong)
    return failed


if __name__ == "__main__":
    main()
