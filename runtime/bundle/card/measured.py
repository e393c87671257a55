"""The card's figures: what the bundle holds, what it weighs, and what was measured of it."""

from collections.abc import Iterator

from amused_edge.runtime.bundle.card.markdown import code, paragraph, plain, table
from amused_edge.runtime.bundle.manifest import TARGETS, Manifest
from amused_edge.runtime.bundle.measurements import LogitFidelity, PictureFidelity, shown_psnr

_PURPOSES = {
    "text_encoder": "once per prompt",
    "conditioner": "once per prompt",
    "denoiser": "every step",
    "image_decoder": "once per picture",
    "image_encoder": "only where a picture is given",
}


def facts(manifest: Manifest) -> list[str]:
    """Return the table of what the bundle is."""
    g, s = manifest.geometry, manifest.sampler
    engine = f"{plain(manifest.engine.name)} {plain(manifest.engine.version)}"
    if manifest.target == "onnx":
        engine += f", optimised: {manifest.engine.optimize}; oldest tried: {plain(manifest.engine.oldest_tried)}"
    both = s.temperature if isinstance(s.temperature, tuple) else (s.temperature,)
    temperature = " to ".join(f"{value:g}" for value in both)
    rows = [
        ("pictures", f"{g.image_width} x {g.image_height} pixels"),
        ("tokens", f"{g.grid_width} x {g.grid_height} of {g.codebook_size} codes"),
        ("defaults", f"{s.steps} steps, guidance {s.guidance_scale:g}, temperature {temperature}, {s.schedule}"),
        ("target", TARGETS.get(manifest.target, plain(manifest.target))),
        ("engine", engine),
    ]
    if manifest.quantization is not None:
        rows.append(("recipe", code(str(manifest.quantization.recipe.get("name")))))
    rows.append(("made by", f"amused-edge {plain(manifest.tools.get('amused-edge', '?'))}"))
    return table(("", ""), rows)


def sizes(manifest: Manifest) -> list[str]:
    """Return the table of the graphs' sizes."""
    rows = [
        (code(role), _PURPOSES.get(role, ""), f"{graph.bytes / 1e6:.1f}", plain(graph.stored_precision))
        for role, graph in manifest.graphs.items()
    ]
    rows.append(("all files", "", f"{manifest.bytes / 1e6:.1f}", ""))
    return ["## Sizes", "", *table(("graph", "runs", "MB", "weights stored in"), rows)]


def fidelity(manifest: Manifest) -> list[str]:
    """Return what was measured when the bundle was made, or that nothing was."""
    lines = ["## How faithful it is", ""]
    found = list(_measured(manifest))
    if not found:
        return [*lines, "Nothing was measured of it when it was made.", *_unmeasured(manifest)]
    for said, logits, pictures in found:
        lines += [*paragraph(said), "", *_figures(logits, pictures), ""]
    return [
        *lines,
        "That holds for the prompts that were drawn for it; others may tell another story, and so may people's eyes.",
        *_unmeasured(manifest),
    ]


def _measured(manifest: Manifest) -> Iterator[tuple[str, LogitFidelity, PictureFidelity]]:
    parity, made, simulated = manifest.parity, manifest.quantization, manifest.simulated
    if parity is not None:
        yield "Beside the checkpoint in PyTorch, measured at export:", parity.logits, parity.pictures
    if made is not None and made.logits is not None and made.pictures is not None:
        yield (
            f"Beside the bundle that it was made from, before its weights were rounded (manifest {made.parent[:12]}):",
            made.logits,
            made.pictures,
        )
    if simulated is not None:
        reference = "checkpoint" if simulated.reference == "checkpoint" else "bundle that it was made from"
        told = f"**Simulated, not measured:** {plain(manifest.engine.name)} did not run where this was made. Computed "
        told += f"in its place by a {plain(simulated.evaluator)}, beside the {reference}:"
        yield told, simulated.logits, simulated.pictures


def _figures(logits: LogitFidelity, pictures: PictureFidelity) -> list[str]:
    ssim = "" if pictures.ssim is None else f", SSIM {pictures.ssim:.4f}"
    rows = [
        ("pictures drawn", f"{logits.generations}"),
        ("KL divergence of the probabilities, mean", f"{logits.mean_kl:.1e} nats"),
        ("tokens drawn alike from the same noise", f"{logits.equal_draws:.2%}"),
        ("likeliest code is the same", f"{logits.top1:.2%}"),
        ("largest difference of a logit", f"{logits.max_logit_error:.1e} of the largest logit"),
        ("decoded pictures", f"PSNR {shown_psnr(pictures.psnr, ' dB')}{ssim}"),
        ("encoded pictures, equal codes", f"{pictures.equal_codes:.2%}"),
    ]
    return table(("", ""), rows)


def _unmeasured(manifest: Manifest) -> list[str]:
    """Say what a LoRA that came later leaves unmeasured."""
    if manifest.fine_tuning is None or manifest.fine_tuning.parent is None:
        return []
    return ["", "LoRAs were added to the finished bundle, and what that changed was not measured."]
