"""Rounds two small weights with Apple's own library and writes `coreai_opt_values.json`; no test runs it.

Made with coreai-opt 0.4.0, torchao 0.18.0 and torch 2.13.0: `pip install coreai-opt`, and then
`python make_coreai_opt_values.py`.
"""

import json
from pathlib import Path
from typing import Any

import coreai_opt
import numpy as np
import torch
from coreai_opt.quantization import Quantizer, QuantizerConfig


class Two(torch.nn.Module):
    """A linear layer and a convolution with seeded weights."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(20)
        self.linear = torch.nn.Linear(64, 24, bias=False)
        self.conv = torch.nn.Conv2d(8, 12, 3, bias=False)
        self.linear.weight.data = torch.from_numpy(rng.standard_normal((24, 64)).astype(np.float32))
        self.conv.weight.data = torch.from_numpy(rng.standard_normal((12, 8, 3, 3)).astype(np.float32))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.linear(x), self.conv(y)


def rounded(config: Any) -> dict[str, Any]:
    """What the library stores: codes and scales by weight."""
    inputs = (torch.zeros(1, 5, 64), torch.zeros(1, 8, 6, 6))
    quantizer = Quantizer(Two().eval(), config)
    with torch.no_grad():
        quantizer.prepare(inputs)
        made = dict(quantizer.finalize(backend=coreai_opt.ExportBackend.CoreAI).named_buffers())
    assert not any(made[name].any() for name in made if name.endswith("zero_point"))
    kept = {name: value for name, value in made.items() if not name.endswith("zero_point")}
    return {name: {"shape": list(value.shape), "values": value.flatten().tolist()} for name, value in kept.items()}


if __name__ == "__main__":
    presets = QuantizerConfig.presets
    content = {"w8": rounded(presets.w8(axis=0)), "w4_per_block": rounded(presets.w4_per_block(axis=1, block_size=32))}
    text = json.dumps({"coreai-opt": coreai_opt.__version__, **content}) + "\n"
    (Path(__file__).parent / "coreai_opt_values.json").write_text(text, encoding="utf-8")
