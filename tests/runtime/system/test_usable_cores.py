"""How many threads there are where nobody says: what the process may use, told to every engine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.system import cpu
from tests.support.paths import ROOT

V1 = {"cpu.cfs_quota_us": "{quota}", "cpu.cfs_period_us": "{period}"}
V2 = {"cpu.max": "{quota} {period}"}


@pytest.fixture(autouse=True)
def no_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the machine that runs the tests do not count."""
    monkeypatch.setattr(cpu, "_OWN_CGROUPS", tmp_path / "nowhere")
    monkeypatch.setattr(cpu, "_CGROUPS", tmp_path / "cgroup")


def control_groups(folder: Path, own: str, limits: dict[str, tuple[str, int]], files: dict[str, str]) -> None:
    """Write what Linux says of a process in the groups `own`, and the limits (quota, period) of folders."""
    (folder / "nowhere").write_text(own)
    for path, (quota, period) in limits.items():
        group = folder / "cgroup" / path
        group.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (group / name).write_text(text.format(quota=quota, period=period) + "\n")


def test_hyperthreads_of_a_core_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for processor, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        topology = tmp_path / f"cpu{processor}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(siblings + "\n")
    monkeypatch.setattr(cpu, "_TOPOLOGY", tmp_path)
    for allowed, expected in [({0, 1, 2, 3}, 2), ({0, 2}, 1), ({1}, 1), ({0, 3}, 2)]:
        monkeypatch.setattr(cpu.os, "sched_getaffinity", lambda _, allowed=allowed: allowed, raising=False)
        assert cpu.usable_cores() == expected


