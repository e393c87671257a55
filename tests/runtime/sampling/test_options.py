"""Every option out of range is refused where it is built, with its name and value in the message."""

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.errors import AmusedEdgeError, OptionsError, quoted
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings

BAD_SETTINGS: list[tuple[str, Any, str]] = [
    ("steps", 0, "steps is 0; it must be 1 or more"),
    ("steps", -3, "steps is -3; it must be 1 or more"),
    ("steps", 1.5, "steps is 1.5; it must be a whole number"),
    ("steps", 12.0, "steps is 12.0; it must be a whole number"),
    ("steps", True, "steps is True; it must be a whole number"),
    ("steps", "12", "steps is '12'; it must be a whole number"),
    ("guidance_scale", float("nan"), "guidance_scale is nan; it must be a number"),
    ("guidance_scale", float("inf"), "guidance_scale is inf; it must be between 0 and 1e+06"),
    ("guidance_scale", -0.5, "guidance_scale is -0.5; it must be between 0 and 1e+06"),
    ("guidance_scale", 1e39, "guidance_scale is 1e+39; it must be between 0 and 1e+06"),
    ("guidance_scale", 10**400, f"guidance_scale is {quoted(10**400)}; it must be between 0 and 1e+06"),
    ("guidance_scale", True, "guidance_scale is True; it must be a number"),
    ("guidance_scale", "4", "guidance_scale is '4'; it must be a number"),
    ("temperature", -1.0, "temperature is -1.0; it must be between 0 and 1e+06"),
    ("temperature", (2.0, -1.0), "temperature is -1.0; it must be between 0 and 1e+06"),
    ("temperature", (2.0, 1.0, 0.0), "temperature is (2.0, 1.0, 0.0); give one number or a pair (first, last)"),
    ("temperature", (2.0,), "temperature is (2.0,); give one number or a pair (first, last)"),
    ("temperature", (2.0, float("nan")), "temperature is nan; it must be a number"),
    ("temperature", (2.0, None), "temperature is None; it must be a number"),
    ("temperature", "ab", "temperature is 'ab'; it must be a number"),
    ("entropy_bound", -1, "entropy_bound is -1; it must be between 0 and 1e+06"),
    ("entropy_bound", "2", "entropy_bound is '2'; it must be a number"),
    ("row_cache", -1, "row_cache is -1; it must be 0 or more"),
    ("row_cache", 2.5, "row_cache is 2.5; it must be a whole number"),
    ("row_cache", 10_001, "row_cache is 10001; it must be 10000 or less"),
    ("steps", 10_001, "steps is 10001; it must be 10000 or less"),
    ("temperature", ("x", 1.0), "temperature is 'x'; it must be a number"),
    ("guidance_interval", "ab", "guidance_interval is 'ab'; give a pair (begin, end) of shares of the run"),
    ("guidance_interval", 0.5, "guidance_interval is 0.5; give a pair (begin, end) of shares of the run"),
    ("guidance_interval", (0.5,), "guidance_interval is (0.5,); give a pair (begin, end) of shares of the run"),
    ("guidance_interval", (0.0, 1.5), "guidance_interval is (0.0, 1.5); its shares must rise within 0 to 1"),
    ("schedule", "cosin", "schedule is 'cosin'; choose one of: cosine, linear"),
    ("schedule", ["cosine"], "schedule is ['cosine']; choose one of: cosine, linear"),
]

