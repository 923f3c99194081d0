"""Words of an instruction, expanded with the values in force where it stands; errors get its place. Pure."""

from collections.abc import Mapping

from builder.dockerfile.words import WordError, expand, expand_heredoc, expand_to_words
from builder.errors import PlanError, Span
from layers.tuples import NamedTuple

_LONGEST = 80
"""Characters of a word shown in a message."""


class Expander(NamedTuple):
    """``values`` are frozen at the start of an instruction: ``ENV a=1 b=$a`` sees the old ``a``."""

    values: Mapping[str, str]
    escape: str
    span: Span

    def word(self, text: str) -> str:
        """One word, quotes removed. Raises PlanError, as the others do."""
        try:
            return expand(text, self.values.get, self.escape)
        except WordError as error:
            raise self._failed(text, error) from error

    def words(self, text: str) -> list[str]:
        """Any number of words: values with blanks in them are split."""
        try:
            return expand_to_words(text, self.values.get, self.escape)
        except WordError as error:
            raise self._failed(text, error) from error

    def heredoc(self, body: str) -> str:
        """The body of an unquoted heredoc. Its escape is the backslash, whatever the file's is, as in BuildKit."""
        try:
            return expand_heredoc(body, self.values.get, "\\")
        except WordError as error:
            raise self._failed(body.strip().partition("\n")[0], error) from error

    def _failed(self, text: str, error: WordError) -> PlanError:
        shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
        return PlanError(f'failed to process "{shown}": {error}', span=self.span, hint=error.hint, about=text)
