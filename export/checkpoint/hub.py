"""Checkpoints on the Hugging Face hub: what names one, which of its files are fetched, and what its refusals mean."""

import errno
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from amused_edge.export.checkpoint.weight_files import COMPONENTS
from amused_edge.export.errors import AS_SAFETENSORS, CheckpointError
from amused_edge.runtime.errors import first_line, quoted

_ID = re.compile(r"(?P<name>(?!\.)[\w.-]+/[\w.-]+)(@(?P<revision>[^\s@]+))?/?")
_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_WEB = re.compile(rf"(?P<scheme>\w+)://|({'|'.join(_HOSTS)})/".replace(".", r"\."))
_NOT_MODELS = {"datasets": "data set", "spaces": "space", "collections": "collection", "papers": "paper"}
_AT_A_REVISION = ("tree", "blob", "resolve", "raw", "commit", "commits")

_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"
_NOT_FOUND = f"the hub has no such model, or it is private; check the spelling, or, for a private one, {_LOGIN}"
_CONFIGS = ("model_index.json", "generation_config.json", "README.md", "*/*.json", "tokenizer/*")


@dataclass(frozen=True)
class HubModel:
    """A model of the hub.

    Attributes
    ----------
    name
        "owner/name".
    revision
        A branch, tag or commit; None is the main branch.
    """

    name: str
    revision: str | None = None

    @property
    def page(self) -> str:
        """Its web page."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{self.name}"


def hub_model(source: str) -> HubModel | None:
    """Return the model that an id ("owner/name", "owner/name@revision") or a web address means; None for a path.

    Raises
    ------
    CheckpointError
        A web address of something else.
    """
    source = source.strip()
    if _WEB.match(source):
        return _from_address(source)
    found = _ID.fullmatch(source)
    return HubModel(found["name"], found["revision"]) if found else None


def _from_address(address: str) -> HubModel:
    """Read "https://huggingface.co/owner/name/tree/main", "hf.co/owner/name", "hf://owner/name@revision"."""
    from huggingface_hub import constants

    url = urlsplit(address if "://" in address else f"https://{address}")
    hosts = (*_HOSTS, urlsplit(constants.ENDPOINT).netloc)
    parts = [unquote(part) for part in f"{url.netloc}/{url.path}".split("/") if part]
    if url.scheme != "hf":
        host, parts = parts[0] if parts else "", parts[1:]
        if url.scheme not in ("http", "https") or host.lower() not in hosts:
            raise CheckpointError(f"{address} is no address of the Hugging Face hub; give a folder or a hub id")
    parts = parts[1:] if parts[:1] == ["api"] else parts
    parts = parts[1:] if parts[:1] == ["models"] else parts
    kind = _NOT_MODELS.get(parts[0]) if parts else None
    found = _ID.fullmatch("/".join(parts[:2]))
    if kind or not found:
        names = f"a {kind}" if kind else "no model"
        raise CheckpointError(f"{address} is the address of {names}; give a hub id such as amused/amused-256")
    revision = parts[3] if len(parts) > 3 and parts[2] in _AT_A_REVISION else found["revision"]
    return HubModel(found["name"], revision)


def download(model: HubModel, variant: str | None) -> Path:
    """Fetch configs, tokenizer and safetensors into the hub's cache, and return the folder.

    With `variant`, parts of the model that have no such files come as their plain ones, unless none has any.

    Raises
    ------
    CheckpointError
        The hub does not give it, or has no safetensors of this kind.
    """
    weights = f"*.{variant}*.safetensors" if variant else "*.safetensors"
    ignored = () if variant else ("*.fp16*",)
    folder = _fetch(model, (*_CONFIGS, f"*/{weights}"), ignored)
    lacking = _lacking(folder, variant)
    if variant and 0 < len(lacking) < len(COMPONENTS):
        fetched = HubModel(model.name, revision=folder.name)
        folder = _fetch(fetched, tuple(f"{part}/*.safetensors" for part in lacking), ())
        lacking = _lacking(folder, variant)
    if lacking:
        _advise(model, lacking, variant)
    return folder


def download_lora(model: HubModel, names: tuple[str, ...]) -> Path:
    """Fetch the files of a LoRA, those of these names that there are, into the hub's cache, and return the folder.

    Raises
    ------
    CheckpointError
        The hub does not give it.
    """
    return _fetch(model, names, ())


def _fetch(model: HubModel, allowed: tuple[str, ...], ignored: tuple[str, ...]) -> Path:
    import huggingface_hub

    revision = {"revision": model.revision} if model.revision else {}
    try:
        return Path(
            huggingface_hub.snapshot_download(
                model.name, allow_patterns=list(allowed), ignore_patterns=list(ignored), **revision
            )
        )
    except Exception as error:  # network, permissions, unknown id: the library has many
        raise CheckpointError(
            f"{model.name} is neither a folder nor could it be downloaded from the hub: {_reason(error, model)}"
        ) from error


def _lacking(folder: Path, variant: str | None) -> list[str]:
    """Return the parts without safetensors; files of a variant count only where it was asked for."""
    found = {
        path.parent.name for path in folder.glob("*/*.safetensors") if variant is not None or ".fp16" not in path.name
    }
    return [part for part in sorted(COMPONENTS) if part not in found]


def _advise(model: HubModel, lacking: list[str], variant: str | None) -> None:
    """Raise what the hub has instead of the safetensors that are lacking, if it can be asked."""
    import huggingface_hub

    try:
        files = huggingface_hub.list_repo_files(model.name, revision=model.revision)
    except Exception:  # offline: reading the folder names what is missing
        return
    present = {part: [name for name in files if name.startswith(f"{part}/")] for part in lacking}
    for part, names in present.items():
        if not variant and any(name.endswith(".safetensors") and ".fp16" in name for name in names):
            raise CheckpointError(f"{model.name} has its {part} in half precision only; add --variant fp16")
        if variant and any(name.endswith(".safetensors") for name in names):
            raise CheckpointError(f"{model.name} has no {variant} files; leave --variant out")
    for part, names in present.items():
        pickles = sorted(Path(name).name for name in names if name.endswith(".bin"))
        if pickles:
            raise CheckpointError(
                f"{model.name} holds only pickled weights ({part}/{pickles[0]}), which can run code when loaded; "
                f"{AS_SAFETENSORS.replace('PATH', repr(model.name))}"
            )


def _reason(error: Exception, model: HubModel) -> str:
    """Say in one line what the hub's library means, and what to do."""
    from huggingface_hub import errors

    meanings = (  # a class stands before those that it derives from
        (errors.GatedRepoError, f"its owner gives access on request; ask for it at {model.page}, then {_LOGIN}"),
        (errors.RepositoryNotFoundError, _NOT_FOUND),
        (errors.RevisionNotFoundError, f"it has no revision {quoted(model.revision or 'main')}; see {model.page}"),
        (errors.DisabledRepoError, f"the hub has disabled it; see {model.page}"),
        (
            errors.OfflineModeIsEnabled,
            "it is not wholly in the cache, and HF_HUB_OFFLINE forbids asking the hub; unset it, or give a folder",
        ),
        (errors.HFValidationError, f"it is no valid hub id ({first_line(error)})"),
        (errors.HfHubHTTPError, _status(error)),
        (errors.HTTPError, f"the hub cannot be reached ({first_line(error)}); check the network"),
    )
    for kind, text in meanings:
        if isinstance(error, kind):
            return text
    if isinstance(error, errors.LocalEntryNotFoundError):
        return _not_cached(error, model)
    return _storage(error)


