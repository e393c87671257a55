"""What names a place on the Hugging Face hub: an id with a folder and a revision, or a web address."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from amused_edge.runtime.errors import OptionsError

_PART = r"(?!\.)[\w.-]+"
_ID = re.compile(
    rf"(?P<repository>{_PART}/{_PART})(?P<folder>(/{_PART})*)(@(?P<revision>[^\s@]+?))?/?",
    re.ASCII,
)
_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_WEB = re.compile(rf"\w\w+:/+|({'|'.join(_HOSTS)})/".replace(".", r"\."))
_NOT_MODELS = {"datasets": "data set", "spaces": "space", "collections": "collection", "papers": "paper"}
_OF_FOLDERS = ("tree", "commit", "commits")
_OF_FILES = ("blob", "resolve", "raw")
_EXAMPLE = "amused/amused-256"


@dataclass(frozen=True)
class HubAddress:
    """A folder of a repository of models.

    Attributes
    ----------
    repository
        "owner/name".
    folder
        In the repository, with '/' between its parts; "" is its top.
    revision
        A branch, tag or commit; None is the main branch.
    """

    repository: str
    folder: str = ""
    revision: str | None = None

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.repository}{'/' if self.folder else ''}{self.folder}{at}"

    @property
    def name(self) -> str:
        """The last part of its id, for people."""
        return (self.folder or self.repository).rpartition("/")[2]

    @property
    def page(self) -> str:
        """The repository's web page."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{self.repository}"

    def place(self, name: str) -> str:
        """Return where a file of this folder stands in the repository."""
        return f"{self.folder}/{name}" if self.folder else name

    def at(self, commit: str) -> "HubAddress":
        """Return the same place in one commit, which never changes."""
        return replace(self, revision=commit)


def is_web_address(text: str) -> bool:
    """Return whether a text is an address with a scheme or a host of the hub, rather than an id or a path."""
    return _WEB.match(text.strip()) is not None


def parse_address(text: str, refusal: Callable[[str], Exception] = OptionsError) -> HubAddress | None:
    """Return the place that an id ("owner/name", "owner/name/folder@revision") or a web address means.

    None is for what can only be a path. The revision stands last, because its own name may have a '/'.

    Parameters
    ----------
    refusal
        Makes the error for a web address of something else.
    """
    text = text.strip()
    if is_web_address(text):
        return _from_web(text, refusal)
    found = _ID.fullmatch(text)
    return HubAddress(found["repository"], found["folder"].strip("/"), found["revision"]) if found else None


def address_unless_here(source: str | Path, refusal: Callable[[str], Exception] = OptionsError) -> HubAddress | None:
    """Return the place on the hub that a source means; None where there is such a file or folder on this machine.

    A folder `a` here says too that "a/b" is meant as a path: its name is misspelt, and nobody need learn of it.
    """
    text = source.as_posix() if isinstance(source, Path) else source
    if os.path.lexists(source):
        return None
    found = parse_address(text, refusal)
    is_path = found is not None and not is_web_address(text) and os.path.isdir(found.repository.split("/")[0])
    return None if is_path else found


def _from_web(address: str, refusal: Callable[[str], Exception]) -> HubAddress:
    """Read "https://huggingface.co/owner/name/tree/main/folder", "hf.co/owner/name", "hf://owner/name@revision".

    A path that went through `Path` has one slash after its scheme.
    """
    from huggingface_hub import constants

    scheme, colon, rest = address.partition(":")
    refused = refusal(f"{address} is no address of the Hugging Face hub; give a folder or a hub id")
    try:
        url = urlsplit(f"{scheme}://{rest.lstrip('/')}" if colon and rest.startswith("/") else f"https://{address}")
    except ValueError:  # a bracket of an IPv6 address that is none
        raise refused from None
    hosts = (*_HOSTS, urlsplit(constants.ENDPOINT).netloc)
    parts = [unquote(part) for part in f"{url.netloc}/{url.path}".split("/") if part]
    if url.scheme != "hf":
        host, parts = parts[0] if parts else "", parts[1:]
        if url.scheme not in ("http", "https") or host.lower() not in hosts:
            raise refused
    parts = parts[1:] if parts[:1] == ["api"] else parts
    parts = parts[1:] if parts[:1] == ["models"] else parts
    kind = _NOT_MODELS.get(parts[0]) if parts else None
    found = _ID.fullmatch("/".join(parts[:2]))
    if kind or not found:
        names = f"a {kind}" if kind else "no model"
        raise refusal(f"{address} is the address of {names}; give a hub id such as {_EXAMPLE}")
    return _within(found, parts[2:], of_files=url.scheme == "hf")


def _within(found: re.Match[str], rest: list[str], *, of_files: bool) -> HubAddress:
    """Return the place that the parts of a web address behind its repository mean."""
    revision = found["revision"]
    if not of_files:
        kind = rest[0] if len(rest) > 1 else ""
        revision = rest[1] if kind in (*_OF_FOLDERS, *_OF_FILES) else revision
        rest = rest[2:] if kind == "tree" else rest[2:-1] if kind in _OF_FILES else []
    return HubAddress(found["repository"], "/".join(rest), revision)
