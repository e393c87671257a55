"""Captions of sheets: any script, never a box for a letter, never into the neighbour's place."""

import struct
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, features

from amused_edge.runtime import AmusedEdgeWarning
from amused_edge.runtime.pictures import contact_sheet, fonts
from amused_edge.runtime.pictures.captions import LINE

GAP, SIDE = 6, 64


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """All fonts that this machine has: none yet."""
    monkeypatch.setattr(fonts, "_folders", lambda: (tmp_path,))
    fonts._files.cache_clear()
    yield tmp_path
    fonts._files.cache_clear()


def below(*captions: str, side: int = SIDE) -> Any:
    """The pixels below the pictures, which stand in one row."""
    images = [np.zeros((side, side, 3), np.uint8)] * len(captions)
    return contact_sheet(images, len(captions), captions=captions)[GAP + side :]


def font_with(path: Path, glyphs: dict[str, int]) -> Path:
    """Write Pillow's own font with another table of which letter has which glyph."""
    own = ImageFont.load_default(10)
    assert isinstance(own, ImageFont.FreeTypeFont)
    content = own.font_bytes
    tables = [
        struct.unpack_from(">4sIII", content, 12 + 16 * i) for i in range(struct.unpack_from(">H", content, 4)[0])
    ]
    pairs = sorted((ord(letter), glyph) for letter, glyph in glyphs.items())
    groups = b"".join(struct.pack(">III", code, code, glyph) for code, glyph in pairs)
    letters = struct.pack(">HHHHI", 0, 1, 3, 10, 12)
    letters += struct.pack(">HHIII", 12, 0, 16 + len(groups), 0, len(pairs)) + groups
    head, body = content[:12], b""
    for name, checksum, offset, length in tables:
        table = letters if name == b"cmap" else content[offset : offset + length]
        head += struct.pack(">4sIII", name, checksum, 12 + 16 * len(tables) + len(body), len(table))
        body += table + bytes(-len(table) % 4)
    path.write_bytes(head + body)
    return path


def drawn(text: str, font: ImageFont.FreeTypeFont, left: float = 0.0) -> Any:
    """A caption of one line as Pillow draws its text."""
    image = Image.new("RGB", (SIDE, LINE), "white")
    ImageDraw.Draw(image).text((left, 11), text, "black", font, anchor="ls")
    return np.asarray(image)


@pytest.mark.parametrize(
    "text",
    ["\u72d0", "F\xfcchslein", "\u062b\u0639\u0644\u0628", "\U0001f98a", "a\u0928\u094d", "\x01", "\ud800", "\0"],
)
@pytest.mark.usefixtures("folder")
def test_letters_without_a_font_are_shown_by_their_numbers(text: str, recwarn: pytest.WarningsRecorder) -> None:
    """They were boxes, all alike."""
    assert np.array_equal(below(text, side=256), below(ascii(text)[1:-1], side=256))
    missing = [f"U+{ord(letter):04X}" for letter in text if not letter.isascii()]
    notes = [str(warning.message) for warning in recwarn if warning.category is AmusedEdgeWarning]
    assert len(notes) == min(1, len(missing))
    assert all(name in notes[0] for name in missing)


def test_a_font_of_this_machine_is_taken_for_letters_that_it_has(folder: Path) -> None:
    (folder / "Damaged-Sans.ttf").write_bytes(b"no font")
    path = font_with(folder / "New.ttf", {"\u72d0": 7, "A": 7})
    expected = drawn("A", ImageFont.truetype(path, 10))
    assert (expected < 128).any()
    assert np.array_equal(below("\u72d0")[:LINE, GAP : GAP + SIDE], expected)