def _status(error: Exception) -> str:
    code = getattr(getattr(error, "response", None), "status_code", None)
    if code == 401 and "Invalid credentials" not in str(error):
        return _NOT_FOUND  # so the hub answers to those who are not logged in
    advice = {401: f"the hub does not accept your token; {_LOGIN}", 403: f"your token may not read it; {_LOGIN}"}
    advice |= {429: "the hub has had too many requests; wait a while"}
    if code in advice:
        return f"{advice[code]} (status {code})"
    if code is not None and code >= 500:
        return f"the hub is out of order (status {code}); try again later"
    return first_line(error)


def _not_cached(error: Exception, model: HubModel) -> str:
    """It could not be fetched and is not in the cache; the cause tells why it could not be fetched."""
    from huggingface_hub import constants, errors

    if isinstance(error.__cause__, Exception):
        return _reason(error.__cause__, model)
    return _reason(errors.OfflineModeIsEnabled(), model) if constants.HF_HUB_OFFLINE else first_line(error)


def _storage(error: Exception) -> str:
    from huggingface_hub import constants

    number = getattr(error, "errno", None)
    place = f"{constants.HF_HUB_CACHE}; set HF_HOME to another folder"
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"no space is left for the hub's cache in {place}"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return f"the hub's cache cannot be written in {place}"
    return first_line(error)
