"""``contextlib.suppress`` for the helper: ``contextlib`` would take a quarter of its start-up to import."""


class suppress:
    """Errors of these kinds end the block, and nothing else."""

    __slots__ = ("_kinds",)

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, self._kinds)
