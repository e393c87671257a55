"""Captions in any script, in lines of a width: letters that no font has are shown by their numbers, never as boxes."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from warnings import warn

from PIL import Image

from amused_edge.runtime.errors import AmusedEdgeWarning
from amused_edge.runtime.pictures.fonts import Face, installed_faces, own_face, shapes_text, steers

LINE = 14
"""Height of a line, in pixels."""

_BASELINE = 11
_MOST_LINES = 12

_FLAG = range(0x1F1E6, 0x1F200)
_SKIN = range(0x1F3FB, 0x1F400)


@dataclass(frozen=True)
class _Letter:
    """What belongs together on screen, and the font that has it."""

    text: str
    face: Face


class Captions:
    """The captions of a sheet, in lines.

    Parameters
    ----------
    texts
        One per picture. `AmusedEdgeWarning` says so if no font has some of their letters.
    width
        Pixels of a line.
    """

    def __init__(self, texts: Sequence[str], width: int) -> None:
        self._width = width
        self._fonts = _Fonts()
        self._lines = [self._wrapped(text) for text in texts]
        self._fonts.tell_of_missing()

    @property
    def height(self) -> int:
        """Pixels of the caption with the most lines."""
        return LINE * max((len(lines) for lines in self._lines), default=0)

    def draw(self, sheet: Image.Image, index: int, left: int, top: int) -> None:
        """Draw a picture's caption from this place on."""
        lines = self._lines[index]
        strip = Image.new("RGB", (self._width, max(1, self.height)), "white")  # nothing gets beyond it
        backwards = _right_to_left("".join(letter.text for line in lines for letter in line))
        for number, line in enumerate(lines):
            place = self._width - self._length(line, backwards) if backwards else 0.0
            runs = list(_runs(line))
            for text, face in reversed(runs) if backwards else runs:
                face.draw(strip, (place, number * LINE + _BASELINE), text, backwards)
                place += face.length(text, backwards)
        sheet.paste(strip, (left, top))

    def _wrapped(self, text: str) -> list[list[_Letter]]:
        backwards = _right_to_left(text)
        lines: list[list[_Letter]] = [[]]
        for word in self._words(text):
            if len(lines) > _MOST_LINES:
                break
            space = [self._fonts.space(lines[-1][-1].face)] if lines[-1] else []
            if self._length([*lines[-1], *space, *word], backwards) <= self._width:
                lines[-1] += [*space, *word]
                continue
            if self._length(word, backwards) <= self._width:
                lines.append(word)
                continue
            lines[-1] += space
            for letter in word:  # too long for any line
                if lines[-1] and self._length([*lines[-1], letter], backwards) > self._width:
                    lines.append([])
                lines[-1].append(letter)
        return self._cut(lines, backwards)

    def _cut(self, lines: list[list[_Letter]], backwards: bool) -> list[list[_Letter]]:
        """Leave out the lines that are too many, and say so by an ellipsis."""
        if len(lines) <= _MOST_LINES:
            return lines
        kept, dots = lines[:_MOST_LINES], self._fonts.letter("\u2026")
        while kept[-1] and self._length([*kept[-1], *dots], backwards) > self._width:
            kept[-1] = kept[-1][:-1]
        kept[-1] = [*kept[-1], *dots]
        return kept

    def _words(self, text: str) -> Iterator[list[_Letter]]:
        looked_at = text[: _MOST_LINES * self._width + 1]  # no letter is narrower than a pixel
        for word in unicodedata.normalize("NFC", looked_at).split():
            letters: list[_Letter] = []
            for cluster in _clusters(word):
                letters += self._fonts.letter(cluster, letters[-1].face if letters else None)
            if letters:
                yield letters

    def _length(self, line: Sequence[_Letter], backwards: bool) -> float:
        return sum(face.length(text, backwards) for text, face in _runs(line))


class _Fonts:
    """Pillow's own font, and those of this machine as far as they were needed."""

    def __init__(self) -> None:
        self._own = own_face()
        self._opened = [self._own]
        self._others = installed_faces()
        self._shapes = shapes_text()
        self._missing: dict[str, None] = {}

    def letter(self, cluster: str, last: Face | None = None) -> list[_Letter]:
        """Return a letter in the font of the one before, or the first that has it, or else as its numbers."""
        needs_shaping = any(unicodedata.bidirectional(character) in ("R", "AL") for character in cluster)
        face = None if needs_shaping and not self._shapes else self._face(cluster, last)
        if face is not None:
            return [_Letter(cluster, face)]
        self._missing.update(dict.fromkeys(character for character in cluster if not character.isascii()))
        return [_Letter(ascii(character)[1:-1], self._own) for character in cluster]

    def space(self, last: Face) -> _Letter:
        """Return what stands between words; the one of colour fonts is as wide as a picture."""
        return _Letter(" ", last if last.is_for_text else self._own)

    def _face(self, cluster: str, last: Face | None) -> Face | None:
        if last is not None and last.is_for_text and last.covers(cluster):
            return last
        for face in self._opened:
            if face.covers(cluster):
                return face
        for face in self._others:
            self._opened.append(face)
            if face.covers(cluster):
                return face
        return None

    def tell_of_missing(self) -> None:
        """Warn of letters that no font has."""
        if not self._missing:
            return
        named = ", ".join(f"U+{ord(character):04X}" for character in list(self._missing)[:5])
        more = f" and {len(self._missing) - 5} more" if len(self._missing) > 5 else ""
        shaping = "" if self._shapes else " (right-to-left text also needs a Pillow with Raqm)"
        warn(
            f"no font here has {named}{more}; captions show the numbers instead; install one, "
            f"such as Noto Sans, Noto Sans CJK or Noto Color Emoji{shaping}",
            AmusedEdgeWarning,
            stacklevel=2,
        )


def _runs(line: Sequence[_Letter]) -> Iterator[tuple[str, Face]]:
    """Yield what stands together in one font."""
    start = 0
    for end in range(1, len(line) + 1):
        if end == len(line) or line[end].face is not line[start].face:
            yield "".join(letter.text for letter in line[start:end]), line[start].face
            start = end


def _clusters(word: str) -> Iterator[str]:
    """Yield letters with the marks and joiners that belong to them."""
    cluster = ""
    for character in word:
        if cluster and not _belongs(cluster, character):
            yield cluster
            cluster = ""
        cluster += character
    yield cluster


def _belongs(cluster: str, character: str) -> bool:
    flag = len(cluster) == 1 and ord(cluster) in _FLAG and ord(character) in _FLAG
    mark = unicodedata.category(character).startswith("M") or steers(character) or ord(character) in _SKIN
    return flag or mark or cluster.endswith("\u200d")


def _right_to_left(text: str) -> bool:
    """Whether the first letter that has a direction goes from right to left."""
    directions = (unicodedata.bidirectional(character) for character in text)
    return next((direction in ("R", "AL") for direction in directions if direction in ("L", "R", "AL")), False)
