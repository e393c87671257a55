"""Quantizes plain graphs with Hugging Face optimum's ONNX Runtime quantizer, as its documentation shows.

Runs in an environment of its own, where this package is not: `python optimum_quantize.py PLAIN OUT`.
"""

import sys
from pathlib import Path

from optimum.onnxruntime import ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig


def main(plain: Path, out: Path) -> None:
    """Make dynamic int8 graphs of `denoiser.onnx` and `image_decoder.onnx`, for the CPU's instruction set."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    make = AutoQuantizationConfig.avx512_vnni if "avx512_vnni" in flags else AutoQuantizationConfig.avx2
    for name in ("denoiser", "image_decoder"):
        quantizer = ORTQuantizer.from_pretrained(plain, file_name=f"{name}.onnx")
        config = make(is_static=False, per_channel=False)
        quantizer.quantize(config, save_dir=out, file_suffix="", use_external_data_format=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