def test_processors_that_linux_tells_nothing_of_count_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "_TOPOLOGY", tmp_path)
    monkeypatch.setattr(cpu.os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    monkeypatch.setattr(cpu.os, "cpu_count", lambda: 64)
    assert cpu.usable_cores() == 2


@pytest.mark.parametrize(
    ("system", "told", "processors", "cores"),
    [("Darwin", "4\n", 8, 4), ("Darwin", "", 8, 8), ("Windows", "4\n", 6, 6), ("Windows", "", None, 1)],
)
def test_macs_tell_of_their_cores_and_others_of_processors(
    system: str, told: str, processors: int | None, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(cpu.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cpu.platform, "system", lambda: system)
    monkeypatch.setattr(cpu, "_sysctl", lambda name: told if name == "hw.physicalcpu" else "")
    monkeypatch.setattr(cpu.os, "cpu_count", lambda: processors)
    assert cpu.usable_cores() == cores


@pytest.mark.parametrize(
    ("own", "limits", "files", "quota"),
    [
        ("0::/box\n", {"box": ("150000", 100000)}, V2, 1.5),
        ("0::/\n", {"": ("50000", 100000)}, V2, 0.5),  # a container that sees itself as the root
        ("0::/pod/box\n", {"pod": ("300000", 100000), "pod/box": ("max", 100000)}, V2, 3.0),
        ("0::/pod/box\n", {"pod": ("100000", 100000), "pod/box": ("300000", 100000)}, V2, 1.0),
        ("0::/box\n", {"box": ("max", 100000)}, V2, None),
        ("0::/box\n", {}, V2, None),
        ("4:cpu,cpuacct:/docker/ab\n0::/\n", {"cpu": ("200000", 100000)}, V1, 2.0),  # the host's path, the box's files
        ("4:cpu,cpuacct:/ab\n", {"cpu/ab": ("25000", 50000), "cpu": ("-1", 100000)}, V1, 0.5),
        ("3:cpuset:/ab\n", {"cpu/ab": ("25000", 50000)}, V1, None),
        ("0::/box\n", {"box": ("many", 100000)}, V2, None),
        ("0::/box\n", {"box": ("1000", 0)}, V2, None),
        ("?\n", {}, V2, None),
    ],
)
def test_control_groups_limit_time(
    own: str, limits: dict[str, tuple[str, int]], files: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    control_groups(tmp_path, own, limits, files)
    assert cpu.cpu_quota() == quota


@pytest.mark.parametrize(("quota", "cores"), [("350000", 3), ("100000", 1), ("20000", 1), ("900000", 4), ("max", 4)])
def test_no_more_threads_than_a_container_has_time_for(
    quota: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container on a large machine used to get a thread for each of the machine's cores."""
    monkeypatch.setattr(cpu, "_TOPOLOGY", tmp_path)
    monkeypatch.setattr(cpu.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    control_groups(tmp_path, "0::/box\n", {"box": (quota, 100000)}, V2)
    assert cpu.usable_cores() == cores
    assert EngineOptions().cpu_threads == cores
    assert EngineOptions(threads=7).cpu_threads == 7  # who says a number means it


LOAD = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[2])})
from amused_edge.benchmarks.peers.onnx_subject import OnnxSubject
from amused_edge.benchmarks.execution.optimised import executed_products
from amused_edge.benchmarks.quality.instruments.onnx_model import open_session
from amused_edge.quantization.onnx.session import MemoryGraph
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.errors import OptionsError
import onnx_ir, onnxruntime

bundle = Bundle.open(sys.argv[1])
model = bundle.path / "text_encoder.onnx"
held = [
    load_graph(bundle, "text_encoder", EngineOptions()),
    MemoryGraph(bundle, "text_encoder", onnx_ir.load(model)),
    open_session(model, "a model"),
]
subject = OnnxSubject.__new__(OnnxSubject)
subject.folder, subject.threads = bundle.path, None
held.append(subject.open_graph("text_encoder"))

open_one, seen = onnxruntime.InferenceSession, []

def spy(*arguments, **others):
    session = open_one(*arguments, **others)
    seen.extend(os.sched_getaffinity(int(thread)) for thread in os.listdir("/proc/self/task"))
    return session

onnxruntime.InferenceSession = spy
executed_products(model)
assert seen
seen.extend(os.sched_getaffinity(int(thread)) for thread in os.listdir("/proc/self/task"))
print(sorted(set().union(*seen)))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux ties processes to processors")
def test_no_thread_is_tied_to_a_processor_that_the_process_may_not_use(demo_bundle: Path) -> None:
    """Left to choose its threads, the engine tied one to a processor outside of `taskset`'s."""
    for processor in sorted(os.sched_getaffinity(0))[:2]:
        command = [sys.executable, "-c", LOAD, str(demo_bundle), str(processor)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        assert result.stdout.strip() == f"[{processor}]"


def test_the_engine_is_told_the_number(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from amused_edge.runtime.engines.onnx.session import ort as onnxruntime

    told, session = [], onnxruntime.InferenceSession

    def spy(model: str, options: onnxruntime.SessionOptions, **others: object) -> onnxruntime.InferenceSession:
        told.append(options.intra_op_num_threads)
        return session(model, options, **others)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    load_graph(Bundle.open(small_bundle), "denoiser", EngineOptions()).close()
    load_graph(Bundle.open(small_bundle), "denoiser", EngineOptions(threads=3)).close()
    assert told == [cpu.usable_cores(), 3]


def test_options_of_sessions_are_made_where_this_is_known() -> None:
    """A place that is new here must tell the engine how many threads it may have, and join the test above."""
    rooms = ("runtime", "export", "quantization", "benchmarks", "amused_edge")
    made = {
        str(path.relative_to(ROOT))
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"\bSessionOptions\(|InferenceSession\([^,()]+\)", path.read_text(encoding="utf-8"))
    }
    assert made == {
        "runtime/engines/onnx/session.py",
        "runtime/engines/onnx/signed_products.py",
        "benchmarks/execution/optimised.py",
        "benchmarks/execution/required_operators.py",  # gives them to the former
        "benchmarks/peers/onnx_subject.py",
    }


@pytest.mark.parametrize("threads", [257, 10**11])
def test_threads_without_number_are_refused(threads: int) -> None:
    """Thousands kept a picture from being finished, and more were called a damaged bundle."""
    with pytest.raises(OptionsError, match="it must be 256 or less"):
        EngineOptions(threads=threads)
