"""The comma-separated values of ``RUN --mount`` and ``--device``. Pure."""


class MountError(ValueError):
    """A value that cannot be understood."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def fields(value: str) -> tuple[str, ...]:
    """The fields of one line of comma-separated values: a field in double quotes may hold commas, ``""`` is a quote."""
    found: list[str] = []
    rest = value
    while True:
        if not rest.startswith('"'):
            field, comma, rest = rest.partition(",")
            if '"' in field:
                raise MountError(f"a double quote stands inside the field {field}", "put the whole field in quotes")
        else:
            field, comma, rest = _quoted(rest)
        found.append(field)
        if comma == "":
            return tuple(found)


def _quoted(text: str) -> tuple[str, str, str]:
    out: list[str] = []
    at = 1
    while True:
        end = text.find('"', at)
        if end < 0:
            raise MountError(f"a double quote is not closed in {text}", "close it, or leave both out")
        out.append(text[at:end])
        if text.startswith('""', end):
            out.append('"')
            at = end + 2
            continue
        rest = text[end + 1 :]
        if rest != "" and not rest.startswith(","):
            raise MountError(f"text stands behind the quoted field in {text}", "put the whole field in quotes")
        return "".join(out), rest[:1], rest[1:]


def check_unexpanded(value: str) -> None:
    """What can be said of a mount before its variables are known: its fields, and that ``from`` has no variable."""
    for field in fields(value):
        key, _, text = field.partition("=")
        if key.lower() == "from" and "$" in text[:-1]:
            raise MountError(
                f"the mount key from={text}: variables are not expanded here",
                "give the image a name with FROM ... AS name, where global ARGs are expanded, and use that name",
            )