def test_folders_of_fonts_that_may_not_be_read_are_passed_by(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home of another user, in a container; raised here, since root may read everything."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    font_with(folder / "New.ttf", {"\u72d0": 7})
    monkeypatch.setattr("os.scandir", refuse)
    with pytest.warns(AmusedEdgeWarning, match=r"no font here has U\+72D0"):
        below("\u72d0")


def test_plain_letters_stay_in_pillows_own_font(folder: Path) -> None:
    font_with(folder / "New.ttf", {"a": 7})
    own = ImageFont.load_default(10)
    assert isinstance(own, ImageFont.FreeTypeFont)
    assert np.array_equal(below("a fox")[:LINE, GAP : GAP + SIDE], drawn("a fox", own))


ALEPH, BETH = "\u05d0", "\u05d1"


def test_right_to_left_begins_at_the_right(folder: Path) -> None:
    font = ImageFont.truetype(font_with(folder / "New.ttf", {ALEPH: 7, BETH: 12, "A": 7, "B": 12}), 10)
    if not features.check("raqm"):
        with pytest.warns(AmusedEdgeWarning, match="Raqm"):
            assert np.array_equal(below(ALEPH + BETH), below(r"\u05d0\u05d1"))
        return
    expected = drawn("BA", font, SIDE - font.getlength("BA"))
    assert np.array_equal(below(ALEPH + BETH)[:LINE, GAP : GAP + SIDE], expected)


def test_without_a_shaper_right_to_left_is_shown_by_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be written backwards."""
    font_with(folder / "New.ttf", {ALEPH: 7, BETH: 12})
    monkeypatch.setattr("amused_edge.runtime.pictures.captions.shapes_text", lambda: False)
    with pytest.warns(AmusedEdgeWarning, match="a Pillow with Raqm"):
        found = below(ALEPH + BETH, side=128)
    assert np.array_equal(found, below(r"\u05d0\u05d1", side=128))


def test_fonts_of_one_large_size_are_drawn_small(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colour emoji are pictures of 109 or 160 pixels."""
    font_with(folder / "Emoji.ttf", {"\U0001f98a": 7})
    truetype = ImageFont.truetype

    def only_large(path: Any, size: int) -> Any:
        if size < 100:
            raise OSError("invalid pixel size")
        return truetype(path, size)

    own = fonts.own_face()
    monkeypatch.setattr("amused_edge.runtime.pictures.captions.own_face", lambda: own)

    monkeypatch.setattr(ImageFont, "truetype", only_large)
    ink = (below("\U0001f98a") < 128).any(axis=2)
    rows, columns = np.nonzero(ink)
    assert 4 <= np.ptp(rows) <= LINE
    assert 3 <= np.ptp(columns) <= LINE
    assert columns.max() < GAP + LINE + 4


@pytest.mark.parametrize("word", ["W" * 100, "\u72d0" * 60, "i" * 500, "Wi " * 90])
@pytest.mark.filterwarnings("ignore::amused_edge.runtime.AmusedEdgeWarning")
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("side", [5, 64])
def test_long_words_stay_below_their_picture(word: str, side: int) -> None:
    """Letters wider than the average ran into the next picture's caption."""
    found = below("", word, "", side=side)
    inside = np.zeros(found.shape[1], bool)
    inside[2 * GAP + side : 2 * (GAP + side)] = True
    assert (found[:, ~inside] == 255).all()
    assert (found[:, inside] < 200).any()


@pytest.mark.usefixtures("folder")
def test_a_caption_without_end_is_cut_off() -> None:
    for text in ("fox " * 750_000, "x" * 3_000_000):
        found = below(text)
        assert found.shape[0] == 12 * LINE + GAP
        assert not np.array_equal(found, below(text[:100])), "the last line ends in an ellipsis"


@pytest.mark.usefixtures("folder")
def test_marks_of_direction_are_not_drawn() -> None:
    assert np.array_equal(below("\u202ea fox\u200b"), below("a fox"))


@pytest.mark.usefixtures("folder")
def test_letters_of_two_parts_are_put_together_first() -> None:
    parts = unicodedata.normalize("NFD", "\xe9")
    with pytest.warns(AmusedEdgeWarning, match=r"no font here has U\+00E9;"):
        assert np.array_equal(below(parts), below(r"\xe9"))
