"""The table of `quantize --sensitivity`: as data, as a page, as a plot."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amused_edge.benchmarks.report.markdown import table_lines
from amused_edge.quantization.recipes.rules import Recipe
from amused_edge.quantization.sensitivity.damage import Row


def write_table(folder: Path, rows: Sequence[Row], recipe: Recipe) -> None:
    """Write `sensitivity.json`, `sensitivity.md` and `sensitivity.png`."""
    content = {"schema_version": 1, "recipe": recipe.to_dict(), "weights": [_as_json(row) for row in rows]}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (folder / "sensitivity.json").write_text(text, encoding="utf-8")
    (folder / "sensitivity.md").write_text(_page(rows, recipe), encoding="utf-8")
    _plot(folder / "sensitivity.png", rows, recipe)


def _as_json(row: Row) -> dict[str, Any]:
    return {
        "weight": f"{row.role}/{row.name}", "operator": row.operator, "values": row.values, "bytes": row.bytes,
        "bits": row.rule.bits, "block": row.rule.block, "activations": row.rule.activations, **asdict(row.damage),
    }  # fmt: skip


def _page(rows: Sequence[Row], recipe: Recipe) -> str:
    shown = []
    for row in sorted(rows, key=_severity):
        d = row.damage
        shown.append(
            (
                *(f"{row.role}/{row.name}", row.values, row.bytes, row.rule.bits, row.rule.activations),
                "" if d.mean_kl is None else f"{d.mean_kl:.2e}",
                "" if d.psnr is None else f"{d.psnr:.1f}",
                "" if d.equal_codes is None else f"{d.equal_codes:.2%}",
            )
        )
    header = ("weight", "values", "bytes", "bits", "activations", "mean KL", "PSNR", "equal codes")
    lines = [
        f"# What recipe {recipe.name} does to each weight alone",
        "",
        "Worst first. KL in nats (parent || changed), guided logits of masked rows; PSNR of decoded pictures in dB.",
        "",
        *table_lines(header, shown),
    ]
    return "\n".join(lines) + "\n"


def _severity(row: Row) -> tuple[int, float]:
    """Order logit roles by KL, then decoder weights by PSNR, then the encoder's by codes; worst first."""
    d = row.damage
    if d.mean_kl is not None:
        return 0, -d.mean_kl
    if row.role == "image_decoder":
        return 1, float("inf") if d.psnr is None else d.psnr
    return 2, 1.0 if d.equal_codes is None else d.equal_codes


def _plot(path: Path, rows: Sequence[Row], recipe: Recipe) -> None:
    """Bars of mean KL in the order in which the graphs compute, and of the decoder's PSNR."""
    from amused_edge.benchmarks.report.quiet_matplotlib import Figure

    logits = [row for row in rows if row.damage.mean_kl is not None]
    decoder = [row for row in rows if row.damage.psnr is not None]
    panels = [(part, label) for part, label in ((logits, "mean KL, nats"), (decoder, "decoder PSNR, dB")) if part]
    figure = Figure(figsize=(12, 4 * max(1, len(panels))), layout="constrained")
    for place, (part, label) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, place + 1)
        values = [row.damage.mean_kl if part is logits else row.damage.psnr for row in part]
        axes.bar(range(len(part)), [0.0 if value is None else value for value in values], color="#3b6ea5")
        if part is logits:
            axes.set_yscale("log")
            starts = [i for i, row in enumerate(part) if i == 0 or part[i - 1].role != row.role]
            for start in starts:
                axes.axvline(start - 0.5, color="#999999", linewidth=0.8)
                axes.text(start, 1.01, part[start].role, transform=axes.get_xaxis_transform(), fontsize=9)
        axes.set_ylabel(label)
        axes.set_xlabel("weights, in the order of the graph")
        axes.margins(x=0.01)
    figure.suptitle(f"Damage of recipe {recipe.name}, one weight at a time")
    figure.savefig(path, dpi=110)
