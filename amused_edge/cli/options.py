"""Options that several commands share."""

from typing import TYPE_CHECKING, Any

from click import Choice
from cloup import option
from cloup.typing import Decorator

from amused_edge.cli.values import PATH, Numbers, TemperatureType
from amused_edge.runtime.engines.options import SIMULATIONS
from amused_edge.runtime.sampling.options import ORDERS
from amused_edge.runtime.sampling.schedule import GUIDANCE_RAMPS, SCHEDULES

if TYPE_CHECKING:
    from amused_edge.runtime import EngineOptions
    from amused_edge.runtime.sampling.options import GenerationOptions

SAMPLER: tuple[Decorator, ...] = (
    option("--steps", type=int, metavar="N", help="Calls of the denoiser."),
    option("--guidance", type=float, metavar="X", help="Scale; above 1 it steers, at the cost of time."),
    option("--temperature", type=TemperatureType(), help="Of the confidences: T, or FIRST,LAST."),
    option("--schedule", type=Choice(SCHEDULES), help="How the share of masked tokens falls."),
)

STEERING: tuple[Decorator, ...] = (
    option("--guidance-ramp", type=Choice(GUIDANCE_RAMPS), help="How guidance grows."),
    option(
        "--guidance-interval", type=Numbers(float, "BEGIN,END"), help="Shares of the run between which guidance is on."
    ),
    option("--order", type=Choice(ORDERS), help="Which tokens stay at each step."),
    option(
        "--entropy-bound",
        type=float,
        metavar="NATS",
        help="Keep more at each step, up to so much entropy: fewer calls.  [default: 0, off]",
    ),
    option(
        "--row-cache",
        type=int,
        metavar="K",
        help="Compute rows of known tokens every K steps only; of bundles exported with it.  [default: 0, off]",
    ),
)
MICRO: tuple[Decorator, ...] = (
    option("--aesthetic-score", type=float, metavar="X", help="As the model is told, about 1 to 10."),
    option("--crop-top", type=float, metavar="X", help="Pixels cut off at the top, as the model is told."),
    option("--crop-left", type=float, metavar="X", help="Pixels cut off at the left, as the model is told."),
)

weights = option(
    "--weights",
    is_flag=True,
    help="Read (fox), (fox:1.3) and [fox] in prompts as more or less of a fox; \\( is a bracket.",
)
prompts = option("--prompts", type=PATH, metavar="FILE", help="One prompt per line.  [default: 64 built-in ones]")
calibration_prompts = option(
    "--calibration-prompts", type=int, metavar="N", help="Drawn to calibrate.  [default: the recipe's]"
)
variant = option("--variant", type=Choice(["fp16"]), help="Read the checkpoint's half-precision files.")
simulate = option(
    "--simulate",
    type=Choice(SIMULATIONS),
    help="Compute a Core ML bundle with NumPy, on any system: fp16 rounded as stored, or all in float32.",
)
lora_scale = option(
    "--lora-scale",
    type=float,
    metavar="X",
    help="Alpha divided by rank, of LoRA files that do not say it.  [default: 1]",
)
GRAPHS: tuple[Decorator, ...] = (
    option("--threads", type=int, metavar="N", help="[default: one per usable core]"),
    option("--low-memory", is_flag=True, help="Load each graph just before use, drop it just after."),
    option(
        "--cache", is_flag=True, help="Keep graphs as prepared for this CPU: later starts take less time and memory."
    ),
)
ENGINE: tuple[Decorator, ...] = (*GRAPHS, simulate)
quiet = option("--quiet", "-q", is_flag=True, help="No progress, no summary.")


def fidelity_prompts(default: int, text: str) -> Decorator:
    """Return the option --fidelity-prompts of a command."""
    return option("--fidelity-prompts", type=int, metavar="N", default=default, show_default=True, help=text)


def generation_options(*, guidance: float | None, **others: Any) -> "GenerationOptions":
    """Return what the options of the sampler ask for; `others` have the names of the record's fields."""
    from amused_edge.runtime.sampling.options import GenerationOptions

    return GenerationOptions(guidance_scale=guidance, **others)


def engine(threads: int | None, low_memory: bool, cache: bool, simulate: Any = None) -> "EngineOptions":
    """Return what the options of the engine ask for."""
    from amused_edge.runtime import CACHE_BYTES, EngineOptions

    build = EngineOptions.low_memory if low_memory else EngineOptions
    return build(threads=threads, simulate=simulate, cache_bytes=CACHE_BYTES if cache else 0)
