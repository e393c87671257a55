"""Commands that fetch from a hub and send to it: a loopback hub in a process of its own, begun anew before each run."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.faults.judge import Command
from tests.support.faults.scene import Scene

HUB_ID = "me/tiny"
_LACKING = "image_encoder.onnx.data"


@dataclass(frozen=True)
class ServedHub:
    """A hub in another process.

    Attributes
    ----------
    url
        Of it.
    renew
        Called with "whole" or "part": it forgets everything, and has the bundle again, or all of it but for one file.
    """

    url: str
    renew: Callable[[str], None]


@contextmanager
def served_hub(bundle: Path) -> Iterator[ServedHub]:
    """Serve a bundle until the block ends. A fork, as a thread here would be one too many where commands are forked."""
    (asked, ask), (answered, answer) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ask)
        try:
            _serve(bundle, asked, answer)
        finally:
            os._exit(0)
    os.close(asked)
    os.close(answer)

    def renew(what: str) -> None:
        os.write(ask, what[:1].encode())
        os.read(answered, 1)

    try:
        yield ServedHub(os.read(answered, 100).decode(), renew)
    finally:
        os.close(ask)
        os.close(answered)
        os.waitpid(child, 0)


def _serve(bundle: Path, asked: int, answer: int) -> None:
    from tests.support.loopback_hub import loopback_hub

    with loopback_hub() as hub, tempfile.TemporaryDirectory() as folder:
        part = shutil.copytree(bundle, Path(folder) / "part", ignore=shutil.ignore_patterns(_LACKING))
        os.write(answer, hub.url.encode())
        while what := os.read(asked, 1):
            hub.repositories.clear()
            hub.objects.clear()
            hub.add(HUB_ID, bundle if what == b"w" else part)
            os.write(answer, b".")


def hub_commands(bundle: Path, hub: ServedHub, modules: tuple[str, ...]) -> dict[str, Callable[[], Command]]:
    """Return the commands."""
    with_hub = (*modules, "huggingface_hub", "huggingface_hub.hf_api", "huggingface_hub.file_download")

    def command(arguments: list[str], what: str, sources: tuple[Path, ...] = ()) -> Callable[[], Command]:
        def prepare(scene: Scene) -> None:
            hub.renew(what)

        def environment(scene: Scene) -> dict[str, str]:
            from tests.support.loopback_hub import TOKEN

            shown = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1", "HF_TOKEN": TOKEN}
            return {**shown, "HF_ENDPOINT": hub.url, "HF_HOME": str(scene.root / "hub")}

        return lambda: Command(
            arguments, sources, prepare=prepare, modules=with_hub, environment=environment, library_speaks=True
        )

    return {
        "generate, hub": command(["generate", HUB_ID, "a fox", "--steps", "2", "--quiet", "-o", "fox.png"], "whole"),
        "push": command(["push", str(bundle), HUB_ID, "--quiet"], "part", (bundle,)),
    }
