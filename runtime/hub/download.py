"""A folder of a repository, in one commit, as it comes into huggingface_hub's cache: file by file, when asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amused_edge.runtime.errors import HubError, quoted
from amused_edge.runtime.hub.address import HubAddress
from amused_edge.runtime.hub.progress import bar_class, no_bar
from amused_edge.runtime.hub.refusals import reason

_MANY = 8
"""Folders that a message names."""


@dataclass(frozen=True)
class HubFolder:
    """A folder of a repository whose first file was fetched.

    Attributes
    ----------
    address
        In the commit that was found; further files are of the same.
    path
        Where its files lie in the hub's cache, once they were fetched.
    """

    address: HubAddress
    path: Path

    def fetch(self, files: Mapping[str, int]) -> None:
        """Bring those files that are not here yet.

        Those that arrived before an interruption are not fetched again; within a file, the hub's library goes on
        after a lost connection.

        Parameters
        ----------
        files
            Name in this folder -> bytes, for the progress.

        Raises
        ------
        HubError
            The hub does not give one.
        """
        missing = {name: size for name, size in files.items() if not (self.path / name).is_file()}
        before, total = 0, sum(missing.values())
        for name, size in missing.items():
            bar = bar_class(f"downloading {self.address.place(name)}", before, total)
            try:
                _download(self.address, name, bar)
            except Exception as error:  # network, permissions: the library has many
                text = reason(error, self.address)
                raise HubError(f"{quoted(name)} of {self.address} could not be downloaded: {text}") from error
            before += size


def find_folder(address: HubAddress, first: str) -> HubFolder:
    """Fetch the one file that says what else there is, and return the folder that it lies in.

    Raises
    ------
    HubError
        huggingface_hub is not installed, or the hub does not give the file.
    """
    text = f"{address} is no folder here"
    try:
        import huggingface_hub
    except ImportError as error:
        raise HubError(
            f"{text}, and to fetch it from the hub huggingface_hub is needed: pip install 'amused-edge[hub]'"
        ) from error
    try:
        file = _download(address, first, no_bar())
    except huggingface_hub.errors.RemoteEntryNotFoundError as error:
        raise HubError(f"{text}, and the hub's has no {address.place(first)}{_instead(address, first)}") from error
    except Exception as error:
        said = reason(error, address)
        if isinstance(error, huggingface_hub.errors.RevisionNotFoundError) and "/" in str(address.revision):
            said += f"; a folder stands before the revision: {address.repository}/FOLDER@REVISION"
        raise HubError(f"{text}, nor could it be downloaded from the hub: {said}") from error
    depth = len(address.place(first).split("/"))
    return HubFolder(address.at(file.parents[depth - 1].name), file.parent)


def _download(address: HubAddress, name: str, bar: type[Any] | None) -> Path:
    import huggingface_hub

    place, revision = address.place(name), address.revision
    return Path(huggingface_hub.hf_hub_download(address.repository, place, revision=revision, tqdm_class=bar))


def _instead(address: HubAddress, first: str) -> str:
    """Say which folders of a repository have the file, if it can be asked."""
    import huggingface_hub

    try:
        files = huggingface_hub.HfApi().list_repo_files(address.repository, revision=address.revision)
    except Exception:  # it is advice only
        return ""
    folders = sorted(name.removesuffix(f"/{first}") for name in files if name.endswith(f"/{first}"))
    if first in files:
        return f"; one lies at its top: {address.repository}"
    if not folders:
        return "; see what it holds at " + address.page
    return f"; it has {', '.join(folders[:_MANY])}: say {address.repository}/{folders[0]}"
