"""Which target carries out a recipe for a bundle. Its libraries are imported when it is asked for."""

from amused_edge.quantization.options import QuantizeOptions
from amused_edge.quantization.recipes.rules import Recipe
from amused_edge.quantization.target import QuantizationTarget
from amused_edge.runtime.bundle.folder import Bundle


def make_target(parent: Bundle, recipe: Recipe, options: QuantizeOptions) -> QuantizationTarget:
    """Return the target of a bundle, with its recipe resolved; raises as `quantize_bundle`."""
    if parent.manifest.target == "coreml":
        from amused_edge.quantization.coreml.target import CoreMLQuantizationTarget

        return CoreMLQuantizationTarget(parent, recipe, options)
    if parent.manifest.target == "coreai":
        from amused_edge.quantization.coreai.target import CoreAIQuantizationTarget

        return CoreAIQuantizationTarget(parent, recipe, options)
    from amused_edge.quantization.onnx.target import OnnxQuantizationTarget

    return OnnxQuantizationTarget(parent, recipe, options)
