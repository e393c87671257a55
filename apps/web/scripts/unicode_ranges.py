"""Writes src/drawing/unicode-ranges.ts: which characters the tokenizers library takes for letters and for numbers.

Engines of JavaScript know other versions of Unicode, and old ones have no such classes in regular expressions:

    python apps/web/scripts/unicode_ranges.py > apps/web/src/drawing/unicode-ranges.ts
"""

from tokenizers import Regex, __version__
from tokenizers.normalizers import Replace

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_SURROGATES = range(0xD800, 0xE000)
_WIDTH = 100


def members(pattern: str) -> list[int]:
    """Return the code points that a pattern of one character matches."""
    remove = Replace(Regex(pattern), "")
    return [code for code in range(0x110000) if code not in _SURROGATES and not remove.normalize_str(chr(code))]


def runs(codes: list[int]) -> list[int]:
    """Return lengths in turn: of what lies before a run of code points, and of the run."""
    lengths, at = [], 0
    for code in codes:
        if not lengths or code != at:
            lengths += [code - at, 0]
        lengths[-1] += 1
        at = code + 1
    return lengths


def base36(value: int) -> str:
    """Return a number as JavaScript's `toString(36)` does."""
    return (base36(value // 36) if value >= 36 else "") + _DIGITS[value % 36]


def constant(name: str, pattern: str) -> str:
    """Return the declaration of a class's runs."""
    text = " ".join(map(base36, runs(members(pattern))))
    lines, at = [], 0
    while at < len(text):
        lines.append(f'  "{text[at : at + _WIDTH]}"')
        at += _WIDTH
    if len(lines) == 1:
        return f"export const {name} = {lines[0].strip()};\n"
    return f"export const {name} =\n" + " +\n".join(lines) + ";\n"


if __name__ == "__main__":
    print(
        "/**\n * Lengths of runs of characters, in base 36: of what is not in the class, of what is, and so on.\n *\n"
        f" * Made from tokenizers {__version__} by scripts/unicode_ranges.py.\n */\n"
    )
    print("/** What `\\p{L}` matches. */\n" + constant("LETTERS", r"\p{L}"))
    print("/** What `\\p{N}` matches. */\n" + constant("NUMBERS", r"\p{N}"), end="")
