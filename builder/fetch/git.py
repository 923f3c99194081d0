"""Repositories as sources: a ref becomes a commit, a commit becomes a directory.

What was fetched stays in the store, in a repository of its own per address, so that a commit that is there needs no
network again. Submodules are fetched here too, by the rules for addresses that hold for everything else.
"""

import fcntl
import hashlib
import os
import posixpath
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from builder.fetch.gitcommand import FETCH_S, NETWORK, Command, GitError, Ran, Way, failure
from builder.fetch.giturl import BadGitUrl, GitSource, is_commit, parse_git_url, resolve_relative
from layers.tuples import NamedTuple

FOLDER = "git"
"""Below the store's root."""
_MAX_MODULES = 1000
_MAX_DEPTH = 16


class Commit(NamedTuple):
    """``ref`` is what it was found by at the server, "" when it was given itself; ``tag`` the annotated tag there."""

    id: str
    ref: str = ""
    tag: str = ""


class Git(NamedTuple):
    """``root`` is that of the store. ``online``: the network may be used."""

    root: str
    command: Command
    online: bool = True

    def resolve(self, source: GitSource) -> Commit:
        """The commit that ``source`` means now; a full one is taken as it is, without asking. Raises GitError."""
        if source.pinned:
            _check_sum(source, source.ref, "")
            return Commit(source.ref)
        if not self.online:
            raise GitError(f"{source}: there is no network to look up the commit", hint="write URL#COMMIT")
        return self._look_up(source)

    def check_out(self, source: GitSource, commit: Commit, directory: str, *, keep_git_dir: bool = False) -> str:
        """Makes ``directory``, with the files of ``commit``; gives the directory that ``source`` means, which is it or
        below it. Raises GitError."""
        Path(directory).mkdir(mode=0o755)
        Path(directory).chmod(0o755)
        keeps = keep_git_dir and not source.subdir
        self._fill(source, commit, directory, f"{directory}/.git" if keeps else None, depth=0)
        if source.commit_times:
            self._date(source, commit, directory)
        return _below(directory, source)

    def _look_up(self, source: GitSource) -> Commit:
        ref = source.ref
        words = ["ls-remote", "--symref", "--", source.remote, "HEAD"]
        names = _candidates(ref)
        if ref:
            words = ["ls-remote", "--", source.remote, *names, *(f"{name}^{{}}" for name in names)]
        auth = self.command.credentials(source)
        said = self.command.check(str(source), *words, way=Way(protocols=NETWORK, auth=auth))
        refs: dict[str, str] = {}
        branch = ""
        for line in said.decode(errors="replace").splitlines():
            value, _, name = line.partition("\t")
            refs[name] = value
        if not ref:
            if not is_commit(refs.get("HEAD", "")):
                raise GitError(f"{source}: the repository has no default branch", hint="write URL#branch")
            names, branch = ("HEAD",), _default_branch(said)
        name = next((name for name in names if name in refs), "")
        if not name:
            hint = "name a branch, a tag, refs/... or a full commit"
            raise GitError(f"{source}: the repository has no {ref}", hint=hint)
        commit, tag = refs.get(f"{name}^{{}}", refs[name]), refs[name]
        if not is_commit(commit) or not is_commit(tag):
            raise GitError(f"{source}: the server's answer cannot be understood")
        _check_sum(source, commit, tag)
        return Commit(commit, branch or name, tag if tag != commit else "")

    # -- files of a commit

    def _fill(self, source: GitSource, commit: Commit, directory: str, git_dir: str | None, *, depth: int) -> None:
        """``git_dir``: the repository to make for the files, which is kept."""
        if git_dir is None:
            commit = commit._replace(tag="")
        with self._mirror(source.remote, commit) as (mirror, lock):
            self._fetch(source, commit, mirror, lock)
            if git_dir is not None:
                self._clone(source, commit, mirror, directory, git_dir)
            else:
                self._extract(source, commit, mirror, directory)
            modules = self._modules(source, commit, mirror) if source.submodules else ()
        if modules and depth >= _MAX_DEPTH:
            raise GitError(f"{source}: submodules lie more than {_MAX_DEPTH} deep in each other")
        for path, module, head, name in modules:
            place = _inside(directory, path)
            if git_dir is None:
                self._fill(module, head, place, None, depth=depth + 1)
                up = "../" * (path.count("/") + 1)
                Path(place, ".git").write_text(f"gitdir: {up}.git/modules/{name}\n")
            else:
                self._fill(module, head, place, f"{git_dir}/modules/{name}", depth=depth + 1)
                for key, value in (("active", "true"), ("url", module.remote)):
                    way = Way(more={"GIT_DIR": git_dir})
                    self.command.check(str(source), "config", f"submodule.{name}.{key}", value, way=way)

    def _extract(self, source: GitSource, commit: Commit, mirror: str, directory: str) -> None:
        more = {"GIT_DIR": mirror, "GIT_WORK_TREE": directory, "GIT_INDEX_FILE": f"{directory}.index"}
        way = Way(cwd=directory, more=more, timeout=FETCH_S)
        try:
            self.command.check(str(source), "read-tree", commit.id, way=way)
            self.command.check(str(source), "checkout-index", "--all", "--force", "--quiet", way=way)
        finally:
            Path(f"{directory}.index").unlink(missing_ok=True)

    def _clone(self, source: GitSource, commit: Commit, mirror: str, directory: str, git_dir: str) -> None:
        """A repository that says nothing of where and when it was made: no FETCH_HEAD, nothing in the reflog."""
        Path(git_dir).parent.mkdir(parents=True, exist_ok=True)
        kept, named = _kept(commit), commit.ref.startswith("refs/")
        way = Way(cwd=directory, more={"GIT_DIR": git_dir, "GIT_WORK_TREE": directory}, timeout=FETCH_S)
        for words in (
            ("init", "--quiet", "--template=", *_format(commit)),
            ("config", "remote.origin.url", source.remote),
            ("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
            # The only place where a file is an address: that of the store's own repository.
            ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-head-ok", "--depth=1", mirror)
            + ((f"{kept}:{commit.ref}",) if named else (kept,)),
            ("checkout", "--quiet", "--detach", commit.id),
            ("reflog", "expire", "--all", "--expire=now"),
        ):
            self.command.check(str(source), *words, way=way._replace(protocols="file" if "fetch" in words else ""))
        if git_dir != f"{directory}/.git":
            Path(directory, ".git").write_text(f"gitdir: {posixpath.relpath(git_dir, directory)}\n")
            place = posixpath.relpath(directory, git_dir)
            self.command.check(str(source), "config", "core.worktree", place, way=way)

    def _modules(
        self, source: GitSource, commit: Commit, mirror: str
    ) -> tuple[tuple[str, GitSource, Commit, str], ...]:
        """Path, address, commit and name of each submodule."""
        way = Way(more={"GIT_DIR": mirror})
        listed = self.command.check(str(source), "ls-tree", "-r", "-z", "--full-tree", commit.id, way=way)
        links = {
            os.fsdecode(path): head.split()[2].decode()
            for head, _, path in (line.partition(b"\t") for line in listed.split(b"\0") if line)
            if head.startswith(b"160000 ")
        }
        if not links:
            return ()
        if len(links) > _MAX_MODULES:
            raise GitError(f"{source} has more than {_MAX_MODULES} submodules")
        ran = self.command.run("config", "--blob", f"{commit.id}:.gitmodules", "-z", "--list", way=way)
        settings: dict[str, dict[str, str]] = {}
        for line in ran.out.decode(errors="surrogateescape").split("\0"):
            key, _, value = line.partition("\n")
            section, _, rest = key.partition(".")
            name, _, what = rest.rpartition(".")
            if section == "submodule":
                settings.setdefault(name, {})[what] = value
        return tuple(_module(source, path, head, settings) for path, head in sorted(links.items()))

    def _date(self, source: GitSource, commit: Commit, directory: str) -> None:
        way = Way(more={"GIT_DIR": _place(self.root, source.remote, commit)})
        said = self.command.check(str(source), "show", "-s", "--format=%ct", commit.id, way=way)
        when = int(said.split()[0])
        for top, folders, files in os.walk(directory, topdown=False):
            for name in (*files, *folders):
                os.utime(Path(top, name), (when, when), follow_symlinks=False)
        os.utime(directory, (when, when))

    # -- the repository in the store

    @contextmanager
    def _mirror(self, remote: str, commit: Commit) -> Iterator[tuple[str, int]]:
        """The store's repository for an address, and the descriptor that keeps others from it."""
        path = _place(self.root, remote, commit)
        Path(path).parent.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not Path(path, "HEAD").exists():
                shutil.rmtree(path, ignore_errors=True)
                self.command.check(remote, "init", "--quiet", "--bare", "--template=", *_format(commit), path)
            os.utime(path)
            yield path, lock
        finally:
            os.close(lock)

    def _fetch(self, source: GitSource, commit: Commit, mirror: str, lock: int) -> None:
        """The commit alone if the server can, else with its history."""
        if self._has(commit, mirror):
            return
        if not self.online:
            raise GitError(f"{source}: commit {commit.id} is not in the store, and there is no network")
        _remove_locks(mirror)
        auth = self.command.credentials(source)
        ways = [("--depth=1", f"+{commit.tag or commit.id}:{_kept(commit)}")]
        if commit.ref:
            ways.append(("--depth=1", f"+{commit.ref}:{_kept(commit)}"))
        ways.append(("--update-shallow", "+refs/*:refs/all/*"))
        ran = Ran(1, b"", "")
        for depth, refspec in ways:
            ran = self.command.run(
                *("fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", depth),
                *("--", source.remote, refspec),
                way=Way("/", NETWORK, auth, {"GIT_DIR": mirror}, FETCH_S, lock),
            )
            if ran.code == 0 and self._keep(commit, mirror):
                return
        if ran.code:
            raise failure(str(source), ran)
        hint = "the branch moved while it was fetched: build again" if commit.ref else "check the commit"
        raise GitError(f"{source}: the repository has no commit {commit.id}", hint=hint)

    def _has(self, commit: Commit, mirror: str) -> bool:
        ran = self.command.run("rev-parse", "--verify", "--quiet", _kept(commit), way=Way(more={"GIT_DIR": mirror}))
        return ran.code == 0 and ran.out.decode().strip() == (commit.tag or commit.id)

    def _keep(self, commit: Commit, mirror: str) -> bool:
        """Whether the commit has come; then it gets a name, which says that all of it is there."""
        way, wanted = Way(more={"GIT_DIR": mirror}), commit.tag or commit.id
        if self.command.run("cat-file", "-e", f"{wanted}^{{commit}}", way=way).code:
            return False
        return self.command.run("update-ref", _kept(commit), wanted, way=way).code == 0


def _candidates(ref: str) -> tuple[str, ...]:
    """What a ref may be called in full, in the order BuildKit prefers: itself, a branch, a tag."""
    if not ref:
        return ()
    heads, tags = "refs/heads/", "refs/tags/"
    names = ("refs/" + ref.removeprefix("refs/"), heads + ref.removeprefix(heads), tags + ref.removeprefix(tags))
    return tuple(dict.fromkeys(names))


def _check_sum(source: GitSource, commit: str, tag: str) -> None:
    if source.checksum and not commit.startswith(source.checksum) and not tag.startswith(source.checksum):
        raise GitError(
            f"{source}: expected commit {source.checksum}, found {commit}",
            hint="the ref has moved, or the checksum is another ref's: check both",
        )


def _default_branch(said: bytes) -> str:
    """Out of the answer of ``ls-remote --symref``; "" when the server does not tell."""
    for line in said.decode(errors="replace").splitlines():
        if line.startswith("ref: refs/heads/") and line.endswith("\tHEAD"):
            return line.removeprefix("ref: ").removesuffix("\tHEAD")
    return ""


def _kept(commit: Commit) -> str:
    return f"refs/pybuild/{commit.tag or commit.id}"


def _format(commit: Commit) -> tuple[str, ...]:
    """How repositories name what is in them is settled when they are made."""
    return ("--object-format=sha256",) if len(commit.id) == 64 else ()


def _place(root: str, remote: str, commit: Commit) -> str:
    name = hashlib.sha256(remote.encode(errors="surrogateescape")).hexdigest()[:32]
    return str(Path(root, FOLDER, f"{name}-sha256" if _format(commit) else name))


def _remove_locks(mirror: str) -> None:
    """Those a killed git left: nobody else works here."""
    for path in (*Path(mirror).glob("*.lock"), *Path(mirror, "refs").rglob("*.lock")):
        path.unlink(missing_ok=True)
    for path in Path(mirror, "objects", "pack").glob("tmp_*"):
        path.unlink(missing_ok=True)


def _module(
    source: GitSource, path: str, head: str, settings: Mapping[str, Mapping[str, str]]
) -> tuple[str, GitSource, Commit, str]:
    name = next((name for name, values in settings.items() if values.get("path") == path), None)
    url = settings[name].get("url", "") if name is not None else ""
    if name is None or not url:
        raise GitError(f"{source}: .gitmodules says no address for the submodule {path}")
    if _traverses(path) or _traverses(name):
        raise GitError(f"{source}: the submodule {name!r} lies outside of its repository")
    address = resolve_relative(source.remote, url)
    try:
        module = parse_git_url(address) or _any_http(address)
    except BadGitUrl as error:
        raise GitError(f"{source}: submodule {path}: {error.message}") from error
    if module is None or (module.remote.partition("://")[0] == "http" and source.remote.startswith("https://")):
        raise GitError(
            f"{source}: the submodule {path} is at {url!r}, which is not fetched",
            hint="submodules may be at https://, git:// and ssh:// addresses; ?submodules=false leaves them out",
        )
    foreign = source.foreign or module.host != source.host
    return path, module._replace(ref=head, userinfo="", foreign=foreign), Commit(head), name


def _any_http(address: str) -> GitSource | None:
    """A submodule's address need not end in .git."""
    if not address.startswith(("http://", "https://")):
        return None
    found = parse_git_url(address.rstrip("/") + ".git")
    return None if found is None else found._replace(remote=address)


def _traverses(path: str) -> bool:
    return path.startswith(("/", "-")) or any(part in {"", ".", "..", ".git"} for part in path.split("/"))


def _inside(directory: str, path: str) -> str:
    """The directory that git made for a submodule. Raises GitError when a link stands in its place."""
    place = directory
    for part in path.split("/"):
        place = posixpath.join(place, part)
        try:
            mode = os.lstat(place).st_mode
        except FileNotFoundError:
            Path(place).mkdir()
            continue
        if not stat.S_ISDIR(mode):
            raise GitError(f"the submodule {path} lies behind a link")
    return place


def _below(directory: str, source: GitSource) -> str:
    place = directory
    for part in filter(None, source.subdir.split("/")):
        place = posixpath.join(place, part)
        if part == ".git" or not Path(place).is_dir() or Path(place).is_symlink():
            hint = "links are not followed" if Path(place).is_symlink() else None
            raise GitError(f"{source}: there is no directory {source.subdir}", hint=hint)
    return place
