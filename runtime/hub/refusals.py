"""What the errors of huggingface_hub mean, in one line, and what to do."""

import errno
from typing import Any

from amused_edge.runtime.errors import first_line, quoted
from amused_edge.runtime.hub.address import HubAddress

LOGIN = "log in with `hf auth login`, or set HF_TOKEN"
_NOT_FOUND = f"the hub has no such model, or it is private; check the spelling, or, for a private one, {LOGIN}"


def reason(error: Exception, address: HubAddress) -> str:
    """Say in one line what an error of the hub's library means for a repository, and what to do."""
    from huggingface_hub import errors

    page = address.page
    meanings = (  # a class stands before those that it derives from
        (errors.GatedRepoError, f"its owner gives access on request; ask for it at {page}, then {LOGIN}"),
        (errors.RepositoryNotFoundError, _NOT_FOUND),
        (errors.RevisionNotFoundError, f"it has no revision {quoted(address.revision or 'main')}; see {page}"),
        (errors.DisabledRepoError, f"the hub has disabled it; see {page}"),
        (
            errors.OfflineModeIsEnabled,
            "it is not wholly in the cache, and HF_HUB_OFFLINE forbids asking the hub; unset it, or give a folder",
        ),
        (errors.HFValidationError, f"it is no valid hub id ({first_line(error)})"),
        (errors.RemoteEntryNotFoundError, "its repository has no such file; tell its owner"),
        (errors.HfHubHTTPError, _status(error)),
        (errors.HTTPError, f"the hub cannot be reached ({first_line(error)}); check the network"),
    )
    for kind, text in meanings:
        if isinstance(error, kind):
            return text
    if isinstance(error, errors.LocalEntryNotFoundError):
        return _not_cached(error, address)
    return _storage(error)


def _status(error: Exception) -> str:
    response: Any = getattr(error, "response", None)
    code = getattr(response, "status_code", None)
    if code == 401 and "Invalid credentials" not in str(error):
        return _NOT_FOUND  # so the hub answers to those who are not logged in
    advice = {401: f"the hub does not accept your token; {LOGIN}", 403: f"your token may not read it; {LOGIN}"}
    advice |= {429: "the hub has had too many requests; wait a while"}
    if code in advice:
        return f"{advice[code]} (status {code})"
    if code is not None and code >= 500:
        return f"the hub is out of order (status {code}); try again later"
    return first_line(error)


def _not_cached(error: Exception, address: HubAddress) -> str:
    """It could not be fetched and is not in the cache; the cause tells why it could not be fetched."""
    from huggingface_hub import constants, errors

    if isinstance(error.__cause__, Exception):
        return reason(error.__cause__, address)
    return reason(errors.OfflineModeIsEnabled(), address) if constants.HF_HUB_OFFLINE else first_line(error)


def _storage(error: Exception) -> str:
    from huggingface_hub import constants

    number = getattr(error, "errno", None)
    place = f"{constants.HF_HUB_CACHE}; set HF_HOME to another folder"
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"no space is left for the hub's cache in {place}"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return f"the hub's cache cannot be written in {place}"
    return first_line(error)
