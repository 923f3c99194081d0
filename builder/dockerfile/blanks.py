"""What separates words. Pure."""

SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What counts as a blank: Unicode's White_Space property (``str.strip()`` would take U+001C to U+001F off too)."""

BLANKS = "\t\v\f\r "
"""What separates an instruction's name, its flags and most of its arguments."""


def first_word(text: str) -> str:
    """Up to the first of BLANKS: an instruction's name."""
    end = next((at for at, char in enumerate(text) if char in BLANKS), len(text))
    return text[:end]


def split_keyword(text: str) -> tuple[str, str]:
    """The instruction's name in capitals and the rest."""
    stripped = text.strip(SPACE)
    word = first_word(stripped)
    return word.upper(), stripped[len(word) :].lstrip(BLANKS)
