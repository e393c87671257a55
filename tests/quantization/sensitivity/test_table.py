"""What the table of single weights says: the same rows as data, as a page whose worst are first, and as bars."""

import json
from pathlib import Path
from typing import Any

import pytest

from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.quantization.sensitivity.damage import Damage, Row
from amused_edge.quantization.sensitivity.table import write_table

RULE = Rule("*", operator="matmul", bits=4, block=32)
RECIPE = Recipe("four", (RULE,))
ROWS = [
    Row("conditioner", "a", "matmul", 10, RULE, 100, Damage(mean_kl=1e-3)),
    Row("conditioner", "b", "matmul", 20, RULE, 200, Damage(mean_kl=3e-2)),
    Row("denoiser", "c", "matmul", 30, RULE, 300, Damage(mean_kl=2e-3)),
    Row("image_decoder", "é", "conv", 40, RULE, 400, Damage(psnr=50.0)),
    Row("image_decoder", "e", "conv", 50, RULE, 500, Damage(psnr=None)),
    Row("image_decoder", "f", "conv", 60, RULE, 600, Damage(psnr=41.5)),
    Row("image_encoder", "g", "conv", 70, RULE, 700, Damage(equal_codes=0.99)),
    Row("image_encoder", "h", "conv", 80, RULE, 800, Damage(equal_codes=0.5)),
]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Those that were saved, in this process."""
    from matplotlib.figure import Figure

    saved: list[Any] = []
    save = Figure.savefig

    def keep(self: Any, *arguments: Any, **options: Any) -> None:
        saved.append(self)
        save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


@pytest.fixture
def table(tmp_path: Path, figures: list[Any]) -> Path:
    write_table(tmp_path, ROWS, RECIPE)
    return tmp_path


def test_the_data_are_the_rows(table: Path) -> None:
    text = (table / "sensitivity.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert "image_decoder/é" in text
    assert (found["schema_version"], found["recipe"]) == (1, RECIPE.to_dict())
    assert [each["weight"] for each in found["weights"]] == [f"{row.role}/{row.name}" for row in ROWS]
    assert found["weights"][1] == {
        "weight": "conditioner/b", "operator": "matmul", "values": 20, "bytes": 200, "bits": 4, "block": 32,
        "activations": "float", "mean_kl": 3e-2, "psnr": None, "equal_codes": None,
    }  # fmt: skip


def test_the_page_has_the_worst_first(table: Path) -> None:
    """Of what changes logits, then of the decoder, then of the encoder."""
    lines = (table / "sensitivity.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")][2:]
    assert [row[0].split("/")[1] for row in rows] == ["b", "c", "a", "f", "é", "e", "h", "g"]
    assert rows[0] == ["conditioner/b", "20", "200", "4", "float", "3.00e-02", "", ""]
    assert rows[3][5:] == ["", "41.5", ""]
    assert rows[6][5:] == ["", "", "50.00%"]


def test_bars_stand_in_the_order_of_the_graphs(table: Path, figures: list[Any]) -> None:
    """Each role begins at a line with its name; a picture that did not change has no bar."""
    (figure,) = figures
    logits, pictures = figure.axes
    assert [bar.get_height() for bar in logits.patches] == [1e-3, 3e-2, 2e-3]
    assert logits.get_yscale() == "log"
    assert [(text.get_position()[0], text.get_text()) for text in logits.texts] == [(0, "conditioner"), (2, "denoiser")]
    assert {text.get_fontsize() for text in logits.texts} == {9}
    assert [line.get_xdata()[0] for line in logits.lines] == [-0.5, 1.5]
    assert [bar.get_height() for bar in pictures.patches] == [50.0, 41.5]
    assert pictures.get_yscale() == "linear"
    assert [axes.get_ylabel() for axes in figure.axes] == ["mean KL, nats", "decoder PSNR, dB"]
    assert list(figure.get_size_inches()) == [12, 8]
    assert (table / "sensitivity.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_without_pictures_has_one_panel(tmp_path: Path, figures: list[Any]) -> None:
    write_table(tmp_path, ROWS[:3], RECIPE)
    assert [axes.get_ylabel() for axes in figures[0].axes] == ["mean KL, nats"]
    assert list(figures[0].get_size_inches()) == [12, 4]
