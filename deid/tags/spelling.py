"""Spellings: what people take for the same name is the same text here, or one of few.

``Müller``, ``MUELLER``, ``muller`` and a wide ``ＭＵＬＬＥＲ`` are one name. Letters with a mark
are written without it or as two letters, and two letters may stand for either, so that a text has
up to two spellings and a word that is looked for a few.
"""

from __future__ import annotations

import re
from itertools import product
from unicodedata import category, digit, normalize

#: Letters and digits in a row.
WORD = re.compile(r"[^\W_]+")
#: Scripts that write words without spaces, two characters of which are a name.
DENSE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]")

_AS_TWO = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
#: Letters that no normal form takes apart.
_AS_ONE = str.maketrans(
    {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ı": "i"}
)
_TWO = re.compile("(ae|oe|ue|aa)")
#: A word with more pairs of letters than this is spelt with all of them or none.
_MOST_PAIRS = 4


def spellings(text: str) -> tuple[str, ...]:
    """A text in lower case without marks; those of German and Nordic letters also as two."""
    if text.isascii():
        return (text.lower(),)
    composed = normalize("NFKC", normalize("NFKC", text).casefold())
    one, two = _bare(composed), _bare(composed.translate(_AS_TWO))
    return (one,) if one == two else (one, two)


def variants(spelt: str) -> set[str]:
    """What `spellings` may make of a word of which it made this."""
    parts = _TWO.split(spelt)
    if len(parts) == 1:
        return {spelt}
    if len(parts) // 2 > _MOST_PAIRS:
        return {spelt, _TWO.sub(lambda pair: pair[0][0], spelt)}
    choices = [(part, part[0]) if n % 2 else (part,) for n, part in enumerate(parts)]
    return {"".join(chosen) for chosen in product(*choices)}


def _bare(text: str) -> str:
    """Without marks and invisible characters, and with the digits that we write."""
    apart = normalize("NFKD", text.translate(_AS_ONE))
    kept = (
        character if character.isascii() else str(digit(character, character))
        for character in apart
        if character.isascii() or (category(character)[0] != "M" and category(character) != "Cf")
    )
    # Hangul is put together again, so that a syllable counts as one character.
    return normalize("NFC", "".join(kept))
