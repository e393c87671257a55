"""`amused-edge fit`."""

import json
import shutil
from pathlib import Path

import pytest

from amused_edge.runtime.bundle.folder import Bundle
from tests.support.in_process import Cli, one_line, usage
from tests.support.paths import ROOT

W8 = ROOT / "demo" / "bundle"


def cells(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return line.removeprefix(name).split()


def test_every_recipe_of_a_float32_bundle(cli: Cli, demo_bundle: Path) -> None:
    result = cli("fit", demo_bundle, "--ram", "4GB", "--gflops", "100", "--gops", "400")
    assert (result.code, result.err) == (0, "")
    for name in (f"'{Bundle.open(demo_bundle).manifest.model.name}'", "fp16", "w8", "w8a8", "w8a8-blocks", "w4"):
        files, kept, low, fits, seconds = cells(result.out, f"{name} ")
        assert 0 < int(files) < int(low) < int(kept) < 300
        assert fits == "fits"
        assert 0.1 < float(seconds) < 10
    assert "where amused-256 and -512 were measured" in result.out
    assert "never on a phone" in result.out


@pytest.mark.parametrize(
    ("ram", "said"),
    [("0.2 GiB", "fits"), ("160MB", "with --low-memory"), ("100 mib", "no")],
)
def test_what_fits(cli: Cli, ram: str, said: str) -> None:
    result = cli("fit", W8, "--ram", ram)
    assert result.code == 0, result
    files, kept, low, *fits = cells(result.out, "'amused-edge-demo' ")
    assert (int(files), " ".join(fits)) == (16, f"{said} needs --gflops")
    assert int(low) < 160 < int(kept)


def test_what_a_row_cache_takes(cli: Cli, tmp_path: Path) -> None:
    """Said of bundles that have one: what two branches are given and leave, of 64 rows of 1000 floats."""
    bundle = Path(shutil.copytree(W8, tmp_path / "rows"))
    content = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    added = (("rows", ["batch", "rows"]), ("places", ["batch", 64]), ("kept_0_keys", ["batch", "known", 1000]))
    inputs = content["graphs"]["denoiser"]["inputs"]
    inputs += [{**inputs[0], "name": name, "shape": shape} for name, shape in added]
    (bundle / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    assert "row cache" not in cli("fit", W8, "--ram", "1GB").out
    result = cli("fit", bundle, "--ram", "1GB")
    assert result.code == 0, result
    assert (
        f"row cache   {2 * 2 * 64 * 1000 * 4 / 1e6:.0f} MB more while a picture is drawn with --row-cache" in result.out
    )


def test_eight_bits_need_their_own_peak(cli: Cli, demo_bundle: Path) -> None:
    result = cli("fit", demo_bundle, "--ram", "1GB", "--gflops", "100")
    assert cells(result.out, "w8a8 ")[-2:] == ["needs", "--gops"]
    assert float(cells(result.out, "w4 ")[-1]) > 0


def test_what_fit_refuses(cli: Cli, tmp_path: Path) -> None:
    usage(cli("fit", W8, "--ram", "4"), "'4' is not a number with MB, GB, MiB or GiB behind it")
    usage(cli("fit", W8), "--ram")
    usage(cli("fit", W8, "--ram", "4GB", "--gflops", "0"), "--gflops")
    one_line(cli("fit", tmp_path, "--ram", "4GB"), 1, "is not a bundle")
