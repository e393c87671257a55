"""Strings that tokenizers stumble over."""

import random
import unicodedata

# name: (first, last) code point
BLOCKS = {
    "ascii": (0x20, 0x7E),
    "latin": (0xC0, 0x24F),
    "greek": (0x370, 0x3FF),
    "cyrillic": (0x400, 0x4FF),
    "hebrew": (0x590, 0x5FF),
    "arabic": (0x600, 0x6FF),
    "devanagari": (0x900, 0x97F),
    "thai": (0xE00, 0xE7F),
    "hangul": (0xAC00, 0xB000),
    "kana": (0x3040, 0x30FF),
    "cjk": (0x4E00, 0x9FFF),
    "cjk-b": (0x20000, 0x2A6DF),
    "punctuation": (0x2000, 0x206F),
    "maths": (0x1D400, 0x1D7FF),
    "emoji": (0x1F300, 0x1F5FF),
    "private": (0xE000, 0xE0FF),
    "tags": (0xE0000, 0xE007F),
    "controls": (0x00, 0x1F),
    "controls-1": (0x7F, 0x9F),
    "combining": (0x300, 0x36F),
    "fullwidth": (0xFF00, 0xFFEF),
    "last plane": (0x10FF00, 0x10FFFF),
}


HAND_PICKED = [
    "",
    " ",
    "   \t \n\r\f\v ",
    "\u00a0\u2003\u3000",
    "a red fox on a blue background",
    "A RED FOX, on a BLUE background!",
    "  leading and trailing  ",
    "double  space\tand\ttabs",
    "don't can't we'll they've I'm you're he'd it's",
    "DON'T 'S 'T",
    "1234567890 3.14 1e-6 0x1F",
    "hello,world;(really)[yes]{no}<ok>",
    "!!! ... ??? ---",
    "<|startoftext|>",
    "<|endoftext|>",
    "a <|endoftext|> fox",
    "<|startoftext|>fox<|endoftext|>",
    "< |endoftext| >",
    "<|ENDOFTEXT|>",
    "word " * 100,
    "x" * 500,
    "fox, " * 74,
    "a " * 75,
    "a " * 76,
    "é" * 200,
    "日本語のきつね",
    "红色的狐狸在蓝色背景上",
    "ثعلب أحمر على خلفية زرقاء",
    "จิ้งจอกสีแดงบนพื้นหลังสีน้ำเงิน",
    "שועל אדום",
    "파란 배경의 빨간 여우",
    "🦊",
    "👨‍👩‍👧‍👦 family",
    "🏳️‍🌈🏴‍☠️",
    "🇩🇪🇫🇷🇯🇵",
    "👋🏽 wave",
    "café naïve Ångström",
    unicodedata.normalize("NFD", "café naïve Ångström"),
    "ﬁne ligature",
    "ẞ ß İ ı",
    "Ⅷ ½ ²",
    "a\u0000b",
    "a\u200bb\u200dc\ufeffd",
    "\u202eright to left\u202c",
    "a\nb\r\nc",
    "\ufffd",
    "\U0010ffff",
    "ö" + "\u0308" * 50,
]


_LONG_ASSIGNED = range(0x1F300, 0x1F600)
"""Pictographs that Unicode has had since 9.0."""


def odd_strings() -> list[str]:
    """Return the hand-picked strings and seeded random ones: one alphabet each, then mixtures.

    The random ones keep to code points that Unicode has had since 3.2, will never assign, or has had for ten years, so
    that the ids do not depend on which of its versions a runtime knows.
    """
    rng = random.Random(0)
    alphabets = {name: _alphabet(*block) for name, block in BLOCKS.items()}
    strings = list(HAND_PICKED)
    for alphabet in alphabets.values():
        strings += ["".join(rng.choices(alphabet, k=length)) for length in (1, 2, 3, 5, 8, 13, 40, 90)]
    for _ in range(120):
        chosen = rng.choices(list(alphabets.values()), k=rng.randint(1, 12))
        parts = ["".join(rng.choices(alphabet, k=rng.randint(1, 6))) for alphabet in chosen]
        strings.append(rng.choice(["", " ", "  ", "<|endoftext|>"]).join(parts))
    strings += [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC") for text in HAND_PICKED[36:40]]
    return strings


def _alphabet(first: int, last: int) -> list[str]:
    return [chr(point) for point in range(first, last + 1) if _settled(point)]


def _settled(point: int) -> bool:
    never = point & 0xFFFE == 0xFFFE
    return never or point in _LONG_ASSIGNED or unicodedata.ucd_3_2_0.category(chr(point)) != "Cn"
