"""A bundle sent to the Hugging Face hub: what will be sent is known, and shown, before anything is."""

from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.card.file import read_card
from amused_edge.runtime.bundle.card.text import CARD_NAME, card_bytes, is_untouched, root_card_bytes
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import MANIFEST_NAME, Manifest
from amused_edge.runtime.errors import BundleError, HubError, OptionsError, quoted
from amused_edge.runtime.hub.address import HubAddress, parse_address
from amused_edge.runtime.hub.upload import Remote, check_token, look, send

Card = Literal["bundle", "hub"]
"""Whose README.md stays, where both were edited."""


@dataclass(frozen=True)
class PushPlan:
    """What a push will do.

    Attributes
    ----------
    remote
        The repository as it is.
    private
        Whether it is made private; of one that is there, None.
    sent
        Place in the repository -> file or content: what is not there as it is here.
    present
        How many files are there already.
    removed
        What the bundle that was there had, and this one has not.
    notes
        What a person should know before.
    """

    remote: Remote
    private: bool | None
    sent: dict[str, Path | bytes]
    present: int
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def sizes(self) -> dict[str, int]:
        """Place -> bytes that are sent."""
        return {
            place: len(file) if isinstance(file, bytes) else file.stat().st_size for place, file in self.sent.items()
        }


def plan_push(
    bundle: Bundle, target: str, *, revision: str | None = None, private: bool = False, card: Card | None = None
) -> PushPlan:
    """Verify a bundle and ask the hub what it has of it; nothing is sent or changed.

    Parameters
    ----------
    target
        "owner/name", or "owner/name/folder" for one of several bundles in a repository.
    revision
        A branch; None is the main one. It is made where it is not there.
    private
        Make the repository private.
    card
        Whose README.md stays where both were edited.

    Raises
    ------
    OptionsError
        The target is no hub id; the repository is there and public, and was to be private; or README.md was edited
        here and there, and `card` does not say which stays.
    BundleError, HubError
        The bundle is damaged; the hub does not answer.
    """
    address = _address(target, revision)
    verification.verify(bundle)
    remote = look(address)
    if private and remote.exists and not remote.private:
        raise OptionsError(
            f"{address.repository} is there and public; --private is for a new repository: make this one private on "
            "its page first, or choose another name"
        )
    files = {address.place(entry.path): bundle.file(entry) for entry in bundle.manifest.all_files()}
    files[address.place(MANIFEST_NAME)] = bundle.path / MANIFEST_NAME
    cards, notes = _cards(bundle, remote, card)
    everything: dict[str, Path | bytes] = {**files, **cards}
    sent = {place: file for place, file in everything.items() if not remote.has(place, file)}
    made_private = None if remote.exists else private
    return PushPlan(remote, made_private, sent, len(everything) - len(sent), _outdated(remote, set(files)), notes)


def push(plan: PushPlan) -> str:
    """Do what a plan says, in one commit; return the address of its page.

    Raises
    ------
    HubError
        Nobody is logged in, or the hub does not take all of it.
    """
    address = plan.remote.address
    check_token(address)
    if not plan.sent and not plan.removed:
        return address.page
    message = f"A bundle by amused-edge {version('amused-edge')}{f': {address.folder}' if address.folder else ''}"
    page = send(plan.remote, plan.sent, plan.removed, message, private=bool(plan.private))
    if lacking := sorted(set(plan.sent) - set(look(address).files)):
        raise HubError(f"{address} took the files but for {lacking[0]}; does its .gitignore name it? correct that")
    return page


def _address(target: str, revision: str | None) -> HubAddress:
    address = parse_address(target)
    if address is None:
        raise OptionsError(f"{quoted(target)} is no hub id; give OWNER/NAME, or OWNER/NAME/FOLDER")
    if revision is None:
        return address
    if address.revision:
        raise OptionsError(f"{quoted(target)} names a revision, and --revision {quoted(revision)} too; give one")
    return replace(address, revision=revision)


def _cards(bundle: Bundle, remote: Remote, choice: Card | None) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the cards to send, and notes on them. What a person wrote, here or there, is not lost unasked."""
    address = remote.address
    place = address.place(CARD_NAME)
    here, there = read_card(bundle), remote.read(place)
    if here is None or is_untouched(here):
        ours, edited_here = card_bytes(bundle.manifest, str(replace(address, revision=None))), False
    else:
        ours, edited_here = here.encode(), True
    edited_there = there is not None and not is_untouched(there) and not remote.has(place, ours)
    if edited_here and edited_there and choice is None:
        raise OptionsError(f"{place} was edited here and on the hub; say whose stays: --card bundle, or --card hub")
    stays = there is not None and (choice == "hub" or (edited_there and choice is None))
    cards = {} if stays else {place: ours}
    if address.folder and CARD_NAME not in remote.files:
        cards[CARD_NAME] = root_card_bytes(bundle.manifest, address.repository)
    note = f"{place} was edited on the hub, and stays; --card bundle replaces it"
    return cards, (note,) if stays and choice is None else ()


def _outdated(remote: Remote, files: set[str]) -> tuple[str, ...]:
    """Return the files that only the bundle that was in the same place had."""
    text = remote.read(remote.address.place(MANIFEST_NAME))
    try:
        former = Manifest.from_json(text) if text is not None else None
    except BundleError:  # not ours to judge, nor to remove
        return ()
    if former is None:
        return ()
    places = {remote.address.place(entry.path) for entry in former.all_files()}
    return tuple(sorted((places - files) & set(remote.files)))
