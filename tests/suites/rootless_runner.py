"""The suite of runners, and most of what is asked of NativeRunner, inside of a user namespace.

Run by tests/integration/test_rootless.py, with a pytest of its own that an ordinary user starts. Left out is what is
different there: nobody can make device nodes or change those of the host, and the number that terminals' group has in
mount options is the one outside.
"""

from builder.sandbox.native import NativeRunner
from tests.integration.test_native_runner import (
    TestNativeRunner,
    box,
    mounted,
    native,
    test_a_directory_made_for_the_command_below_a_mount_stays,
    test_a_directory_that_is_a_descriptor_leads_nowhere,
    test_a_first_run_over_nothing_leaves_the_directories_of_the_kernel_s_files,
    test_a_link_in_place_of_a_mount_point_is_refused,
    test_a_link_to_nowhere_gets_its_file,
    test_a_mount_below_one_of_them_takes_it_away_again,
    test_an_overlay_that_cannot_be_mounted_says_where_to_look,
    test_capabilities,
    test_cgroups_are_read_only,
    test_devices,
    test_limits_are_inherited,
    test_names,
    test_namespaces,
    test_nothing_of_the_kernel_can_be_written,
    test_root_is_the_overlay_without_devices,
    test_shared_memory,
    test_the_filter_refuses,
    test_the_host_sees_no_mount,
    test_the_interpreter_of_the_host_cannot_be_changed,
    test_the_process_starts_clean,
    test_the_root_is_unmounted_when_run_returns,
    test_what_is_masked_is_empty,
)
from tests.suites.runner_suite import Box, Output

__all__ = [
    "TestNativeRunner",
    "box",
    "mounted",
    "native",
    "test_a_directory_made_for_the_command_below_a_mount_stays",
    "test_a_directory_that_is_a_descriptor_leads_nowhere",
    "test_a_first_run_over_nothing_leaves_the_directories_of_the_kernel_s_files",
    "test_a_link_in_place_of_a_mount_point_is_refused",
    "test_a_link_to_nowhere_gets_its_file",
    "test_a_mount_below_one_of_them_takes_it_away_again",
    "test_an_overlay_that_cannot_be_mounted_says_where_to_look",
    "test_capabilities",
    "test_cgroups_are_read_only",
    "test_devices",
    "test_limits_are_inherited",
    "test_names",
    "test_namespaces",
    "test_nothing_of_the_kernel_can_be_written",
    "test_root_is_the_overlay_without_devices",
    "test_shared_memory",
    "test_the_filter_refuses",
    "test_the_host_sees_no_mount",
    "test_the_interpreter_of_the_host_cannot_be_changed",
    "test_the_process_starts_clean",
    "test_the_root_is_unmounted_when_run_returns",
    "test_what_is_masked_is_empty",
]


def test_nobody_makes_devices(native: NativeRunner, box: Box) -> None:
    output = Output()
    assert native.run(box.shell("mknod /null c 1 3; chmod 000 /dev/null"), output).exit_code
    assert output.streams[2].count(b"Operation not permitted") == 2


def test_terminals_belong_to_their_group(native: NativeRunner, box: Box) -> None:
    output = Output()
    native.run(box.shell("exec 3<>/dev/ptmx; stat -c %g /dev/pts/0"), output)
    assert output.text == "5\n"
