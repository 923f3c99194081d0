"""What shells offer for values: files, directories, names of images in the store, stages of the Dockerfile.

Nothing here may fail: who presses a key in a shell is not told what is wrong.
"""

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.session import current_host
from builder.settings import store_root
from layers.errors import PybuildError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_STAGE = r"^\s*FROM\s.*\sAS\s+([\w.-]+)\s*$"
_MOST = 1 << 20
"""Bytes read of a Dockerfile."""


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def directories(ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


def names(ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[str]":
    """Of images, in the short form people write."""
    from layers.imagenames import image_names
    from registry.reference import Reference

    try:
        stored = image_names(store_root(ctx.params.get("root"), current_host()))
        short = sorted(Reference.parse(name).familiar for name in stored)
    except PybuildError:
        return []
    return [name for name in short if name.startswith(incomplete)]


def stages(ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[str]":
    """Of the Dockerfile that ``-f`` names, else of the one in the working directory."""
    path = Path(ctx.params.get("file") or "Dockerfile")
    found = []
    with contextlib.suppress(OSError, ValueError):
        if path.is_file():
            with path.open(encoding="utf-8") as file:
                found = re.findall(_STAGE, file.read(_MOST), re.IGNORECASE | re.MULTILINE)
    return [name for name in dict.fromkeys(found) if name.startswith(incomplete)]
