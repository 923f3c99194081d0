"""``pybuild login`` and ``pybuild logout``: credentials, kept where Docker and Podman look for them."""

import sys
from collections.abc import Mapping

import click

from builder.cli.session import Session, current_host, say
from builder.settings import FlagError
from layers.names import DEFAULT_HOST
from registry.auth import Credential

_MAX_PASSWORD = 1 << 20


@click.command("login")
@click.option("-u", "--username", metavar="USER", help="Who to be there.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("-p", "--password", hidden=True, help="Refused: others can see it.")
@click.argument("host", default=DEFAULT_HOST)
@click.pass_obj
def login(session: Session, /, username: str | None, password_stdin: bool, password: str | None, host: str) -> None:
    """Prove a user name and password to registry HOST (default: docker.io), and keep them for pulls and pushes."""
    if password is not None:
        raise FlagError(
            "--password is not supported: every user of this machine can see it",
            hint=f"echo the password to 'pybuild login -u USER --password-stdin {host}'",
        )
    if "/" in host:
        raise FlagError(f"{host} is not a registry", hint="give its host, and its port if it has one: HOST[:PORT]")
    if password_stdin:
        if not username:
            raise FlagError("--password-stdin needs a user name", hint="add -u USER")
        secret = _from_stdin()
    else:
        if not sys.stdin.isatty():
            raise FlagError("there is no terminal to ask for a password on", hint="use --password-stdin")
        username = username or click.prompt("Username", err=True)
        secret = click.prompt("Password", hide_input=True, err=True)
    if ":" in username:
        raise FlagError("a user name cannot hold a colon", hint="what comes after it would be taken for the password")
    if not secret:
        raise FlagError("the password is empty", hint="nothing came on standard input" if password_stdin else None)
    with session.connector(current_host().environ)() as registries:
        kept = registries.login(host, Credential(username, secret))
        where = registries.credentials.store(host, kept)
    say(f"Login succeeded; kept in {where}")


def _from_stdin() -> str:
    """Raises FlagError for what no registry could be sent: HTTP has passwords in UTF-8 (RFC 7617)."""
    try:
        secret = sys.stdin.read(_MAX_PASSWORD).rstrip("\r\n")
        secret.encode()
    except UnicodeError:
        raise FlagError("the password on standard input is not UTF-8 text") from None
    return secret


@click.command("logout")
@click.argument("host", default=DEFAULT_HOST)
@click.pass_obj
def logout(session: Session, /, host: str) -> None:
    """Forget the credentials for registry HOST (default: docker.io)."""
    with session.connector(current_host().environ)() as registries:
        places = registries.credentials.erase(host)
    if places:
        say(f"Removed the credentials for {host} from {', '.join(places)}")
    else:
        say(f"Not logged in to {host}")


COMMANDS: Mapping[str, click.Command] = {"login": login, "logout": logout}
