"""The default filter, call by call, against what libseccomp makes of the same profile."""

import pytest

from builder.errors import Unsupported
from builder.sandbox.seccomp import default_filter
from builder.sandbox.spec import DEFAULT_CAPABILITIES
from builder.sandbox.syscalls import COLUMNS, TABLE
from tests.unit.sandbox.bpf import (
    ALLOW,
    EQUAL,
    ERRNO,
    GREATER,
    LESS,
    MASKED_EQUAL,
    Call,
    Compare,
    Libseccomp,
    Program,
    Rule,
    decode,
    verdict,
)

EPERM, ENOSYS = ERRNO | 1, ERRNO | 38
X32 = 0x40000000
TOKENS = {"x86_64": 0xC000003E, "i386": 0x40000003, "x32": 0xC000003E, "aarch64": 0xC00000B7, "arm": 0x40000028}
MACHINES = {"x86_64": ("x86_64", "i386", "x32"), "aarch64": ("aarch64", "arm")}
NAMES = tuple(entry.partition(":")[0] for entry in TABLE.split())
_CAPABLE = """
    acct bpf clock_settime clock_settime64 delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick
    get_mempolicy init_module ioperm iopl kcmp lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr
    mbind mount mount_setattr move_mount open_by_handle_at open_tree perf_event_open pidfd_getfd process_madvise
    quotactl quotactl_fd reboot set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday
    stime syslog umount umount2 unshare vhangup
"""
NEEDS_CAPABILITY = frozenset(_CAPABLE.split())
BY_ARGUMENTS = frozenset({"clone", "clone3", "socket", "personality"})
ARGUMENTS = {
    "clone": (
        0,
        17,
        0x11,
        0x00020000,
        0x02000000,
        0x04000000,
        0x08000000,
        0x10000000,
        0x20000000,
        0x40000000,
        0x3D0F00,
    ),
    "clone3": (0, 88),
    "socket": (0, 1, 2, 10, 16, 17, 37, 38, 39, 40, 41, 44, 0xFFFFFFFF),
    "personality": (0, 1, 4, 8, 9, 0x20000, 0x20008, 0x20009, 0x40000, 0x400000, 0xFFFFFFFE, 0xFFFFFFFF),
}


def test_the_table_is_the_profile() -> None:
    """moby's profile has 361 calls that are always allowed; one is of riscv alone. ptrace and two more since 4.8."""
    always = set(NAMES) - NEEDS_CAPABILITY - BY_ARGUMENTS
    of_old_kernels = {"ptrace", "process_vm_readv", "process_vm_writev"}
    of_some_machines = {"arch_prctl", "modify_ldt", "arm_fadvise64_64", "arm_sync_file_range", "breakpoint"}
    of_some_machines |= {"cacheflush", "set_tls"}
    assert len(always - of_old_kernels - of_some_machines - {"chroot"}) == 360


def rules(library: Libseccomp) -> list[Rule]:
    """The profile for the default capabilities, in libseccomp's terms."""
    plain: list[Rule] = [
        (name, ALLOW, ())
        for name in NAMES
        if name not in NEEDS_CAPABILITY and name not in BY_ARGUMENTS and library.knows(name)
    ]
    plain.append(("clone", ALLOW, (Compare(0, MASKED_EQUAL, 0x7E020000, 0),)))
    plain.append(("clone3", ENOSYS, ()))
    for family, comparison in ((38, LESS), (39, EQUAL), (40, GREATER)):
        plain.append(("socket", ALLOW, (Compare(0, comparison, family, 0),)))
    for value in (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF):
        plain.append(("personality", ALLOW, (Compare(0, EQUAL, value, 0),)))
    return plain


@pytest.fixture(scope="module")
def library() -> Libseccomp:
    return Libseccomp()


def numbers(column: str) -> dict[str, int]:
    found = {}
    for entry in TABLE.split():
        name, _, listed = entry.partition(":")
        number = (listed.split(",") * len(COLUMNS))[COLUMNS.index(column)]
        if number != "-":
            found[name] = int(number) + (X32 if column == "x32" else 0)
    return found


@pytest.mark.parametrize("column", COLUMNS)
def test_numbers(library: Libseccomp, column: str) -> None:
    """Of i386, libseccomp gives no numbers for calls that old kernels reached through socketcall and ipc."""
    for name, number in numbers(column).items():
        known = library.number(column, name)
        assert known in {number, None}, name
        if known is None:
            assert not library.knows(name) or (column == "i386" and 337 <= number <= 402), name
    for name in NAMES:
        assert library.number(column, name) in {numbers(column).get(name), None}, name


