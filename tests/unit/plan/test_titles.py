import pytest

from builder.errors import Span
from builder.plan import titles
from builder.plan.expand import Expander
from tests.support.planning import last, plan


@pytest.mark.parametrize(
    ("lines", "title"),
    [
        ("RUN make", "RUN make"),
        ("run  a   b", "RUN  a   b"),
        # As printed by BuildKit for this very line.
        ("ENV a=2\nRUN echo \"$a\" '$a' \\$a ${a:-x} $zz a\\ b", "RUN echo \"2\" '$a' $a 2 $zz a b"),
        ('ENV a=2\nRUN echo "it\'s \\$a \\n ${a}"', 'RUN echo "it\'s $a \\n 2"'),
        ("RUN echo ${v:-x} ${v", "RUN echo ${v:-x} ${v"),
        ("ENV v=a\nRUN echo ${v/a/b} ${v^^}", "RUN echo b ${v^^}"),
        ('RUN ["a", "b"]', 'RUN ["a", "b"]'),
        ("ENV v=1\ncopy --chown=$v 'a' /$v$unset/", "COPY --chown=1 a /1/"),
        ("ENV v=1\nADD a /$v", "ADD a /1"),
        ("ENV v=1\nWORKDIR /$v", "WORKDIR /1"),
    ],
)
def test_titles(lines: str, title: str) -> None:
    assert last(plan(f"FROM scratch\n{lines}\n")).title == title


def test_a_single_line_heredoc_is_shown_whole() -> None:
    assert titles.run("RUN <<E", Expander({}, "\\", Span("Dockerfile", 1, 1)), "\n  only \n\n") == "RUN <<E (only)"


def test_the_files_escape_is_the_one_that_counts() -> None:
    text = '# escape=`\nFROM scratch\nENV v=1\nRUN a `$v \\$v "`$v \\$v"\n'
    assert last(plan(text)).title == 'RUN a $v \\1 "$v \\1"'


def test_what_cannot_be_expanded_is_shown_as_written() -> None:
    expander = Expander({}, "\\", Span("Dockerfile", 1, 1))
    assert titles.expanded("copy it's here", expander) == "COPY it's here"
