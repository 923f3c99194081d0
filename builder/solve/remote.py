"""Sources of ADD that are fetched, now that the step is to be done: the places kept for them in a selection are filled.

A file over HTTP has mode 0600 and the server's time; a repository gives the files of one commit (reference 1.10).
"""

import os
from typing import TYPE_CHECKING

from builder.plan.context import open_context
from builder.plan.contextmemory import NOTHING_KNOWN
from builder.plan.graph import GitTree, WebFile
from builder.plan.select import Root, Selection
from layers.digest import BlobDigest, Digest
from layers.entry import Entry, FileSource, Kind

if TYPE_CHECKING:
    from builder.fetch.http import Fetched
    from builder.fetch.remote import Remote

MODE = 0o600


def fill(selection: Selection, remote: "Remote") -> Selection:
    """Raises PybuildError for what cannot be fetched, or is not what its checksum says."""
    roots = []
    for root in selection.roots:
        match root.remote:
            case None:
                roots.append(root)
            case WebFile() as file:
                roots.append(_file(root, file, remote))
            case GitTree() as tree:
                roots.append(_tree(root, tree, remote))
    return Selection(selection.tree, tuple(roots), selection.inline)


def _file(root: Root, file: WebFile, remote: "Remote") -> Root:
    found = _pinned(file, remote) if file.pinned else None
    digest = found.digest if found is not None else BlobDigest(Digest.parse(file.digest))
    mtime = found.mtime if found is not None else file.mtime
    blobs = remote.store.blobs
    # The digest is verified by whoever reads the file: this is no way around the store's own check.
    source = FileSource(os.fsencode(blobs.path(digest)), bytes.fromhex(digest.hex))
    entry = Entry(root.name, Kind.FILE, MODE, mtime_ns=mtime * 1_000_000_000, size=blobs.size(digest), source=source)
    return root._replace(entry=entry)


def _pinned(file: WebFile, remote: "Remote") -> "Fetched":
    """By the record of an earlier download, else fetched. Raises IntegrityError for other bytes than were meant."""
    from builder.fetch.http import Fetched, check_sum

    known = remote.store.web_files.find(file.url)
    if known is not None and str(known.digest) == file.digest and remote.store.blobs.has(known.digest):
        return Fetched(known.digest, known.size, known.mtime)
    found = remote.http().fetch(file.url, anew=True)
    check_sum(file.digest, found.digest, file.url)
    return found


def _tree(root: Root, tree: GitTree, remote: "Remote") -> Root:
    from builder.fetch.git import Commit
    from builder.fetch.giturl import parse_git_url

    source = parse_git_url(tree.address)
    assert source is not None
    directory = remote.git().check_out(
        source._replace(commit_times=False),
        Commit(tree.commit, tree.ref, tree.tag),
        remote.store.temporary("git"),
        keep_git_dir=tree.keep_git_dir,
    )
    context = open_context(directory, None, NOTHING_KNOWN)
    entry = context.lookup(b"")
    assert entry is not None
    return root._replace(entry=entry, tree=context)
