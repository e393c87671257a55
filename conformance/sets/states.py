"""Saved states: read as they are, hashed as they are, and refused where they are damaged or another bundle's."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np

from amused_edge.conformance.numbers import floats, short
from amused_edge.conformance.pictures import picture
from amused_edge.conformance.vector_set import Values, VectorSet
from amused_edge.runtime.bundle.manifest import MicroConditioning
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.tasks.embeddings import PromptEmbeddings
from amused_edge.runtime.tasks.kinds import Inpainting, Task, TextToImage, Variation
from amused_edge.runtime.tasks.parameters import PictureParameters
from amused_edge.runtime.tasks.sealed import hash_of
from amused_edge.runtime.tasks.state import PictureState

_GRID, _CODES = (2, 3), 8192
_PICTURE = picture({"size": [4, 6], "seed": "12", "channels": 3})
_STENCIL = picture({"size": [4, 6], "background": 0, "rectangles": [[0, 0, 3, 4, 255]]})


def _tasks() -> list[tuple[Task, int, SamplerSettings]]:
    """Tasks of every kind, with texts that JSON writers escape in different ways and floats that they print so."""
    odd = 'ein "Füchslein" 🦊 \\ / \t\n\r\b\f\x00\x1f\x7f\u2028\u2029\ufeff'
    embeddings = PromptEmbeddings(np.ones((2, 3), np.float32), np.zeros(4, np.float32))
    return [
        (TextToImage("a fox"), 0, SamplerSettings()),
        (TextToImage(odd, "blau", first_picture=2**64 - 2), 2**64 - 1, SamplerSettings(steps=7)),
        (TextToImage("", "", micro_conditioning=MicroConditioning(-1.5, 1e9, 6)), 1, _settings(1e-5, 1e6, "linear")),
        (Variation("a", _PICTURE, 0.1 + 0.2, fit="pad"), 2**53 + 1, _settings((1e-7, 123456.789), 1.0, "cosine")),
        (Variation("b", _PICTURE, 1 / 3), 5, SamplerSettings(order="halton", guidance_interval=(0.1, 1 / 3))),
        (
            Inpainting("c", _PICTURE, _STENCIL, coverage="any", paste_back=False, feather=7),
            6,
            SamplerSettings(guidance_ramp="cosine"),
        ),
        (TextToImage(embeddings, embeddings), 8, SamplerSettings(temperature=2.0)),
    ]


def _settings(temperature: Any, scale: float, schedule: Any) -> SamplerSettings:
    return SamplerSettings(9, scale, temperature, schedule)


def _states() -> list[PictureState]:
    rng = np.random.Philox(key=3)
    states = []
    for next_step, (task, seed, settings) in enumerate(_tasks()):
        words = rng.random_raw(2 * _GRID[0] * _GRID[1]).reshape(2, *_GRID)
        tokens = (words[0] % _CODES).astype(np.int64)
        probability = ((words[1] >> 40) * 2.0**-24).astype(np.float32)
        parameters = PictureParameters.of("some bundle", "ab" * 32, task, seed, settings)
        ratio = short(np.float32(0.3)) if next_step % 2 else 1.0
        states.append(PictureState(parameters, next_step, tokens, probability, float(np.float32(ratio))))
    return states


def _whole() -> list[str]:
    """What this runtime writes; what another may write: whole floats without a point, other blanks and orders."""
    texts = [state.to_json() for state in _states()]
    other = json.loads(texts[0])
    del other["sha256"]
    settings = other["parameters"]["settings"]
    settings.update(guidance_scale=10, temperature=[2, 0], guidance_interval=[0, 1])
    other["starting_mask_ratio"] = 1
    sealed = {"sha256": hash_of(other), **dict(reversed(other.items()))}
    return [*texts, json.dumps(sealed, indent=1), json.dumps(sealed, separators=(",", ":"), ensure_ascii=False)]


def _states_given() -> list[Values]:
    return [{"text": text} for text in _whole()]


def _read(given: Values) -> Values:
    state = PictureState.from_json(given["text"])
    parameters = state.parameters.to_dict()
    told = {name: parameters[name] for name in ("bundle", "task", "settings")}
    told["task"] = told["task"] | {"picture": str(told["task"]["picture"])}
    return {
        **told,
        "settings": json.loads(json.dumps(told["settings"])),
        "seed": str(state.parameters.seed),
        "next_step": state.next_step,
        "starting_mask_ratio": state.starting_mask_ratio,
        "grid": list(state.tokens.shape),
        "tokens": state.tokens.reshape(-1).tolist(),
        "probability": floats(state.probability.reshape(-1)),
    }


def _hashed(given: Values) -> Values:
    """The text is this module's only computation; the runtime's own hash must agree."""
    content = json.loads(given["text"])
    content.pop("sha256")
    text = json.dumps(content, sort_keys=True)
    if hashlib.sha256(text.encode()).hexdigest() != hash_of(content):
        raise ArithmeticError("the hashed text of a state is not the runtime's")
    return {"hashed": text, "sha256": hash_of(content)}


# --- Damaged.

_GONE = object()

_FIELDS: list[tuple[list[str], list[Any]]] = [
    (["format"], ["else", _GONE]),
    (["version"], [2, "1", _GONE]),
    (["next_step"], [-1, 13, "3", True, 1.5, None, _GONE]),
    (["starting_mask_ratio"], [0, -0.5, 1.5, "1", None, _GONE]),
    (["grid"], [[2], [0, 3], [3, 3], [10**9, 10**9], [2, 3, 1], "23", ["2", 3], [5000, 1], _GONE]),
    (["tokens"], ["!", "AAAA", "", 5, "\u00fcnicode", _GONE]),
    (["probability"], ["eJw=", 5, _GONE]),
    (["parameters"], [{}, None, [], _GONE]),
    (["parameters", "format"], ["else", _GONE]),
    (["parameters", "version"], [2, _GONE]),
    (["parameters", "seed"], [-1, 2**64, "1", 0.5, _GONE]),
    (["parameters", "bundle"], ["x", {}, _GONE]),
    (["parameters", "bundle", "name"], [5, _GONE]),
    (["parameters", "settings"], [[], {}, _GONE]),
    (["parameters", "settings", "steps"], [0, -1, 10001, "12", 1.5, None, _GONE]),
    (["parameters", "settings", "guidance_scale"], [-1, "10", None, 2e6, _GONE]),
    (["parameters", "settings", "temperature"], ["hot", [1], [1, 2, 3], [-1, 0], None, _GONE]),
    (["parameters", "settings", "schedule"], ["sine", ["cosine"], None, _GONE]),
    (["parameters", "settings", "guidance_ramp"], ["steep", None, _GONE]),
    (["parameters", "settings", "guidance_interval"], [[0.5, 0.4], [0, 2], [0], 1, "01", _GONE]),
    (["parameters", "settings", "order"], ["random", ["confidence"], _GONE]),
    (["parameters", "task"], [[], None, {}, _GONE]),
    (["parameters", "task", "kind"], ["film", ["variation"], "inpainting", _GONE]),
    (["parameters", "task", "prompt"], [5, {}, None, {"embeddings_sha256": 5}, "\ud800", _GONE]),
    (["parameters", "task", "negative_prompt"], [[], "\udfff", _GONE]),
    (["parameters", "task", "picture"], ["0", -1, 2**64, None, _GONE]),
    (["parameters", "task", "micro_conditioning"], [{"crop_top": "x"}, 7, {}, _GONE]),
    (["parameters", "task", "more"], [1]),
]


def _damaged_given() -> list[Values]:
    whole = _states()[0].to_json()
    texts = ["", "{", "[]", "5", "null", "\ufeff" + whole, whole[:-20], whole + "}", "[" * 3000]
    texts += [whole.replace("a fox", "a box"), whole.replace('"next_step": 0', '"next_step": 1')]
    texts += [json.dumps({name: value for name, value in json.loads(whole).items() if name != "sha256"})]
    texts += [_changed(whole, path, value) for path, values in _FIELDS for value in values]
    texts += [_repacked(np.nan), _repacked(-0.5), _repacked(1.5)]
    texts += [_kind(field, value) for field, value in (("strength", [0.5]), ("strength", None), ("fit", {}))]
    return [{"text": text} for text in texts]


def _changed(text: str, path: list[str], value: Any) -> str:
    """Change a field and seal the state again, as whoever means harm does."""
    content = json.loads(text)
    del content["sha256"]
    *parents, name = path
    place = content
    for parent in parents:
        place = place[parent]
    if value is _GONE:
        del place[name]
    else:
        place[name] = value
    return json.dumps({**content, "sha256": hash_of(content)})


def _repacked(probability: float) -> str:
    state = _states()[0]
    return replace(state, probability=np.full(_GRID, probability, np.float32)).to_json()


def _kind(field: str, value: Any) -> str:
    return _changed(_states()[3].to_json(), ["parameters", "task", field], value)


def _refused(given: Values) -> Values:
    PictureState.from_json(given["text"])
    raise ArithmeticError(f"this state is not refused: {given['text'][:2000]}")


SETS = (
    VectorSet("states", "What the text of a saved state says.", _states_given, _read),
    VectorSet("state-hashes", "The text of a state that is hashed, and its SHA-256.", _states_given, _hashed),
    VectorSet("damaged-states", "Texts that are no state, and must be refused.", _damaged_given, _refused),
)
