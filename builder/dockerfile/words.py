"""Quotes, escapes and variables in the words of a Dockerfile. Pure.

The syntax is that of a shell, cut down: ``$n``, ``${n}``, ``${n:-w}`` ``${n-w}`` ``${n:+w}`` ``${n+w}`` ``${n:?m}``
``${n?m}``, ``${n#p}`` ``${n##p}`` ``${n%p}`` ``${n%%p}``, ``${n/p/r}`` ``${n//p/r}``; w, m, p and r are expanded
themselves. In patterns only ``*`` and ``?`` are special. Everything else in braces is an error, not left as it is.
"""

from builder.dockerfile.expansion import Expander, Lookup, Mode, WordError

__all__ = ["Lookup", "WordError", "expand", "expand_heredoc", "expand_to_words", "names_used"]

WORD = Mode()
HEREDOC_BODY = Mode(quotes=False)
RAW = Mode(keep_quotes=True, keep_escapes=True, keep_unset=True)
UNQUOTE = Mode(keep_unset=True)
UNESCAPE = Mode(keep_quotes=True, keep_unset=True)


def expand(word: str, lookup: Lookup, escape: str) -> str:
    """One word with its variables replaced and its quotes removed.

    ``lookup`` gives the value of a name, None when it is unset. Raises WordError.
    """
    if "$" not in word and "'" not in word and '"' not in word and escape not in word:
        return word
    return Expander(word, lookup, escape, WORD).run()


def expand_to_words(text: str, lookup: Lookup, escape: str) -> list[str]:
    """The words of ``text``; unquoted values are split at blanks as well. Raises WordError."""
    expander = Expander(text, lookup, escape, WORD)
    expander.run()
    return expander.words.finish()


def expand_heredoc(body: str, lookup: Lookup, escape: str = "\\") -> str:
    """The body of an unquoted heredoc with its variables replaced; quotes are plain characters. Raises WordError.

    The escape character is dropped before whatever follows it.
    """
    if "$" not in body and escape not in body:
        return body
    return Expander(body, lookup, escape, HEREDOC_BODY).run()


def names_used(word: str, escape: str = "\\") -> tuple[str, ...]:
    """The names that expanding ``word`` asks for, in order, each once; those before the error in a malformed word."""
    if "$" not in word:
        return ()
    names: dict[str, None] = {}

    def note(name: str) -> str:
        names[name] = None
        return "x"

    try:
        Expander(word, note, escape, WORD).run()
    except WordError:
        return tuple(names)  # whoever expands the word reports it, with its place
    return tuple(names)


def split_unset(text: str, mode: Mode) -> list[str]:
    """The words of ``text`` when every name is unset and the escape is a backslash. Raises WordError.

    In RAW, quotes, escapes and references stay in the words, and ``<< X`` is one word.
    """
    expander = Expander(text, _unset, "\\", mode)
    expander.run()
    return expander.words.finish()


def _unset(name: str) -> None:
    return None
