"""Debian's docker-registry by hand: ``python -m tests.support.serve DIRECTORY [PORT]`` (5000), until interrupted.

TLS by an authority made anew each time, and one user; DIRECTORY keeps the images, ``ca.crt`` and ``password``. Prints
the commands that make pybuild trust it and log in. fixtures/registry.sh installs what this needs first.
"""

import signal
import sys
import time
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.registries import PASSWORD, USER, docker_registry, free_port


def main(folder: str, port: str = "5000") -> None:
    try:
        free_port(int(port))
    except OSError as error:
        sys.exit(f"port {port} is not free: {error}; name another")
    directory = Path(folder)
    directory.mkdir(parents=True, exist_ok=True)
    authority = Authority(directory)
    password = directory / "password"
    password.write_text(PASSWORD)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with docker_registry(directory / "registry", authority.issue(), port=int(port)) as host:
        print(f"install -D -m 644 {authority.ca} ~/.config/docker/certs.d/{host}/ca.crt")
        print(f"pybuild login -u {USER} --password-stdin {host} < {password}")
        print(f"listening on {host}", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