@pytest.mark.parametrize(("machine", "column"), [(m, c) for m, columns in MACHINES.items() for c in columns])
def test_every_verdict_is_that_of_libseccomp(library: Libseccomp, machine: str, column: str) -> None:
    ours = decode(default_filter(machine, DEFAULT_CAPABILITIES))
    theirs = library.compile(MACHINES[machine], EPERM, rules(library))
    by_number = {number: name for name, number in numbers(column).items()}
    newest = max(number for number in by_number if number & 0xFFFFF < 0xF0000)
    base = X32 if column == "x32" else 0
    compared = 0
    for number in (*range(base, base + 1200), *range(base + 0xF0000, base + 0xF0010)):
        name = by_number.get(number)
        for argument in ARGUMENTS.get(name or "", (0, 1, 0xFFFFFFFF)):
            call = Call(TOKENS[column], number, (argument,))
            found = verdict(ours, call)
            if name is not None and not library.knows(name):
                assert found == (EPERM if name in NEEDS_CAPABILITY else ALLOW), name
            elif name is None and number > newest:
                assert found == ENOSYS, number  # as runc, which puts this before libseccomp's program
                assert verdict(theirs, call) == EPERM
            else:
                assert found == verdict(theirs, call), (name, number, hex(argument))
                compared += 1
    assert compared > 400


def test_other_architectures_are_killed(library: Libseccomp) -> None:
    for machine, token in (("x86_64", 0xC00000B7), ("aarch64", 0xC000003E), ("x86_64", 0)):
        theirs = library.compile(MACHINES[machine], EPERM, rules(library))
        call = Call(token, 0)
        assert verdict(decode(default_filter(machine, DEFAULT_CAPABILITIES)), call) == verdict(theirs, call) == 0


def ask(program: Program, name: str, *args: int, column: str = "x86_64") -> int:
    return verdict(program, Call(TOKENS[column], numbers(column)[name], args))


def test_the_high_half_of_an_argument_hides_nothing() -> None:
    """libseccomp compares all 64 bits; the kernel takes 32 of a socket's family, so 1 << 32 | AF_VSOCK is AF_VSOCK."""
    program = decode(default_filter("x86_64", DEFAULT_CAPABILITIES))
    for column in ("x86_64", "x32"):
        assert ask(program, "socket", 1 << 32 | 40, column=column) == EPERM
        assert ask(program, "socket", 1 << 32 | 38, column=column) == EPERM
        assert ask(program, "clone", 1 << 32 | 0x10000000, column=column) == EPERM
        assert ask(program, "personality", 1 << 32, column=column) == EPERM


@pytest.mark.parametrize(
    ("capability", "names"),
    [
        ("SYS_ADMIN", ("mount", "umount2", "unshare", "setns", "bpf", "syslog", "clone3", "open_tree")),
        ("SYS_CHROOT", ("chroot",)),
        ("DAC_READ_SEARCH", ("open_by_handle_at",)),
        ("SYS_TIME", ("settimeofday", "clock_settime")),
        ("BPF", ("bpf",)),
        ("SYSLOG", ("syslog",)),
    ],
)
def test_capabilities_open_calls(capability: str, names: tuple[str, ...]) -> None:
    without = decode(default_filter("x86_64", ()))
    having = decode(default_filter("x86_64", (capability,)))
    for name in names:
        assert ask(without, name) in {EPERM, ENOSYS}
        assert ask(having, name) == ALLOW
    assert ask(having, "clone", 0x10000000) == (ALLOW if capability == "SYS_ADMIN" else EPERM)


def test_both_names_of_a_machine_are_known() -> None:
    assert default_filter("amd64", ("CHOWN",)) == default_filter("x86_64", ("CHOWN",))
    assert default_filter("arm64", ("CHOWN",)) == default_filter("aarch64", ("CHOWN",))


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(Unsupported, match="no seccomp filter for riscv64") as caught:
        default_filter("riscv64", DEFAULT_CAPABILITIES)
    assert caught.value.hint is not None
    assert "seccomp=unconfined" in caught.value.hint


def test_the_program_fits_the_kernel() -> None:
    """4096 instructions, and only jumps forward (by construction of BPF)."""
    for machine in MACHINES:
        program = decode(default_filter(machine, DEFAULT_CAPABILITIES))
        assert len(program) < 1000
        assert {code for code, *_ in program} <= {0x20, 0x05, 0x15, 0x35, 0x45, 0x06}
