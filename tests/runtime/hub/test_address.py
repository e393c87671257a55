"""What names a place on the hub, and what is a path all the same."""

from pathlib import Path

import pytest

from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.hub.address import HubAddress, address_unless_here, parse_address

ID = "owner/name"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ID, HubAddress(ID)),
        ("owner/name/", HubAddress(ID)),
        ("owner/name@v1", HubAddress(ID, revision="v1")),
        ("owner/name@refs/pr/1", HubAddress(ID, revision="refs/pr/1")),
        ("owner/name/w8", HubAddress(ID, "w8")),
        ("owner/name/onnx/w8@feature/x", HubAddress(ID, "onnx/w8", "feature/x")),
        ("https://huggingface.co/owner/name", HubAddress(ID)),
        ("https://huggingface.co/owner/name/tree/main/onnx/w8", HubAddress(ID, "onnx/w8", "main")),
        ("https://huggingface.co/owner/name/blob/v1/w8/manifest.json", HubAddress(ID, "w8", "v1")),
        ("https://huggingface.co/owner/name/discussions/3", HubAddress(ID)),
        ("hf.co/owner/name/tree/refs%2Fpr%2F1", HubAddress(ID, revision="refs/pr/1")),
        ("hf://owner/name@v1/w8", HubAddress(ID, "w8", "v1")),
        ("name", None),
        ("", None),
        ("./owner/name", None),
        ("../owner/name", None),
        ("/owner/name", None),
        ("owner/..", None),
        ("owner/name/../other", None),
        ("~/name", None),
        ("C:/owner/name", None),
        ("owner\\name", None),
        ("bücher/name", None),
        ("owner/a name", None),
        ("owner/name@", None),
    ],
)
def test_what_names_a_place(
    text: str, expected: HubAddress | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_address(text) == expected
    if not text.startswith("./"):  # which a path forgets, as it does the second slash behind a scheme
        assert address_unless_here(Path(text)) == expected


@pytest.mark.parametrize("address", [HubAddress(ID), HubAddress(ID, "a/b"), HubAddress(ID, "w8", "refs/pr/1")], ids=str)
def test_an_address_is_read_as_it_is_shown(address: HubAddress) -> None:
    assert parse_address(str(address)) == address
    assert address.name == ("name" if not address.folder else address.folder.split("/")[-1])


@pytest.mark.parametrize(
    "address",
    [
        *("https://example.com/a/b", "hf://datasets/a/b", "https://huggingface.co/owner"),
        *("https:/[huggingface.co/owner/name", "https://[::1/owner/name", "hf://[v1.a]x/name"),
    ],
)
def test_addresses_of_something_else_are_refused(address: str) -> None:
    with pytest.raises(OptionsError, match=r"is no address of the Hugging Face hub|is the address of"):
        parse_address(address)


def test_what_is_here_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    (tmp_path / "owner" / "file").write_text("")
    (tmp_path / "owner" / "link").symlink_to("nowhere")
    for name in ("owner/name", "owner/file", "owner/link", "owner/name/absent", "owner/misspelt"):
        assert address_unless_here(name) is None
    for address in ("hf://owner/name", Path("hf://owner/name"), "https://hf.co/owner/name"):
        assert address_unless_here(address) == HubAddress(ID)
