"""Mistakes that no builder may let pass, built into a Dockerfile."""

import random
from collections.abc import Sequence

ADDED = (
    "COPY no-such-file /x",
    "COPY one",
    "COPY --from=later /x /y",
    "COPY --nonsense=1 . /x",
    "COPY --chmod=999 . /x",
    "COPY [ /x",
    "RUN exit 3",
    "RUN --nonsense=1 true",
    "RUN nosuchprogram",
    'RUN ["nosuchprogram"]',
    "ENV novalue",
    "ENV a=1 b",
    'ENV a="open',
    "ENV a=${open",
    "ENV =1",
    "LABEL nothing",
    "EXPOSE 70000",
    "EXPOSE 80/xyz",
    "EXPOSE 9-8",
    "STOPSIGNAL SIGNOSUCH",
    "HEALTHCHECK --interval=5 CMD true",
    "HEALTHCHECK --retries=-1 CMD true",
    "HEALTHCHECK RUN true",
    "HEALTHCHECK CMD",
    "SHELL /bin/sh -c",
    "SHELL []",
    "VOLUME []",
    'VOLUME ["a", 1]',
    "ONBUILD ONBUILD RUN true",
    "ONBUILD FROM base",
    "ONBUILD MAINTAINER me",
    "NOSUCH thing",
    "FROM",
    "FROM base AS",
    "FROM base AS 1x",
    "FROM base with words",
    "FROM $UNDEFINED",
    "WORKDIR",
    "USER",
    "CMD [1, 2]",
    "ARG",
    "MAINTAINER",
    "COPY ${UNSET:?must be set} /x",
    "ADD https://:bad url /x",
    "USER nosuchuser\nRUN true",
    "COPY --from=$VAR /x /y",
    "COPY --chown=nosuch:thing:else . /x",
    "RUN [1, 2]",
)


def spoil(rng: random.Random, lines: list[str], more: Sequence[str] = ()) -> list[str]:
    """Adds a mistake to the last stage, or to a new one; seldom the first FROM is lost."""
    if rng.random() < 0.08:
        return [line for line in lines if not line.startswith("FROM")] or ["RUN true"]
    stage = ["FROM base"] if rng.random() < 0.5 else []
    return [*lines, *stage, *rng.choice((*more, *ADDED)).split("\n")]
