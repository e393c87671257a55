"""Damage of single weights, against bundles that are really made with that one rule, and bytes against real tensors."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from amused_edge.quantization.errors import RecipeError
from amused_edge.quantization.onnx.apply import apply
from amused_edge.quantization.onnx.plan import make_plan, read_weights
from amused_edge.quantization.onnx.target import calibrate
from amused_edge.quantization.onnx.trials import OnnxTrials, stored_bytes
from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.quantization.sensitivity.damage import Damage, DamageMeter, measure_each
from amused_edge.quantization.sensitivity.search import search
from amused_edge.runtime.bundle.folder import Bundle

PROMPTS = ("a fox", "a drawing of a panda")
OPTIONS = QuantizeOptions(PROMPTS, calibration_prompts=1, fidelity_prompts=2)

ATTENTION = "transformer_layers.1.attn1.to_v.weight"
CONVOLUTION = "decoder.up_blocks.0.resnets.0.conv1.weight"


@pytest.fixture(scope="module")
def meter(tiny_bundle: Bundle) -> Iterator[DamageMeter]:
    meter = DamageMeter(OnnxTrials(tiny_bundle, {}, {}), PROMPTS)
    yield meter
    meter.close()


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("text_encoder", "text_projection.weight"),
        ("conditioner", "encoder_proj.weight"),
        ("denoiser", ATTENTION),
        ("denoiser", "embed.table"),
    ],
)
def test_32_bits_do_no_damage(meter: DamageMeter, role: str, name: str) -> None:
    damage = meter.measure({(role, name): Rule("*")})
    assert damage.mean_kl == pytest.approx(0, abs=1e-10)  # what float32 rounding leaves
    assert damage.psnr is None
    assert damage.equal_codes is None


def test_32_bits_do_no_damage_to_pictures(meter: DamageMeter) -> None:
    assert meter.measure({("image_decoder", CONVOLUTION): Rule("*")}) == Damage(psnr=None)
    assert meter.measure({("image_encoder", "encoder.conv_in.weight"): Rule("*")}) == Damage(equal_codes=1.0)


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("conditioner", "transformer_layers.0.norm1.linear.weight"),
        ("denoiser", ATTENTION),
        ("denoiser", "mlm_layer.conv2.weight"),
    ],
)
def test_fewer_bits_hurt_more(meter: DamageMeter, role: str, name: str) -> None:
    """Error falls sixteenfold from 4 bits to 8 and from there to halves (KL: with its square), so ten is safe."""
    rules = [Rule("*", bits=4, block=32), Rule("*", bits=8, block=32), Rule("*", bits=16)]
    four, eight, half = (meter.measure({(role, name): rule}).mean_kl or 0.0 for rule in rules)
    assert four > 10 * eight > 0
    assert eight > half


def test_weights_changed_together_hurt_together(meter: DamageMeter) -> None:
    """One of each kind of role that logits depend on."""
    rule = Rule("*", bits=4, block=32)
    places = [("denoiser", ATTENTION), ("conditioner", "encoder_proj.weight")]
    alone = [meter.measure({place: rule}).mean_kl or 0.0 for place in places]
    together = meter.measure(dict.fromkeys(places, rule)).mean_kl
    assert together is not None
    assert together > max(alone)
    assert together < 3 * sum(alone)


@pytest.mark.parametrize(
    ("role", "name", "rule"),
    [
        ("denoiser", ATTENTION, Rule("*", bits=4, block=32, symmetric=True)),
        ("denoiser", ATTENTION, Rule("*", bits=8, activations="dynamic")),
        ("conditioner", "encoder_proj.weight", Rule("*", bits=8, block=32, symmetric=True, activations="blockwise")),
        ("text_encoder", "text_model.embeddings.token_embedding.weight", Rule("*", bits=8)),
        ("image_decoder", CONVOLUTION, Rule("*", bits=8)),
        ("image_encoder", "encoder.conv_in.weight", Rule("*", bits=8)),
    ],
)
def test_damage_is_that_of_a_bundle_with_this_rule_alone(
    tiny_bundle: Bundle, meter: DamageMeter, tmp_path: Path, role: str, name: str, rule: Rule
) -> None:
    """All three steps of the tiny bundle are asked about, as the account asks."""
    alone = Recipe("alone", (Rule(**{**vars(rule), "tensors": f"{role}/{name}"}),))
    made = quantize_bundle(tiny_bundle.path, tmp_path / "alone", alone, OPTIONS).manifest.quantization
    assert made is not None
    damage = meter.measure({(role, name): rule})
    if role == "image_decoder":
        assert damage == Damage(psnr=pytest.approx(made.pictures.psnr, abs=0.01))
    elif role == "image_encoder":
        assert damage == Damage(equal_codes=pytest.approx(made.pictures.equal_codes))
    else:
        assert made.logits.mean_kl > 0
        assert damage == Damage(mean_kl=pytest.approx(made.logits.mean_kl, rel=1e-3, abs=1e-10))


@pytest.mark.parametrize(
    "rule",
    [
        Rule("*", operator="matmul", bits=4, block=16),
        Rule("*", operator="matmul", bits=4, block=64),
        Rule("*", operator="matmul", bits=4, block=32, symmetric=True),
        Rule("*", operator="matmul", bits=8, block=16),
        Rule("*", operator="matmul", bits=8, block=32, symmetric=True, activations="blockwise"),
        Rule("*", operator="matmul", bits=8, activations="dynamic"),
        Rule("*", operator="conv", bits=8),
        Rule("image_decoder/*", operator="conv", bits=8, activations="static"),
        Rule("*", operator="table", bits=8),
        Rule("*", bits=16),
        Rule("*", bits=32),
    ],
    ids=lambda rule: f"{rule.operator}-{rule.bits}-{rule.block}-{rule.symmetric}-{rule.activations}",
)
def test_stored_bytes_are_those_of_the_tensors_that_are_written(tiny_bundle: Bundle, rule: Rule) -> None:
    """Widths of 24 and 56 inputs leave blocks unfilled, and counts of blocks odd."""
    recipe = Recipe("one", (rule,), Calibration(prompts=1, ranges="minmax"))
    plans = make_plan(tiny_bundle, recipe)
    observations = calibrate(tiny_bundle, plans, recipe, OPTIONS, lambda _: None)
    checked = 0
    for role, plan in plans.items():
        shapes = {name: (weight.shape, weight.operator) for name, weight in plan.weights.items()}
        apply(plan, observations.get(role))
        for name, (shape, operator) in shapes.items():
            parts = [name, *(f"{name}.{part}" for part in ("codes", "scales", "zero_points"))]
            tensors = [
                plan.model.graph.initializers[part].const_value
                for part in parts
                if part in plan.model.graph.initializers
            ]
            written = sum(tensor.numpy().nbytes for tensor in tensors if tensor is not None)
            assert stored_bytes(shape, operator, plan.rules[name]) == written, name
            checked += plan.rules[name].bits == rule.bits
    assert checked >= 4


def test_every_weight_that_the_recipe_changes_is_a_row(tiny_bundle: Bundle, meter: DamageMeter) -> None:
    recipe = Recipe(
        "some",
        (
            Rule("denoiser/transformer_layers.*", operator="matmul", bits=4, block=32),
            Rule("image_decoder/*.mid_block.*", operator="conv", bits=8),
        ),
    )
    plans = make_plan(tiny_bundle, recipe)
    told: list[tuple[str, int, int]] = []
    trials = OnnxTrials(tiny_bundle, plans, {})
    rows = measure_each(meter, trials, on_weight=lambda *stage: told.append(stage))
    weights = read_weights(tiny_bundle, "denoiser").weights
    layers = [
        name for name, weight in weights.items() if name.startswith("transformer") and weight.operator == "matmul"
    ]
    convolutions = [row.name for row in rows if row.role == "image_decoder"]
    assert [row.name for row in rows if row.role == "denoiser"] == layers
    assert [name.split(".")[1] for name in convolutions] == ["mid_block"] * 4
    assert [(stage[1], stage[2]) for stage in told] == [(index, len(rows)) for index in range(len(rows))]
    assert [stage[0] for stage in told] == [f"{row.role}/{row.name}" for row in rows]
    for row in rows:
        assert (row.damage.mean_kl is None) == (row.role == "image_decoder")
        assert row.damage.equal_codes is None
        assert row.values == np.prod(plans[row.role].weights[row.name].shape)


def test_the_table_in_three_forms(tiny_bundle: Bundle, tmp_path: Path) -> None:
    recipe = Recipe(
        "some",
        (
            Rule("denoiser/mlm_layer.*", operator="matmul", bits=4, block=32),
            Rule("image_*/*.mid_block.*.conv1.*", bits=8),
        ),
    )
    result = search(tiny_bundle.path, tmp_path / "table", recipe, OPTIONS)
    assert result.recipe is None
    assert result.mean_kl is None
    assert sorted(path.name for path in (tmp_path / "table").iterdir()) == [
        f"sensitivity.{kind}" for kind in ("json", "md", "png")
    ]
    content = json.loads((tmp_path / "table" / "sensitivity.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == 1
    assert Recipe.from_dict(content["recipe"]) == recipe
    assert [row["weight"] for row in content["weights"]] == [f"{row.role}/{row.name}" for row in result.rows]
    for row, known in zip(content["weights"], result.rows, strict=True):
        expected = {"mean_kl": known.damage.mean_kl, "psnr": known.damage.psnr, "equal_codes": known.damage.equal_codes}
        assert {key: row[key] for key in expected} == expected
        assert (row["bytes"], row["bits"], row["values"]) == (known.bytes, known.rule.bits, known.values)
    page = (tmp_path / "table" / "sensitivity.md").read_text(encoding="utf-8")
    places = [page.index(f"| {row.role}/{row.name} |") for row in worst_first(result.rows)]
    assert len(places) == 6
    assert places == sorted(places)
    assert (tmp_path / "table" / "sensitivity.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def worst_first(rows):  # type: ignore[no-untyped-def]
    """KL falling, then decoder PSNR rising, then the encoder's equal codes rising."""
    logits = sorted((r for r in rows if r.damage.mean_kl is not None), key=lambda r: -r.damage.mean_kl)
    decoder = sorted((r for r in rows if r.role == "image_decoder"), key=lambda r: r.damage.psnr or np.inf)
    encoder = sorted((r for r in rows if r.role == "image_encoder"), key=lambda r: r.damage.equal_codes)
    return [*logits, *decoder, *encoder]


