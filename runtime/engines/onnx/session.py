"""ONNX Runtime: loads `.onnx` files with their weights beside them."""

import ctypes
import os
import shutil
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import onnxruntime as ort
from numpy.typing import NDArray

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph import Arrays, Graph, check_finite, hides_floats, prepare_inputs
from amused_edge.runtime.engines.kept_rows import asked_outputs
from amused_edge.runtime.engines.onnx.external_data import external_data
from amused_edge.runtime.engines.onnx.floats import with_hidden_floats
from amused_edge.runtime.engines.onnx.prepared import prepared_session
from amused_edge.runtime.engines.onnx.signed_products import adds_signed_products_exactly
from amused_edge.runtime.engines.options import CPU_PROVIDER, EngineOptions
from amused_edge.runtime.engines.parallel_rows import ParallelRows
from amused_edge.runtime.engines.rows import has_static_batch, of_any_batch
from amused_edge.runtime.errors import BundleError, GraphError, OptionsError, first_line, quoted
from amused_edge.runtime.system.library_paths import library_path

_LARGE_TENSORS = ("image_decoder", "image_encoder")
"""Roles whose peak memory is that of their tensors, not of their weights."""


_sessions: "WeakSet[ort.InferenceSession]" = WeakSet()


def _outlive_the_process() -> None:
    """Keep a forked process from ending the sessions that it inherited: they would wait for threads that it lacks."""
    for session in _sessions:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_outlive_the_process)


def load_onnx(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
    """Load the graph of a role for any batch; on CPUs, rows of one that takes one at a time run at the same time."""
    entry, threads = bundle.graph(role), options.cpu_threads
    if has_static_batch(entry) and options.providers in (None, (CPU_PROVIDER,)) and threads > 1:

        def load(each: int) -> Graph:
            return OnnxRuntimeGraph(bundle, role, replace(options, threads=each))

        return ParallelRows(role, load, threads, bundle.manifest.sampler.branches)
    return of_any_batch(role, entry, OnnxRuntimeGraph(bundle, role, options))


class OnnxRuntimeGraph:
    """One role of a bundle in an ONNX Runtime session."""

    def __init__(self, bundle: Bundle, role: str, options: EngineOptions) -> None:
        self._role = role
        self._process = os.getpid()
        self._entry = bundle.graph(role)
        model = bundle.file(self._entry.files[0])
        check_external_data(bundle, role, model)
        providers = list(options.providers or (CPU_PROVIDER,))
        available = ort.get_available_providers()
        unknown = sorted(set(providers) - set(available))
        if unknown:
            raise OptionsError(
                f"provider {quoted(unknown[0])} is not in this onnxruntime; it has: {', '.join(available)}"
            )
        self._session: ort.InferenceSession | None = None
        self._hidden: list[str] = []
        try:
            if options.check_floats and hides_floats(self._entry):
                self._session, self._hidden = _open_with_floats(bundle, role, options, providers)
            elif options.cache_bytes and providers == [CPU_PROVIDER]:
                make_options = partial(role_options, options, role)
                self._session = prepared_session(bundle, role, model, options.cache_bytes, make_options)
            if self._session is None:
                self._session = ort.InferenceSession(
                    library_path(model), role_options(options, role), providers=providers
                )
        except Exception as error:  # the binding's exceptions have no public base
            advice = "verify the bundle with `amused-edge inspect --verify`"
            if bundle.links:  # 1.24.1 refuses weights that are links, other versions may again
                advice = "its files are links: another onnxruntime may load them, or a copy made with `cp -rL`"
            raise GraphError(
                f"onnxruntime {ort.__version__} cannot load {model}: {first_line(error)}; {advice}"
            ) from error
        _sessions.add(self._session)
        for file in self._entry.files:
            bundle.check_unchanged(file)

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph, see `Graph`; ONNX Runtime stops between two operators."""
        if cancellation is None:
            return self._run(inputs, None)
        options = ort.RunOptions()
        try:
            with cancellation.terminating(lambda: setattr(options, "terminate", True)):
                return self._run(inputs, options)
        except GraphError:
            cancellation.check()
            raise

    def _run(self, inputs: Arrays, options: ort.RunOptions | None) -> dict[str, NDArray[Any]]:
        session = self._session
        if session is None:
            raise GraphError(f"{self._role} was closed; make a new pipeline")
        if self._process != os.getpid():
            raise GraphError(
                f"{self._role} was loaded before this process was forked, and its threads stayed behind; make a "
                "pipeline in each process"
            )
        feeds = prepare_inputs(self._role, self._entry, inputs)
        names = [*asked_outputs(self._entry, inputs), *self._hidden]
        try:
            outputs = dict(zip(names, session.run(names, feeds, options), strict=True))
        except Exception as error:
            raise GraphError(f"onnxruntime failed in {self._role}: {first_line(error)}") from error
        for name in self._hidden:
            check_finite(self._role, outputs.pop(name))
        return outputs

    def close(self) -> None:
        """Drop the session."""
        self._session = None


def session_options(options: EngineOptions) -> ort.SessionOptions:
    """Translate our options into ONNX Runtime's."""
    session = ort.SessionOptions()
    # Always: an engine that chooses for itself also ties each thread to a processor, allowed to this process or not.
    session.intra_op_num_threads = options.cpu_threads
    session.enable_cpu_mem_arena = options.memory_arena
    session.enable_mem_pattern = options.memory_pattern
    session.add_session_config_entry("session.intra_op.allow_spinning", str(int(options.spinning)))
    if not adds_signed_products_exactly():  # then signed weights become unsigned ones, which add up exactly but slowly
        session.add_session_config_entry("session.x64quantprecision", "1")
    session.log_severity_level = 3
    return session


def role_options(options: EngineOptions, role: str) -> ort.SessionOptions:
    """Add what the graph of a role needs, where memory is little."""
    session = session_options(options)
    session.enable_mem_reuse = options.reuse_tensors or role not in _LARGE_TENSORS
    return session


def _open_with_floats(
    bundle: Bundle, role: str, options: EngineOptions, providers: list[str]
) -> tuple[ort.InferenceSession, list[str]]:
    """Return a session of a role's graph that shows hidden floats, and their names.

    Its files are copied for that: engines of all versions that bundles were tried on read weights beside a model's file
    only, and not through links.
    """
    model, *others = [bundle.file(entry) for entry in bundle.graph(role).files]
    changed, names = with_hidden_floats(model.read_bytes())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for file in others:
            shutil.copy(file, folder)
        copy = Path(folder, model.name)
        copy.write_bytes(changed)
        return ort.InferenceSession(str(copy), role_options(options, role), providers=providers), names


def check_external_data(bundle: Bundle, role: str, model: Path) -> None:
    """Raise `BundleError` if a model reads weights from files that the manifest does not list for it, or past their
    end.
    """
    sizes = {bundle.file(f): f.bytes for f in bundle.graph(role).files[1:]}
    try:
        references = external_data(model.read_bytes())
    except ValueError as error:
        raise BundleError(f"{model} is not an ONNX model: {error}; copy the bundle again") from error
    for reference in references:
        file = model.parent / reference.location
        if file not in sizes:
            raise BundleError(
                f"{model} reads weights from {quoted(reference.location)}, which the manifest does not list; "
                "do not use this bundle"
            )
        if min(reference.offset, reference.length) < 0 or reference.offset + reference.length > sizes[file]:
            raise BundleError(f"{model} reads past the end of {file}; copy the bundle again")
