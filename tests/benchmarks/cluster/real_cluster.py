"""A quality run on a Ray cluster of four nodes on this machine, of which one is killed, beside that of one process.

`python real_cluster.py OUT BUNDLE... [-- OPTIONS of bench quality]`: `make cluster` calls it in an environment of its
own. It fails where the two runs differ in anything but their times.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import venv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

COMMAND = str(Path(sys.executable).with_name("amused-edge"))
LOST_AFTER = 6
"""Prompts that are drawn when a node is killed."""


def main() -> None:
    """Run both and compare them."""
    out = Path(sys.argv[1]).resolve()
    given = sys.argv[2:]
    cut = given.index("--") if "--" in given else len(given)
    arguments = ["bench", "quality", *given[:cut], "--threads", "1", "--quiet", *given[cut + 1 :]]
    home = out / "home"
    home.mkdir(parents=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(home)}
    os.environ.update(environment)

    start = time.monotonic()
    subprocess.run([COMMAND, *arguments, "--out", str(out / "single")], check=True, env=environment)
    alone = time.monotonic() - start

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
    try:
        wrong_ways(cluster.address, arguments, environment, out)
        start = time.monotonic()
        killed: list[str] = []
        killer = threading.Thread(target=kill, args=(cluster, nodes[1], out / "cluster" / "records.jsonl", killed))
        killer.start()
        command = [COMMAND, *arguments, "--out", str(out / "cluster"), f"--ray={cluster.address}"]
        said = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
        assert (said.stdout, said.stderr) == ("", ""), said
        spread = time.monotonic() - start
        killer.join(1)
    finally:
        cluster.shutdown()
        ray.shutdown()
    at_home(arguments, out)
    table(out, alone, spread, killed, compare(out))


def kill(cluster: Cluster, node: Any, records: Path, killed: list[str]) -> None:
    """Kill a node in the middle."""
    while not records.exists() or len(records.read_text().splitlines()) < LOST_AFTER:
        time.sleep(0.2)
    cluster.remove_node(node, allow_graceful=False)
    killed.append(f"after {len(records.read_text().splitlines())} prompts")


def at_home(arguments: list[str], out: Path) -> None:
    """A cluster that lives as long as the run leaves our own cache in a fresh home, and none of Ray's tokens."""
    home = out / "fresh"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    command = [COMMAND, *arguments, "--out", str(out / "local"), "--count", "12", "--ray=local"]
    said = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    assert (said.stdout, said.stderr) == ("", ""), said
    left = [str(file.relative_to(home)) for file in home.rglob("*") if file.is_file()]
    strangers = [name for name in left if not name.startswith((".cache/amused-edge/", ".cache/matplotlib/"))]
    assert not strangers, strangers


def wrong_ways(address: str, arguments: list[str], environment: dict[str, str], out: Path) -> None:
    """What cannot work is told in one line, and leaves nothing."""
    host = address.rpartition(":")[0]
    for options, words in (
        ([f"--ray={host}:1"], "no Ray cluster can be reached at"),
        (["--ray=somewhere"], "is no address of a Ray cluster"),
        ([f"--ray={address}", "--threads", "64"], "no node of the cluster has 64 cores"),
    ):
        refused([*arguments, *options], words, environment, out)
    with socket.create_server(("127.0.0.1", 0)) as other:  # which takes all and says nothing
        options = [f"--ray=127.0.0.1:{other.getsockname()[1]}"]
        refused([*arguments, *options], "is no Ray cluster; start one there", environment, out)
    with stranger(address, out):
        refused([*arguments, f"--ray={address}"], "has no amused-edge; install amused-edge", environment, out)


def refused(arguments: list[str], words: str, environment: dict[str, str], out: Path) -> None:
    """The command ends with one line, and leaves nothing."""
    command = [COMMAND, *arguments, "--out", str(out / "wrong")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    lines = result.stderr.splitlines()
    assert result.returncode in (1, 2), result
    assert len(lines) == 1, lines
    assert words in lines[0], lines
    assert not (out / "wrong").exists()
    print(lines[0], flush=True)


@contextmanager
def stranger(address: str, out: Path) -> Iterator[None]:
    """A node that has Ray, and not this package."""
    bare, packages = out / "bare", out / "bare-packages"
    packages.mkdir()
    for entry in Path(ray.__file__).parents[1].iterdir():
        if not entry.name.startswith("amused_edge"):
            (packages / entry.name).symlink_to(entry)
    venv.create(bare)
    (folder,) = bare.glob("lib/python*/site-packages")
    (folder / "packages.pth").write_text(str(packages))
    start = [bare / "bin" / "python", "-m", "ray.scripts.scripts", "start", f"--address={address}", "--num-cpus=1"]
    node = subprocess.Popen([*start, "--block"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(15)
        yield
    finally:
        node.terminate()
        node.wait(60)


def compare(out: Path) -> dict[str, Any]:
    """Return what was compared; raises `AssertionError` where something differs."""
    single, cluster = (results(out / name) for name in ("single", "cluster"))
    assert single == cluster, "results.json differs"
    files = [digests(out / name) for name in ("single", "cluster")]
    assert files[0] == files[1], {name for name in files[0] if files[0][name] != files[1].get(name)}
    records = [(out / name / "records.jsonl").read_text(encoding="utf-8").split("\n") for name in ("single", "cluster")]
    keys = Counter(json.loads(line)["key"] for line in records[1] if line)
    assert set(keys.values()) == {1}, "something is in the result twice"
    assert sorted(records[0]) == sorted(records[1])
    return {"figures": single["figures"], "files": len(files[0]), "records": len(keys)}


def results(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    del content["made"]
    return content


def digests(folder: Path) -> dict[str, str]:
    """Hashes of all files but the records, whose order is that in which they came, and the results."""
    files = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    left = {"records.jsonl", "results.json"}
    return {name: hashlib.sha256(f.read_bytes()).hexdigest() for name, f in files.items() if name not in left}


def table(out: Path, alone: float, spread: float, killed: list[str], compared: dict[str, Any]) -> None:
    """Print the two runs beside each other."""
    both = [
        {(each["label"], each["metric"]): each["value"] for each in results(out / name)["figures"]}
        for name in ("single", "cluster")
    ]
    print(f"\n| | one process | three nodes, one killed {', '.join(killed) or 'never'} |\n|---|---|---|")
    for (label, metric), value in both[0].items():
        first, second = (f"{each['estimate']!r}" for each in (value, both[1][label, metric]))
        print(f"| {label}: {metric} | {first} | {second} |")
    print(f"| seconds, with all starts | {alone:.0f} | {spread:.0f} |")
    equal = f"{len(both[0])} figures, {compared['files']} files and {compared['records']} records"
    print(f"\nEqual to the last byte: {equal}.")
    assert killed, "the run ended before a node was killed; give more prompts"


if __name__ == "__main__":
    main()