BAD_SEEDS: list[tuple[Any, str]] = [
    (-1, "seed is -1; it must be 0 or more"),
    (2**64, "seed is 18446744073709551616; it must be below 2^64"),
    (1.5, "seed is 1.5; it must be a whole number"),
    (True, "seed is True; it must be a whole number"),
    (None, "seed is None; it must be a whole number"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_SETTINGS)
@pytest.mark.parametrize("build", [SamplerSettings, GenerationOptions])
def test_bad_settings_are_refused_when_built(build: Any, name: str, value: Any, message: str) -> None:
    with pytest.raises(OptionsError) as error:
        build(**{name: value})
    assert str(error.value) == message


@pytest.mark.parametrize(("seed", "message"), BAD_SEEDS)
def test_bad_seeds_are_refused(seed: Any, message: str) -> None:
    with pytest.raises(OptionsError) as error:
        GenerationOptions(seed=seed)
    assert str(error.value) == message


def test_an_options_error_is_ours_and_a_value_error() -> None:
    """Callers may catch either."""
    assert issubclass(OptionsError, AmusedEdgeError)
    assert issubclass(OptionsError, ValueError)


@pytest.mark.parametrize("seed", [0, 2**63, 2**64 - 1])
def test_the_whole_range_of_seeds_is_taken(seed: int) -> None:
    assert GenerationOptions(seed=seed).seed == seed


def test_numpy_numbers_and_lists_become_plain_ones() -> None:
    """They would not go into JSON, and a list would not be hashable."""
    settings = SamplerSettings(np.int32(5), np.float32(1.5), [np.float64(1), 0])  # type: ignore[arg-type]
    assert settings == SamplerSettings(5, 1.5, (1.0, 0.0))
    assert [type(v) for v in (settings.steps, settings.guidance_scale, settings.temperature)] == [int, float, tuple]
    assert type(GenerationOptions(seed=np.uint64(7)).seed) is int  # type: ignore[arg-type]


def test_what_is_none_comes_from_the_bundle() -> None:
    defaults = SamplerSettings(steps=7, guidance_scale=1.25, temperature=0.5, schedule="linear")
    assert GenerationOptions().settings(defaults) == defaults


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 1), ("guidance_scale", 0.0), ("temperature", 0.0), ("schedule", "cosine")]
)
def test_what_is_given_wins_even_if_it_is_zero(name: str, value: Any) -> None:
    """Guards against `value or default`."""
    defaults = SamplerSettings(steps=7, guidance_scale=1.25, temperature=0.5, schedule="linear")
    settings = GenerationOptions(**{name: value}).settings(defaults)
    expected = {**{n: getattr(defaults, n) for n in defaults.__dataclass_fields__}, name: value}
    assert settings == SamplerSettings(**expected)


@pytest.mark.parametrize(("scale", "guided"), [(0.0, False), (1.0, False), (1.0001, True), (10.0, True)])
def test_guidance_runs_only_above_one(scale: float, guided: bool) -> None:
    assert SamplerSettings(guidance_scale=scale).guided is guided


def test_options_cannot_be_changed_after_their_check() -> None:
    with pytest.raises(FrozenInstanceError):
        GenerationOptions().steps = 0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("threads", 0, "threads is 0; it must be 1 or more"),
        ("threads", 1.5, "threads is 1.5; it must be a whole number"),
        ("providers", (), "providers is (); give a list of names, or None for the CPU"),
        ("providers", "CPU", "providers is 'CPU'; give a list of names, or None for the CPU"),
        ("providers", (("CPU", {}),), "providers is (('CPU', {}),); give a list of names, or None for the CPU"),
        ("compute_units", "gpu", "compute_units is 'gpu'; choose all, cpu_and_ne, cpu_and_gpu, cpu_only"),
        ("compute_units", None, "compute_units is None; choose all, cpu_and_ne, cpu_and_gpu, cpu_only"),
        ("simulate", "fp16", "simulate is 'fp16'; choose half, float, or None"),
        ("simulate", True, "simulate is True; choose half, float, or None"),
        ("simulate", "", "simulate is ''; choose half, float, or None"),
    ],
)
def test_bad_engine_options_are_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(OptionsError) as error:
        EngineOptions(**{name: value})
    assert str(error.value) == message


@pytest.mark.parametrize("units", ["all", "cpu_and_ne", "cpu_and_gpu", "cpu_only"])
@pytest.mark.parametrize("simulate", [None, "half", "float"])
def test_engine_options_of_core_ml(units: str, simulate: Any) -> None:
    options = EngineOptions(compute_units=units, simulate=simulate)
    assert (options.compute_units, options.simulate) == (units, simulate)


def test_the_engine_itself_is_the_default() -> None:
    """A simulation is never taken for the engine: it must be asked for."""
    assert (EngineOptions().simulate, EngineOptions().compute_units) == (None, "all")


def test_the_ends_of_what_settings_may_say() -> None:
    settings = SamplerSettings(steps=10_000, row_cache=10_000, guidance_interval=(0.5, 0.5))
    assert (settings.steps, settings.row_cache, settings.guidance_interval) == (10_000, 10_000, (0.5, 0.5))


@pytest.mark.parametrize("ramp", ["constant", "linear", "cosine"])
def test_settings_give_the_scale_of_their_ramp(ramp: Any) -> None:
    settings = SamplerSettings(steps=9, guidance_scale=5.0, guidance_ramp=ramp, guidance_interval=(0.1, 0.8))
    rise = np.arange(9) / 8
    rise = {"constant": np.ones(9), "linear": rise, "cosine": (1 - np.cos(np.pi * rise)) / 2}[ramp]
    inside = np.abs((np.arange(9) + 0.5) / 9 - 0.45) <= 0.35
    expected = np.where(inside, 1 + 4 * rise, 1)
    np.testing.assert_allclose([settings.guidance_at(step) for step in range(9)], expected, rtol=1e-12)
