import pytest

from builder.plan import titles
from tests.support.planning import last, plan


@pytest.mark.parametrize(
    ("lines", "title"),
    [
        ("RUN make", "RUN make"),
        ("run  a   b", "RUN  a   b"),
        ("ENV v=1\nRUN echo \"$v ${v}\" '$v' $unset \\$v", "RUN echo \"1 1\" '$v' $unset \\$v"),
        ("RUN echo ${v:-x}", "RUN echo ${v:-x}"),
        ('RUN ["a", "b"]', 'RUN ["a", "b"]'),
        ("ENV v=1\ncopy --chown=$v 'a' /$v$unset/", "COPY --chown=1 a /1/"),
        ("ENV v=1\nADD a /$v", "ADD a /1"),
        ("ENV v=1\nWORKDIR /$v", "WORKDIR /1"),
    ],
)
def test_titles(lines: str, title: str) -> None:
    assert last(plan(f"FROM scratch\n{lines}\n")).title == title


def test_a_single_line_heredoc_is_shown_whole() -> None:
    assert titles.run("RUN <<E", {}, "\n  only \n\n") == "RUN <<E (only)"
