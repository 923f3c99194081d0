"""Classic BPF run step by step, and libseccomp's own compiler through ctypes: what the filter's tests compare."""

import ctypes
import os
import struct
import tempfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

ALLOW = 0x7FFF0000
ERRNO = 0x00050000


class Call(NamedTuple):
    """struct seccomp_data, little-endian; ``args`` are the first ones."""

    arch: int
    number: int
    args: tuple[int, ...] = ()

    def data(self) -> bytes:
        args = (*self.args, *(0,) * (6 - len(self.args)))
        return struct.pack("<IIQ6Q", self.number, self.arch, 0, *args)


Program = list[tuple[int, int, int, int]]


def decode(program: bytes) -> Program:
    return [(code, true, false, k) for code, true, false, k in struct.iter_unpack("<HBBI", program)]


def verdict(program: Program, call: Call) -> int:
    """What the program returns. Knows the instructions that filters use; anything else fails the test."""
    data, accumulator, place = call.data(), 0, 0
    while True:
        code, true, false, k = program[place]
        place += 1
        match code:
            case 0x20:
                accumulator = int.from_bytes(data[k : k + 4], "little")
            case 0x54:
                accumulator &= k
            case 0x05:
                place += k
            case 0x15:
                place += true if accumulator == k else false
            case 0x25:
                place += true if accumulator > k else false
            case 0x35:
                place += true if accumulator >= k else false
            case 0x45:
                place += true if accumulator & k else false
            case 0x06:
                return k
            case _:
                raise AssertionError(f"instruction {code:#x}")


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


LESS, EQUAL, GREATER, MASKED_EQUAL = 2, 4, 6, 7

Rule = tuple[str, int, tuple[Compare, ...]]
"""Name of the call, action, comparisons that must all hold."""


class Libseccomp:
    """The few functions of libseccomp that are needed. ``architectures``: SCMP_ARCH_* by the names of our columns."""

    ARCHITECTURES: Mapping[str, int] = {
        "x86_64": 0xC000003E,
        "i386": 0x40000003,
        "x32": 0x4000003E,
        "aarch64": 0xC00000B7,
        "arm": 0x40000028,
    }

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._library.seccomp_init.argtypes = (ctypes.c_uint32,)
        for name, types in {
            "seccomp_arch_add": (ctypes.c_uint32,),
            "seccomp_arch_remove": (ctypes.c_uint32,),
            "seccomp_rule_add_array": (ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Compare)),
            "seccomp_export_bpf": (ctypes.c_int,),
        }.items():
            getattr(self._library, name).argtypes = (ctypes.c_void_p, *types)

    def number(self, column: str, name: str) -> int | None:
        """None for a call that the library does not know, or that the architecture lacks."""
        found: int = self._library.seccomp_syscall_resolve_name_arch(self.ARCHITECTURES[column], name.encode())
        return found if found >= 0 else None

    def knows(self, name: str) -> bool:
        return bool(self._library.seccomp_syscall_resolve_name(name.encode()) != -1)

    def compile(self, columns: Sequence[str], default: int, rules: Sequence[Rule]) -> Program:
        context = self._library.seccomp_init(default)
        native = self._library.seccomp_arch_native
        native.restype = ctypes.c_uint32
        wanted = {self.ARCHITECTURES[column] for column in columns}
        for token in wanted - {native()}:
            self._do("seccomp_arch_add", context, token)
        if native() not in wanted:
            self._do("seccomp_arch_remove", context, native())
        for name, action, comparisons in rules:
            number = self._library.seccomp_syscall_resolve_name(name.encode())
            array = (Compare * len(comparisons))(*comparisons)
            self._do("seccomp_rule_add_array", context, action, number, len(comparisons), array)
        with tempfile.TemporaryFile() as file:
            self._do("seccomp_export_bpf", context, file.fileno())
            program = os.pread(file.fileno(), 1 << 20, 0)
        self._library.seccomp_release(ctypes.c_void_p(context))
        return decode(program)

    def _do(self, name: str, *args: object) -> None:
        result = getattr(self._library, name)(*args)
        assert result == 0, f"{name}{args[1:]}: {result}"
