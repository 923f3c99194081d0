from builder.sandbox.stage import has_unified_cgroups, own_groups

V1 = rb"""
22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 /a\040b /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
""".strip()
V2 = rb"31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"


def test_only_a_unified_hierarchy_is_v2() -> None:
    assert has_unified_cgroups(V2)
    assert not has_unified_cgroups(V1)


def test_groups_are_found_below_what_is_mounted() -> None:
    cgroup = b"""
9:name=systemd:/user.slice/session-1.scope
5:devices:/a b/c
4:memory:/docker/abc
3:pids:/x
1:cpu,cpuacct:/
0::/user.slice
""".strip()
    assert own_groups(V1, cgroup) == {
        b"systemd": b"/sys/fs/cgroup/systemd/user.slice/session-1.scope",
        b"devices": b"/sys/fs/cgroup/devices/c",
        b"memory": b"/sys/fs/cgroup/memory",
        b"cpu,cpuacct": b"/sys/fs/cgroup/cpu,cpuacct",
    }


def test_a_group_outside_of_what_is_mounted_is_the_mount_itself() -> None:
    assert own_groups(V1, b"4:memory:/docker/abcdef") == {b"memory": b"/sys/fs/cgroup/memory"}
