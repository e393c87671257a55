"""What was measured of a bundle, as its manifest records it. Rooms that measure fill these; the runtime only reads."""

from dataclasses import dataclass, fields
from typing import Any

from amused_edge.runtime.bundle.json_fields import Fields


@dataclass(frozen=True)
class LogitFidelity:
    """Guided logits beside a reference's, teacher-forced over whole generations, on masked rows.

    Attributes
    ----------
    generations, rows
        How many pictures were drawn for it, and how many masked rows were compared over all their steps.
    mean_kl, max_kl
        KL(reference || bundle), in nats.
    total_variation
        Mean distance of the distributions, 0 to 1.
    top1, top5
        Share of rows with the same likeliest code; share of the reference's five likeliest codes among the five here.
    equal_draws
        Share of tokens that both draw with the same noise.
    confidence_correlation
        Spearman's correlation, over the masked rows of a step, of the log-probabilities that both give to the
        reference's draw; the mean over steps with two rows or more, 1 where there is none.
    max_logit_error
        Largest |difference| relative to the largest |logit|, worst step.
    """

    generations: int
    rows: int
    mean_kl: float
    max_kl: float
    total_variation: float
    top1: float
    top5: float
    equal_draws: float
    confidence_correlation: float
    max_logit_error: float


@dataclass(frozen=True)
class PictureFidelity:
    """Pictures decoded from the reference's tokens, and those pictures encoded again, beside the reference's.

    Attributes
    ----------
    psnr, worst_psnr
        In dB: from the mean squared error over all pictures, and of the worst picture; None where all are equal.
    ssim
        Mean structural similarity; None for pictures too small for its window.
    equal_codes
        Share of codes that both encoders choose.
    """

    psnr: float | None
    worst_psnr: float | None
    ssim: float | None
    equal_codes: float


def shown_psnr(psnr: float | None, unit: str = "") -> str:
    """Return a `psnr` of `PictureFidelity` for people, with one digit and the unit where one is given."""
    return "equal" if psnr is None else f"{psnr:.1f}{unit}"


@dataclass(frozen=True)
class Fidelity:
    """How far a bundle is from its reference."""

    logits: LogitFidelity
    pictures: PictureFidelity


@dataclass(frozen=True)
class Parity:
    """What was measured against the source model at export; `docs/bundle.md` has the measures and what is allowed.

    Attributes
    ----------
    roles
        Role -> output -> error.
    """

    roles: dict[str, dict[str, float]]
    logits: LogitFidelity
    pictures: PictureFidelity


@dataclass(frozen=True)
class Quantization:
    """How a bundle was made from its parent, and what that cost.

    Attributes
    ----------
    recipe
        The whole recipe, in the form of a recipe file.
    parent
        SHA-256 of the parent's `manifest.json`.
    logits, pictures
        Measured against the parent; None where no engine can run here what was made, see `Simulated`.
    """

    recipe: dict[str, Any]
    parent: str
    logits: LogitFidelity | None
    pictures: PictureFidelity | None


@dataclass(frozen=True)
class Simulated:
    """What the NumPy evaluator says that a bundle computes, where its engine could not be run: no measurement of it.

    Attributes
    ----------
    evaluator
        What computed in place of the engine, and how it rounds.
    reference
        "checkpoint", of an exported bundle, or "parent", of a quantized one.
    roles
        As in `Parity`; empty where the reference is the parent.
    """

    evaluator: str
    reference: str
    roles: dict[str, dict[str, float]]
    logits: LogitFidelity
    pictures: PictureFidelity


def read_parity(at: Fields) -> Parity:
    """Parse the manifest's `parity`."""
    return Parity(_roles(at), *_fidelity(at))


def read_quantization(at: Fields) -> Quantization:
    """Parse the manifest's `quantization`."""
    measured = (None, None) if at.raw("logits") is None else _fidelity(at)
    return Quantization(at.get("recipe", dict), at.get("parent", str), *measured)


def read_simulated(at: Fields) -> Simulated:
    """Parse the manifest's `simulated`."""
    return Simulated(at.get("evaluator", str), at.get("reference", str), _roles(at), *_fidelity(at))


def _roles(at: Fields) -> dict[str, dict[str, float]]:
    return at.table("roles", lambda role: {name: role.get(name, float) for name in role})


def _fidelity(at: Fields) -> tuple[LogitFidelity, PictureFidelity]:
    return _numbers(LogitFidelity, at.child("logits")), _numbers(PictureFidelity, at.child("pictures"))


def _numbers(build: Any, at: Fields) -> Any:
    """Build a dataclass of ints, floats and floats that may be None."""
    values = {}
    for item in fields(build):
        kind: Any = int if item.type is int else float
        optional = item.type == (float | None)
        values[item.name] = None if optional and at.raw(item.name) is None else at.get(item.name, kind)
    return build(**values)
