"""What ONNX Runtime makes of a graph when it loads it, written down: later sessions map it into memory as it is.

A session optimises its graph and repacks the weights of products for the CPU's kernels, in memory of its own, each
time. An optimised model with its packed weights beside it is not optimised again, and those weights stay in the file;
the engine still packs each as it loads, before it takes the file's. Integer convolutions keep what they pack.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.options import CPU_PROVIDER
from amused_edge.runtime.errors import one_line
from amused_edge.runtime.system.cpu import cpu_fingerprint
from amused_edge.runtime.system.library_paths import library_path
from amused_edge.runtime.system.prepared_store import PreparedStore

logger = logging.getLogger(__name__)

_FORMAT = 1
"""Raised when entries of an earlier amused-edge must not be read."""

_HOLDS_SLICES = "GatherSliceToSplitFusion"
"""An optimiser that would hold all slices of a tensor at once."""

_MODEL, _DATA = "model.onnx", "model.onnx.data"


def prepared_session(
    bundle: Bundle, role: str, model: Path, limit: int, make_options: Callable[[], ort.SessionOptions]
) -> ort.InferenceSession | None:
    """Return a session of a role's prepared graph, which is prepared first if it was not yet.

    Parameters
    ----------
    model
        The role's `.onnx` file.
    limit
        Of the store, in bytes.
    make_options
        Makes the options of a session.

    Returns
    -------
    None where nothing can be kept, for whatever reason; the log says why.
    """
    store = PreparedStore(limit)
    key = _key(bundle, role)

    def prepare(folder: Path) -> None:
        _prepare(model, folder, make_options())
        for file in bundle.graph(role).files:
            bundle.check_unchanged(file)

    try:
        found = store.find(key) or store.add(key, _label(bundle, role), prepare)
    except Exception as error:  # the binding's exceptions have no public base; a full disk is one of them
        logger.warning("cannot prepare %s of %s: %s", role, bundle.path, one_line(str(error)))
        return None
    if found is None:
        return None
    mapped = make_options()
    mapped.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(library_path(found / _MODEL), mapped, providers=[CPU_PROVIDER])
    except Exception as error:  # the binding's exceptions have no public base
        logger.warning("%s does not load (%s); it is removed", found, one_line(str(error)))
        store.discard(key)
        return None


def save_optimised(options: ort.SessionOptions, folder: Path) -> Path:
    """Have the session of these options write its optimised model, weights beside it; returns the `.onnx` file."""
    model = folder / _MODEL
    options.optimized_model_filepath = str(model)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", _DATA)
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
    return model


def _prepare(model: Path, folder: Path, options: ort.SessionOptions) -> None:
    save_optimised(options, folder)
    options.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
    ort.InferenceSession(library_path(model), options, providers=[CPU_PROVIDER], disabled_optimizers=[_HOLDS_SLICES])


def _key(bundle: Bundle, role: str) -> str:
    """Return a name that is another for other weights, another engine, or another kind of CPU."""
    parts = [_FORMAT, bundle.sha256, role, ort.__version__, ort.get_build_info(), cpu_fingerprint()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _label(bundle: Bundle, role: str) -> str:
    recipe = bundle.manifest.quantization
    kind = "fp32" if recipe is None else recipe.recipe.get("name", "?")
    return f"{bundle.manifest.model.name}, {kind}, {role}, onnxruntime {ort.__version__}"
