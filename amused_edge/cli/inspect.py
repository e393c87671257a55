"""`amused-edge inspect`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from amused_edge.cli import console, options
from amused_edge.cli.command import Command
from amused_edge.cli.values import PATH
from amused_edge.runtime.errors import one_line, quoted

if TYPE_CHECKING:
    from amused_edge.runtime.bundle.folder import Bundle
    from amused_edge.runtime.bundle.measurements import LogitFidelity, PictureFidelity


@click.command(
    cls=Command,
    short_help="Show what a bundle holds, or how a picture was drawn.",
    examples=("amused-edge inspect BUNDLE --verify", "amused-edge inspect a-fox-0.png"),
)
@click.argument("bundle", metavar="BUNDLE|FILE.png", type=PATH)
@click.option("--verify", is_flag=True, help="Check every hash and run the golden input.")
@options.simulate
@click.option("--lint", is_flag=True, help="Of a Core ML bundle: what may keep it off the Neural Engine.")
def inspect(bundle: Path, verify: bool, simulate: Any, lint: bool) -> None:
    """Show what BUNDLE holds and what was measured when it was made, or, of a picture that amused-edge wrote, how."""
    from amused_edge.runtime.bundle.folder import Bundle

    if bundle.suffix.lower() == ".png" and not bundle.is_dir():
        if verify or simulate is not None or lint:
            raise click.UsageError("--verify, --simulate and --lint are for bundles")
        _show_picture(bundle)
        return

    opened = Bundle.open(bundle)
    _show(opened)
    if lint:
        _lint(opened)
    if verify and not _verify(opened, simulate):
        console.complain("this engine does not reproduce the golden output; try another engine")
        sys.exit(1)


def _show_picture(path: Path) -> None:
    from amused_edge.runtime import PictureParameters
    from amused_edge.runtime.pictures import read_parameters

    parameters = PictureParameters.from_json(read_parameters(path))
    text = json.dumps(parameters.to_dict(), indent=1, ensure_ascii=False)
    console.say(
        "".join(c if c == "\n" or (c.isprintable() and console.encodes(c)) else json.dumps(c)[1:-1] for c in text)
    )


def _line(text: str) -> None:
    """Print text that is from a file in part: no line breaks, no control characters."""
    console.say(one_line(text))


def _show(bundle: "Bundle") -> None:
    from amused_edge.runtime.bundle.manifest import SAMPLER_NAME

    m = bundle.manifest
    g, s = m.geometry, m.sampler
    made_by = m.tools.get("amused-edge", "?")
    _line(
        f"{quoted(m.model.name)}, licence {quoted(m.model.license)}, for {quoted(m.target)}, made by amused-edge "
        f"{quoted(made_by)}"
    )
    _line(f"pictures    {g.image_width} x {g.image_height} pixels")
    _line(f"tokens      {g.grid_width} x {g.grid_height} of {g.codebook_size} codes")
    _line(f"defaults    {s.steps} steps, guidance {s.guidance_scale:g}, temperature {s.temperature}, {s.schedule}")
    _line(f"engine      {m.engine.name} {m.engine.version}, oldest tried {m.engine.oldest_tried}")
    if m.target == "onnx":
        _line(f"optimized   {m.engine.optimize}{', with a row cache' if m.keeps_rows else ''}")
    for role, graph in m.graphs.items():
        precision = f"stored {graph.stored_precision}, executed {graph.executed_precision}"
        _line(f"{role:<15} {graph.bytes / 1e6:>9.1f} MB  {precision}")
    if SAMPLER_NAME in m.files:
        _line(f"{'sampler':<15} {m.files[SAMPLER_NAME].bytes / 1e3:>9.1f} kB  without weights")
    if m.fine_tuning is not None:
        if m.fine_tuning.transformer is not None:
            _line(f"transformer {quoted(m.fine_tuning.transformer.name)}, in place of the checkpoint's")
        for entry in m.fine_tuning.loras:
            _line(f"lora        {entry.described}, {entry.sha256[:12]}")
    if m.quantization is not None:
        _line(f"recipe      {quoted(m.quantization.recipe.get('name'))}, of the bundle {m.quantization.parent[:12]}")
        if m.quantization.logits is not None and m.quantization.pictures is not None:
            _show_fidelity("fidelity", m.quantization.logits, m.quantization.pictures)
    if m.simulated is not None:
        _line(f"simulated   by a {m.simulated.evaluator}; not run by {m.engine.name}")
    for title, checked in (("parity", m.parity), ("simulated", m.simulated)):
        if checked is not None:
            for role, errors in checked.roles.items():
                _line(f"{title:<11} {role}: {', '.join(f'{name} {error:.1e}' for name, error in errors.items())}")
            _show_fidelity(title, checked.logits, checked.pictures)


def _show_fidelity(title: str, logits: "LogitFidelity", pictures: "PictureFidelity") -> None:
    from amused_edge.runtime.bundle.measurements import shown_psnr

    count = f"{logits.generations} generation{'' if logits.generations == 1 else 's'}"
    _line(
        f"{title:<11} {count}: mean KL {logits.mean_kl:.1e} nats, "
        f"logits {logits.max_logit_error:.1e}, equal draws {logits.equal_draws:.2%}, "
        f"pictures {shown_psnr(pictures.psnr, ' dB')}"
    )


def _lint(bundle: "Bundle") -> None:
    if bundle.manifest.target != "coreml":
        raise click.UsageError(f"--lint is for Core ML bundles; {bundle.path} is for {quoted(bundle.manifest.target)}")
    from amused_edge.benchmarks.execution.neural_engine import lint_bundle, table

    for role, findings in lint_bundle(bundle).items():
        console.say(f"\n## {role}\n")
        console.say("\n".join(table(findings)))


def _verify(bundle: "Bundle", simulate: Any) -> bool:
    from amused_edge.runtime import AmusedPipeline, EngineOptions, golden_check
    from amused_edge.runtime.bundle import verification
    from amused_edge.runtime.engines.stored_floats import check_stored_floats

    verification.verify(bundle)
    console.say("hashes      all right")
    check_stored_floats(bundle)
    with AmusedPipeline(bundle, EngineOptions(simulate=simulate, check_floats=True)) as pipeline:
        report = golden_check.compare(pipeline)
    console.say(
        f"golden      ids {'equal' if report.same_ids else 'differ'}, logits within {report.logit_error:.1e}, "
        f"{report.equal_tokens:.2%} of tokens equal, pixels within {report.pixel_error}"
    )
    return report.reproduced
