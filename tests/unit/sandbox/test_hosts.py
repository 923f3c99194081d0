from builder.sandbox.hosts import hosts, network_files
from builder.sandbox.spec import FileMount


def test_hosts_names_the_sandbox_and_then_the_extra_hosts() -> None:
    assert hosts("box", [("10.0.0.1", "db"), ("::2", "cache")]) == (
        b"127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\tdb\n::2\tcache\n"
    )


def test_the_name_servers_of_the_host_are_kept_as_they_are() -> None:
    resolv_conf = b"# stub\nnameserver 127.0.0.53\noptions edns0\n"
    assert network_files("box", resolv_conf) == (
        FileMount("/etc/hosts", hosts("box"), 0o644),
        FileMount("/etc/resolv.conf", resolv_conf, 0o644),
    )
