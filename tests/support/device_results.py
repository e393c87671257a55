"""A small `results.json` as a runtime on a phone writes it."""

from typing import Any

SETTINGS = {
    "steps": 12,
    "guidance_scale": 2.0,
    "temperature": [2.0, 0.0],
    "schedule": "cosine",
    "guidance_ramp": "constant",
    "guidance_interval": [0.0, 1.0],
    "order": "confidence",
}


def device_results(device: str | None = "Phone") -> dict[str, Any]:
    """Return the JSON of a run of one bundle, with two pictures."""
    kind = {"label": "w8", "threads": 4, "batch": 1}
    environment = {"cpu": "some CPU of a phone", "cores": 8, "memory": 8 * 10**9, "system": "Android 16"}
    environment |= {"runtime": "Kotlin", "packages": {"amused-edge": "0.1.0"}, "flags": ["battery 90 %"]}
    seconds = {"median": 2.0, "p10": 1.6, "p90": 2.4, "count": 2, "least": 1.5, "most": 2.5}
    picture = {"part": "picture", "cold": False, "steps": 12, "guidance_scale": 2.0, "seconds": seconds}
    load = {"part": "load", "cold": False, "steps": None, "guidance_scale": None}
    memory = {"total": 900, "anonymous": 500, "file_backed": None}
    checked = {"same_ids": True, "logit_error": 1e-6, "equal_tokens": 1.0, "pixel_error": 0, "reproduced": True}
    heats = [(0.0, 1.5, "none", 30.0), (60.0, 2.5, "severe", 44.5)]
    return {
        "schema_version": 1,
        "format": "amused-edge benchmark",
        "kind": "latency",
        "made": "2026-11-29T05:22:58+00:00",
        "load_average_before": None,
        "rounds": 2,
        "command": "latency",
        "environment": environment if device is None else {"device": device, **environment},
        "subjects": [{"label": "w8", "kind": "bundle", "model": "m", "recipe": "w8", "bytes": {"denoiser": 10**8}}],
        "prompt": "a fox",
        "seed": 7,
        "settings": [SETTINGS],
        "threads": [4],
        "batches": [1],
        "pictures": 1,
        "calls": 2,
        "timings": [
            {**kind, **picture, "rounds": [1.5, 2.5], "ratio": {"estimate": 1, "low": 1, "high": 1, "rounds": 2}},
            {**kind, **load, "seconds": {**seconds, "count": 1, "p90": 2.5}, "rounds": [2.0], "ratio": None},
        ],
        "footprints": [{**kind, "loaded": memory, "peak": memory}],
        "failures": [],
        "golden": [{"label": "w8", **checked}],
        "course": [
            {"label": "w8", "round": place, "at": at, "seconds": took, "thermal": thermal, "celsius": celsius}
            for place, (at, took, thermal, celsius) in enumerate(heats)
        ],
    }
