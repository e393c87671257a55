"""A program that draws, forks, and draws again."""

import textwrap

_PROGRAM = """
import os, sys
from amused_edge.runtime import AmusedPipeline, EngineOptions, GenerationOptions, GraphError

few = GenerationOptions(steps=1)
engine = {engine}
pipeline = AmusedPipeline.from_bundle(sys.argv[1], engine)
before = pipeline.generate("a fox", few).images.tobytes()
child = os.fork()
if child == 0:
{child}
_, status = os.waitpid(child, 0)
assert status == 0, status
assert pipeline.generate("a fox", few).images.tobytes() == before
pipeline.close()
"""


def forked(child: str, engine: str = "EngineOptions()") -> str:
    """Return the program. Its first argument is a bundle; `child` may use `pipeline`, `engine`, `few` and `before`."""
    return _PROGRAM.format(engine=engine, child=textwrap.indent(child, "    "))
