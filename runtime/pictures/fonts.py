"""Fonts for captions: Pillow's own for plain letters, and for all others what this machine has installed."""

import os
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, features

from amused_edge.runtime.checks import present

SIZE = 10
"""Of letters, in pixels."""

_BITMAP_SIZES = (109, 160)
"""The only ones of the usual colour emoji."""

_UNUSUAL = ("bold", "italic", "oblique", "light", "black", "thin", "condensed", "mono", "serif", "medium")
"""Words in the names of fonts that come last."""

_NOWHERE = "\U0010ffff"
"""A code point that no font has."""


class Face:
    """A font at the size of captions.

    Parameters
    ----------
    font
        From Pillow.
    scale
        Of what it draws to the size of captions.
    """

    def __init__(self, font: ImageFont.FreeTypeFont, scale: float = 1.0) -> None:
        self._font = font
        self._scale = scale
        self._missing = self._shape(_NOWHERE)
        self._known: dict[str, bool] = {}
        self.is_for_text = scale == 1.0

    def covers(self, letters: str) -> bool:
        """Whether it has all of some letters; those that only steer others count as there."""
        return all(map(self._has, letters))

    def _has(self, letter: str) -> bool:
        if letter not in self._known:
            self._known[letter] = letter == " " or steers(letter) or self._shows(letter)
        return self._known[letter]

    def _shows(self, letter: str) -> bool:
        try:
            shape = self._shape(letter)
        except (OSError, ValueError):  # a damaged glyph
            return False
        return shape != self._missing and any(shape[1])

    def _shape(self, letter: str) -> tuple[tuple[int, int], bytes]:
        mask = self._font.getmask(letter, mode="L")
        return mask.size, bytes(mask)

    def length(self, text: str, right_to_left: bool) -> float:
        """Return the width of a text in pixels."""
        return self._font.getlength(self._drawn(text), direction=self._direction(right_to_left)) * self._scale

    def draw(self, sheet: Image.Image, place: tuple[float, float], text: str, right_to_left: bool) -> None:
        """Draw a text in black, or its own colours, from the left end of its baseline."""
        text, direction = self._drawn(text), self._direction(right_to_left)
        if self.is_for_text:
            ImageDraw.Draw(sheet).text(place, text, "black", self._font, anchor="ls", direction=direction)
            return
        left, top, right, bottom = self._font.getbbox(text, anchor="ls", direction=direction)
        large = Image.new("RGBA", (max(1, round(right - left)), max(1, round(bottom - top))))
        ImageDraw.Draw(large).text(
            (-left, -top), text, "black", self._font, anchor="ls", direction=direction, embedded_color=True
        )
        size = tuple(max(1, round(side * self._scale)) for side in large.size)
        small = large.resize((size[0], size[1]), Image.Resampling.BOX)
        corner = (round(place[0] + left * self._scale), round(place[1] + top * self._scale))
        sheet.paste(small, corner, small)

    def _drawn(self, text: str) -> str:
        """Leave out what only steers, where it would be drawn as a letter."""
        if self._font.layout_engine == ImageFont.Layout.RAQM:
            return text
        return "".join(letter for letter in text if not steers(letter))

    def _direction(self, right_to_left: bool) -> str | None:
        if self._font.layout_engine != ImageFont.Layout.RAQM:
            return None
        return "rtl" if right_to_left else "ltr"


def shapes_text() -> bool:
    """Whether this Pillow can join letters and write from right to left."""
    return bool(features.check("raqm"))


def steers(letter: str) -> bool:
    """Whether a letter only says how others are to look: joiners, marks of direction, variation selectors."""
    return unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f"


def own_face() -> Face:
    """Return Pillow's own font, which has little more than ASCII."""
    font = ImageFont.load_default(SIZE)
    return Face(present(font if isinstance(font, ImageFont.FreeTypeFont) else None, "Pillow's own font with sizes"))


def installed_faces() -> Iterator[Face]:
    """Yield the fonts of this machine that can be read, plain ones first."""
    for path in _files():
        for size in (SIZE, *_BITMAP_SIZES):
            try:
                yield Face(ImageFont.truetype(path, size), 1.0 if size == SIZE else 1.2 * SIZE / size)
            except (OSError, ValueError):  # damaged, or without this size
                continue
            break


@cache
def _files() -> tuple[Path, ...]:
    files = [
        Path(place, name)
        for folder in _folders()
        for place, _, names in os.walk(folder)  # goes by what may not be read
        for name in names
        if name.lower().endswith((".ttf", ".otf", ".ttc"))
    ]
    usual = [file for file in files if "lastresort" not in file.name.lower()]  # draws boxes for all there is
    return tuple(sorted(usual, key=_unusualness))


def _unusualness(file: Path) -> tuple[int, bool, str]:
    name = file.name.lower()
    return sum(word in name for word in _UNUSUAL), "sans" not in name, str(file)


def _folders() -> tuple[Path, ...]:
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        own = Path(os.environ.get("LOCALAPPDATA", home)) / "Microsoft" / "Windows" / "Fonts"
        return (Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts", own)
    if sys.platform == "darwin":
        return (Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts")
    own = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "fonts"
    return (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), own, home / ".fonts")
