"""Reads the JSON files of Docker and Podman: config.json and auth.json. Light enough for every build to import."""

import json
import os
from collections.abc import Mapping
from typing import Any

from registry.errors import CredentialError

_MAX_FILE = 4 << 20


def home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or "/"


def docker_path(environ: Mapping[str, str]) -> str:
    """Where Docker's config.json is, or would be."""
    return os.path.join(environ.get("DOCKER_CONFIG") or os.path.join(home(environ), ".docker"), "config.json")


def docker_config(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Docker's config.json for a build, which can do without: {} also when this user may not read it (``sudo`` keeps
    HOME, and so does a service). Raises CredentialError for one that is no JSON."""
    try:
        return read_document(docker_path(environ))
    except CredentialError as error:
        if isinstance(error.__cause__, PermissionError):
            return {}
        raise


def read_document(path: str) -> Mapping[str, Any]:
    """{} for a file that is not there, or empty. Raises CredentialError."""
    try:
        with open(path, "rb") as file:
            raw = file.read(_MAX_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise CredentialError(
            f"cannot read {path}: {error.strerror}", hint="set DOCKER_CONFIG or REGISTRY_AUTH_FILE to one you may read"
        ) from error
    hint = "correct it, or set DOCKER_CONFIG or REGISTRY_AUTH_FILE to another place"
    return parse_document(raw, path, hint) if raw.strip() else {}


def parse_document(raw: bytes, what: str, hint: str | None = None) -> Mapping[str, Any]:
    """Raises CredentialError that calls it ``what`` and quotes nothing of it."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise CredentialError(f"{what} is not a JSON object", hint=hint)
    return document