def test_a_rule_that_needs_calibration_is_measured_with_it(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """Static ranges and error feedback, through the whole search."""
    recipe = Recipe(
        "calibrated",
        (
            Rule(f"image_decoder/{CONVOLUTION}", bits=8, activations="static"),
            Rule(f"denoiser/{ATTENTION}", bits=4, block=32, rounding="feedback"),
        ),
        Calibration(),
    )
    rows = {row.role: row for row in search(tiny_bundle.path, tmp_path / "table", recipe, OPTIONS).rows}
    made = quantize_bundle(tiny_bundle.path, tmp_path / "made", recipe, OPTIONS).manifest.quantization
    assert made is not None
    assert rows["denoiser"].damage.mean_kl == pytest.approx(made.logits.mean_kl, rel=1e-3)
    assert rows["image_decoder"].damage.psnr == pytest.approx(made.pictures.psnr, abs=0.01)


@pytest.mark.parametrize("stage", ["calibrating", "denoiser/mlm_layer.conv2.weight"])
def test_an_interrupted_search_leaves_nothing(tiny_bundle: Bundle, tmp_path: Path, stage: str) -> None:
    folder = tmp_path / "place"
    folder.mkdir()

    def stop(description: str, index: int, total: int) -> None:
        if description == stage:
            raise KeyboardInterrupt

    recipe = Recipe("some", (Rule("denoiser/mlm_layer.*", operator="matmul", bits=8, block=32),))
    with pytest.raises(KeyboardInterrupt):
        search(tiny_bundle.path, folder / "table", recipe, OPTIONS, on_stage=stop)
    assert list(folder.iterdir()) == []


def test_a_search_with_a_recipe_that_does_not_fit_leaves_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the pattern 'denoiser/typo' matches no weight"):
        search(tiny_bundle.path, tmp_path / "table", Recipe("mine", (Rule("denoiser/typo"),)), OPTIONS)
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == []
