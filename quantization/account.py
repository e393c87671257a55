"""What a bundle saved and what it cost, against its parent: one JSON file and one page beside the bundle."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amused_edge.benchmarks.report.markdown import table_lines
from amused_edge.quantization.recipes.rules import Recipe
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import TensorFormat
from amused_edge.runtime.bundle.manifest import Manifest
from amused_edge.runtime.bundle.measurements import Fidelity, LogitFidelity, PictureFidelity, shown_psnr
from amused_edge.runtime.bundle.places import check_free
from amused_edge.runtime.system.companions import companions, remove_abandoned_companions

WORST = 10
"""Weights that the page shows."""


@dataclass(frozen=True)
class RoleSize:
    """Bytes of one graph's files, in the parent and now."""

    parent: int
    made: int

    @property
    def share(self) -> float:
        """Of the parent's."""
        return self.made / self.parent


@dataclass(frozen=True)
class Account:
    """All that was measured.

    Attributes
    ----------
    sizes
        By role, and "bundle" for all files.
    executed
        By role: what this machine's engine computes the graph's products in.
    tensors
        ROLE/NAME -> what the weight became.
    """

    model: str
    recipe: dict[str, Any]
    engine: str
    sizes: dict[str, RoleSize]
    executed: dict[str, str]
    logits: LogitFidelity
    pictures: PictureFidelity
    tensors: dict[str, TensorFormat]

    def to_json(self) -> str:
        """Return the text of OUT.account.json."""
        return json.dumps({"schema_version": 1, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"

    def to_markdown(self) -> str:
        """Return the text of OUT.account.md."""
        sections = (self._sizes(), self._fidelity(), self._worst())
        return "\n\n".join([f"# {self.model} by recipe {self.recipe['name']}", *sections]) + "\n"

    def _sizes(self) -> str:
        header = ("graph", "parent, MB", "now, MB", "share", "products run as")
        rows = [
            (role, f"{x.parent / 1e6:.1f}", f"{x.made / 1e6:.1f}", f"{x.share:.3f}", self.executed.get(role, ""))
            for role, x in self.sizes.items()
        ]
        return "\n".join([*table_lines(header, rows), "", f"Engine: {self.engine}."])

    def _fidelity(self) -> str:
        return "\n".join(["## Against the parent", "", *fidelity_table({"": Fidelity(self.logits, self.pictures)})])

    def _worst(self) -> str:
        worst = sorted(self.tensors.items(), key=lambda item: -item[1].error)[:WORST]
        header = ("weight", "bits", "block", "activations", "error")
        rows = [(name, x.bits, x.block or "", x.activations, f"{x.error:.2e}") for name, x in worst]
        note = "Error: root mean square of the change, relative to the weight's."
        return "\n".join(["## Weights that rounding changed most", "", *table_lines(header, rows), "", note])


def fidelity_table(measured: dict[str, Fidelity]) -> list[str]:
    """Return the lines of a Markdown table, one row per bundle."""
    columns = (
        *("", "pictures", "mean KL, nats", "max KL", "total variation", "top-1", "top-5", "equal draws"),
        *("rank correlation", "decoder PSNR, dB", "worst", "SSIM", "encoder's equal codes"),
    )
    rows = []
    for name, both in measured.items():
        x, p = both.logits, both.pictures
        numbers = (
            x.generations, f"{x.mean_kl:.2e}", f"{x.max_kl:.2e}", f"{x.total_variation:.2e}", f"{x.top1:.2%}",
            f"{x.top5:.2%}", f"{x.equal_draws:.2%}", f"{x.confidence_correlation:.5f}", shown_psnr(p.psnr),
            shown_psnr(p.worst_psnr), "" if p.ssim is None else f"{p.ssim:.5f}", f"{p.equal_codes:.2%}",
        )  # fmt: skip
        rows.append((name, *numbers))
    return table_lines(columns, rows)


def make(parent: Bundle, made: Bundle, recipe: Recipe, fidelity: Fidelity) -> Account:
    """Gather the account of a bundle."""
    graphs = made.manifest.graphs
    sizes = {role: RoleSize(parent.manifest.graphs[role].bytes, graph.bytes) for role, graph in graphs.items()}
    sizes["bundle"] = RoleSize(parent.manifest.bytes, made.manifest.bytes)
    return Account(
        model=made.manifest.model.name,
        recipe=recipe.to_dict(),
        engine=_engine(made.manifest),
        sizes=sizes,
        executed={role: graph.executed_precision for role, graph in graphs.items()},
        logits=fidelity.logits,
        pictures=fidelity.pictures,
        tensors={f"{role}/{name}": each for role, graph in graphs.items() for name, each in graph.tensors.items()},
    )


def _engine(manifest: Manifest) -> str:
    if manifest.simulated is not None:
        return f"none; simulated by a {manifest.simulated.evaluator}"
    return f"{manifest.engine.name} {manifest.engine.version}"


def paths(out: Path) -> tuple[Path, Path]:
    """Return where the account of a bundle lies."""
    return out.with_name(f"{out.name}.account.json"), out.with_name(f"{out.name}.account.md")


def check_places(out: Path) -> None:
    """Raise as `check_free` if a bundle, or its account, cannot be written; what a killed process left of one goes."""
    check_free(out)
    remove_abandoned_companions(paths(out), out)
    for path in paths(out):
        check_free(path)


@contextlib.contextmanager
def beside(out: Path) -> Iterator[Callable[[Account], None]]:
    """Give a function that writes both files of an account; an error in the block removes them again."""
    with companions() as files:

        def write(account: Account) -> None:
            for path, text in zip(paths(out), (account.to_json(), account.to_markdown()), strict=True):
                files.add(path, text.encode())

        yield write
