"""NamedTuple: that of ``typing``, but defined in a fifth of the time.

A rebuild in which nothing has changed defines some 150 of them, and would spend a sixth of its instructions on that:
``typing`` checks every annotation, and source text is made and compiled for every constructor. Here a constructor is
the one of a ``namedtuple`` with as many fields, with the names of its own fields in its code, and the other methods
are shared. Type checkers see the class of ``typing``.
"""

from collections import namedtuple
from collections.abc import Iterable, Mapping
from functools import cache
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Self

__all__ = ["NamedTuple"]


@cache
def _pattern(count: int) -> Any:
    """A namedtuple of so many fields, to take the parts of others from."""
    return namedtuple("_Pattern", [f"field{number}" for number in range(count)])


_Field: Any = type(_pattern(1).field0)
"""What reads a field; written in C."""


def _constructor(name: str, fields: tuple[str, ...], defaults: tuple[Any, ...]) -> FunctionType:
    pattern = _pattern(len(fields)).__new__
    names = ("_cls", *fields)
    code = pattern.__code__.replace(co_varnames=names, co_name="__new__", co_qualname=f"{name}.__new__")
    return FunctionType(code, pattern.__globals__, "__new__", defaults)


class _Record(tuple[Any, ...]):
    """What all of them have in common, with the meaning and the messages of ``collections.namedtuple``."""

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def _make(cls, values: Iterable[Any]) -> Self:
        made = tuple.__new__(cls, values)
        if len(made) != len(cls._fields):
            raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
        return made

    def _replace(self, /, **changes: Any) -> Self:
        made = self._make(map(changes.pop, self._fields, self))
        if changes:
            raise ValueError(f"Got unexpected field names: {list(changes)!r}")
        return made

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        fields = [f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True)]
        return f"{type(self).__name__}({', '.join(fields)})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)


class _Definition(type):
    """Makes of ``class Point(NamedTuple)`` a class like any other that is derived from ``tuple``."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
        fields: Mapping[str, Any] = namespace.get("__annotations__", {})
        defaults = {field: namespace.pop(field) for field in fields if field in namespace}
        return type(
            name,
            (_Record,),
            {
                **namespace,
                **{field: _Field(number, "") for number, field in enumerate(fields)},
                "__slots__": (),
                "__new__": _constructor(name, tuple(fields), tuple(defaults.values())),
                "__match_args__": tuple(fields),
                "_fields": tuple(fields),
                "_field_defaults": defaults,
            },
        )


class _Entrance:
    """As in ``typing``, the base that is written is none: another stands for it."""

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type]:
        return (_BASE,)


_BASE = type.__new__(_Definition, "NamedTuple", (), {})

if TYPE_CHECKING or "__annotations__" not in vars(_Record):
    # From Python 3.14 on annotations are not evaluated before somebody asks for them.
    from typing import NamedTuple
else:
    NamedTuple = _Entrance()
