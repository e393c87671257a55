"""What each extra of this package brings, and what to do where a library is missing, broken or too old."""

import re
from collections.abc import Sequence
from types import ModuleType

EXTRAS = {
    "export": ("torch", "transformers", "safetensors", "huggingface_hub", "yaml", "onnx", "onnxscript", "onnx_ir"),
    "lora": ("safetensors", "huggingface_hub"),
    "quantize": ("onnx", "onnx_ir", "matplotlib"),
    "coreml": ("coremltools",),
    "coreai": ("coreai", "coreai_torch"),
    "video": ("av",),
    "bench": ("onnx", "onnx_ir", "matplotlib", "jinja2", "psutil"),
    "cluster": ("ray",),
    "serve": ("starlette", "uvicorn", "python_multipart", "segno"),
    "tls": ("cryptography",),
    "hub": ("huggingface_hub",),
}
"""Extra -> modules that its packages hold."""

ALWAYS = ("numpy", "onnxruntime", "tokenizers", "PIL", "click", "cloup", "rich")
"""Modules of the packages that are installed with this one, whatever the extras."""

_SHARED_LIBRARY = re.compile(r"\.(so|dll|dylib)\b")


def advice(error: Exception, extras: Sequence[str] = ()) -> str | None:
    """Return what is wrong with a library and how to install it; None if the error is about something else.

    Parameters
    ----------
    error
        Raised at an import, or where something of a module was used.
    extras
        What the work needs. Those that bring the library are added.
    """
    library = _library(error)
    if library is None:
        return None
    bringing = [extra for extra, modules in EXTRAS.items() if library in modules]
    if bringing and not set(bringing) & set(extras):
        extras = [*extras, bringing[0]]
    package = f"'amused-edge[{','.join(extras)}]'" if extras else "amused-edge"
    if isinstance(error, ModuleNotFoundError) and error.name == library:
        again = "" if extras else "--force-reinstall "
        what = f" with its extra{'s' if len(extras) > 1 else ''}" if extras else " again"
        return f"{library} is not installed; install this package{what}: pip install {again}{package}"
    name = library or "a library"
    return (
        f"{name} is broken or too old: {str(error).strip().rstrip('.')}; install it anew: "
        f"pip install --upgrade --force-reinstall {package}"
    )


def _library(error: Exception) -> str | None:
    """Return the module at the root of an error, "" for one that it does not name, None if it is about no library."""
    if isinstance(error, ImportError):
        return (error.name or "").partition(".")[0]
    if isinstance(error, AttributeError):
        owner = error.obj
        name = owner.__name__ if isinstance(owner, ModuleType) else getattr(owner, "__module__", None)
        root = str(name).partition(".")[0]
        return root if root in ALWAYS or any(root in modules for modules in EXTRAS.values()) else None
    if isinstance(error, OSError) and error.errno is None and _SHARED_LIBRARY.search(str(error)):
        return ""
    return None
