"""Files sent to a repository, in one commit: whoever downloads meanwhile gets all of it or nothing of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amused_edge.runtime.errors import HubError, one_line
from amused_edge.runtime.hub.address import HubAddress
from amused_edge.runtime.hub.hashes import content_hash
from amused_edge.runtime.hub.progress import no_bar
from amused_edge.runtime.hub.refusals import LOGIN, reason

_CHANGED = (409, 412)


@dataclass(frozen=True)
class Remote:
    """A repository before anything is sent.

    Attributes
    ----------
    exists, private
        Whether the hub has it, and whether only its owner sees it.
    commit
        The newest of the revision; None where that is not there yet.
    files
        Place -> what the hub says of its content, see `hashes`.
    """

    address: HubAddress
    exists: bool = False
    private: bool = False
    commit: str | None = None
    files: dict[str, str] = field(default_factory=dict)

    def has(self, place: str, content: Path | bytes) -> bool:
        """Return whether a file is there as it is here."""
        there = self.files.get(place)
        return there is not None and there == content_hash(content, there)

    def read(self, place: str) -> str | None:
        """Return the text of a file; None if there is none, or it is no text.

        Raises
        ------
        HubError
            The hub does not give it.
        """
        if place not in self.files:
            return None
        import huggingface_hub

        with _explained(self.address, "reading"):
            file = huggingface_hub.hf_hub_download(
                self.address.repository, place, revision=self.commit, tqdm_class=no_bar()
            )
        return Path(file).read_text(encoding="utf-8", errors="replace")


def look(address: HubAddress) -> Remote:
    """Ask the hub what it has of a repository; changes nothing.

    Raises
    ------
    HubError
        huggingface_hub is not installed, or the hub does not say.
    """
    api = _api(address)
    from huggingface_hub import errors

    with _explained(address, "looking for"):
        try:
            info = api.model_info(address.repository, revision=address.revision, files_metadata=True)
        except errors.RevisionNotFoundError:
            whole = api.model_info(address.repository)
            return Remote(address, exists=True, private=bool(whole.private))
        except errors.GatedRepoError:
            raise
        except errors.RepositoryNotFoundError:
            return Remote(address)
    files = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id or "" for file in info.siblings or ()}
    return Remote(address, True, bool(info.private), info.sha, files)


def send(
    remote: Remote, files: Mapping[str, Path | bytes], removed: Sequence[str], message: str, *, private: bool
) -> str:
    """Send files and remove others, in one commit; return the address of its page.

    The repository and the branch are made where they are not there yet. What arrived before an interruption is kept by
    the hub, and not sent again.

    Parameters
    ----------
    files
        Place in the repository -> the file here, or its content.
    private
        For a repository that is made now.

    Raises
    ------
    HubError
        The hub does not take it, or somebody else changed the repository meanwhile.
    """
    api, address = _api(remote.address), remote.address
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    added = [CommitOperationAdd(place, str(file) if isinstance(file, Path) else file) for place, file in files.items()]
    with _explained(address, "sending to"):
        if not remote.exists:
            api.create_repo(address.repository, private=private or None)
        if remote.commit is None and address.revision:
            api.create_branch(address.repository, branch=address.revision, exist_ok=True)
        made = api.create_commit(
            address.repository,
            [*added, *(CommitOperationDelete(place) for place in removed)],
            commit_message=message,
            revision=address.revision,
            parent_commit=remote.commit,
        )
    return str(made.commit_url)


def check_token(address: HubAddress) -> None:
    """Raise `HubError` where nobody is logged in: tokens come from the hub's own login, or HF_TOKEN."""
    _api(address)
    import huggingface_hub

    if not huggingface_hub.get_token():
        raise HubError(f"nothing can be sent to {address.repository} without a token that may write; {LOGIN}")


@contextmanager
def quiet_uploads() -> Iterator[None]:
    """Show no bars of the hub's library while the block lasts, unless its variable has decided otherwise."""
    from huggingface_hub import constants, utils

    if constants.HF_HUB_DISABLE_PROGRESS_BARS is not None or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()


def _api(address: HubAddress) -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise HubError(
            f"to reach {address.repository} on the hub huggingface_hub is needed: pip install 'amused-edge[hub]'"
        ) from error
    return huggingface_hub.HfApi()


@contextmanager
def _explained(address: HubAddress, doing: str) -> Iterator[None]:
    try:
        yield
    except HubError:
        raise
    except Exception as error:  # network, permissions, metadata: the library has many
        raise HubError(f"{doing} {address} on the hub failed: {_refusal(error, address)}") from error


def _refusal(error: Exception, address: HubAddress) -> str:
    from huggingface_hub import constants, errors

    code = getattr(getattr(error, "response", None), "status_code", None)
    said = one_line(str(getattr(error, "server_message", None) or ""))
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids it; unset it"
    if code in _CHANGED:
        return f"somebody changed it meanwhile, or it is being changed; push again ({said or code})"
    if code == 403 and not isinstance(error, errors.GatedRepoError | errors.DisabledRepoError):
        token = f"{constants.ENDPOINT}/settings/tokens"
        return f"your token may not do that ({said or code}); take one that may write, from {token}"
    if isinstance(error, ValueError) and not isinstance(error, errors.HFValidationError | errors.HfHubHTTPError):
        return f"{one_line(str(error))}; correct README.md"
    return reason(error, address)
