"""The card's file, README.md of a bundle: written anew, and never over what a person wrote."""

from pathlib import Path

from amused_edge.runtime.bundle.card.text import CARD_NAME, card_bytes, is_untouched
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.errors import BundleError, OutputExistsError, quoted
from amused_edge.runtime.system.whole_file import whole_file


def read_card(bundle: Bundle) -> str | None:
    """Return the text of a bundle's card with the line ends that it has; None if it has none.

    Raises
    ------
    BundleError
        It cannot be read.
    """
    path = bundle.path / CARD_NAME
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BundleError(f"cannot read {path} ({error}); repair or remove it") from error


def write_card(bundle: Bundle, place: str | None = None, *, force: bool = False) -> Path:
    """Write the card of a bundle from its manifest, in the place of an older one that nobody edited.

    Parameters
    ----------
    place
        Its id on the hub, for the listings.
    force
        Also in the place of an edited one.

    Raises
    ------
    OutputExistsError
        The card was edited.
    BundleError, AmusedEdgeError
        It cannot be read, or written.
    """
    path = bundle.path / CARD_NAME
    if bundle.origin is not None or bundle.links or path.is_symlink():
        raise BundleError(
            f"{quoted(str(path))} lies in the hub's cache, whose files are the hub's; make a copy of the bundle first, "
            "or print the card"
        )
    there = read_card(bundle)
    if there is not None and not force and not is_untouched(there):
        raise OutputExistsError(f"{path} was edited; to write it anew all the same, ask for it with --force")
    with whole_file(path, replace=True) as file:
        file.write(card_bytes(bundle.manifest, place))
    return path
