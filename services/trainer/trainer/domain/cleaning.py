"""Text made tidy without touching what it says: one form of each character, of each line end and of blank space."""

import re
import unicodedata

# Controls, and format characters that show nothing. The joiners U+200C and U+200D stay: scripts and emoji need them.
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029|\x85")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
_GAPS = re.compile(r"\n{4,}")


def clean(text: str) -> str:
    """NFC, plain line ends and spaces, nothing invisible, no blank margins. Indentation stays: code needs it."""
    if text.isascii() and text.isprintable() and text == text.strip():
        return text
    text = unicodedata.normalize("NFC", text)
    text = _SPACES.sub(" ", _LINE_ENDS.sub("\n", text))
    text = _TRAILING.sub("", _INVISIBLE.sub("", text))
    return _GAPS.sub("\n\n\n", text).strip()
