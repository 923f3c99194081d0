"""What is an address of a repository, and what its parts mean (reference 1.10, "ADD git")."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.fetch.giturl import BadGitUrl, GitSource, parse_git_url, resolve_relative

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "remote", "ref", "subdir"),
    [
        ("https://h/x/y.git", "https://h/x/y.git", "", ""),
        ("http://h:8080/y.git#main", "http://h:8080/y.git", "main", ""),
        ("https://h/y.git#main:sub/dir", "https://h/y.git", "main", "sub/dir"),
        ("https://h/y.git#:sub", "https://h/y.git", "", "sub"),
        ("https://h/y.git#v1:/../a/./b/", "https://h/y.git", "v1", "a/b"),
        (f"https://h/y.git#{SHA}", "https://h/y.git", SHA, ""),
        ("https://h/y.git#refs/pull/7/head", "https://h/y.git", "refs/pull/7/head", ""),
        ("https://user:pw@h/y.git", "https://h/y.git", "", ""),
        ("git://h/y", "git://h/y", "", ""),
        ("ssh://git@h:22/y.git", "ssh://git@h:22/y.git", "", ""),
        ("ssh://git:pw@h/y", "ssh://git@h/y", "", ""),
        ("git@h:x/y.git#b:d", "git@h:x/y.git", "b", "d"),
        ("me@h.org:y", "me@h.org:y", "", ""),
        ("https://h/y.git?ref=main&subdir=d", "https://h/y.git", "main", "d"),
        ("https://h/y.git?branch=main", "https://h/y.git", "refs/heads/main", ""),
        ("https://h/y.git?tag=v1", "https://h/y.git", "refs/tags/v1", ""),
        (f"https://h/y.git?commit={SHA}&fetch-by-commit=true", "https://h/y.git", SHA, ""),
        ("git@h:y.git?ref=v2", "git@h:y.git", "v2", ""),
        ("https://h/y.git?ref=main#main:d", "https://h/y.git", "main", "d"),
    ],
)
def test_addresses(text: str, remote: str, ref: str, subdir: str) -> None:
    found = parse_git_url(text)
    assert found is not None
    assert (found.remote, found.ref, found.subdir) == (remote, ref, subdir)


@pytest.mark.parametrize(
    "text",
    [
        *("a", ".", "./x.git", "../x.git", "/x.git", "x.git", "github.com/x/y", "https://h/y", "http://h/y.git/"),
        *("https://h/y.tar.gz#x.git", "file:///x.git", "ftp://h/x.git", "ext::sh -c true.git", "-upload@h:x", ""),
        *("git@h://x", "C:x"),
    ],
)
def test_what_is_no_repository(text: str) -> None:
    assert parse_git_url(text) is None


def test_the_shorthand_is_for_contexts() -> None:
    found = parse_git_url("github.com/x/y#main:d", shorthand=True)
    assert found == GitSource("https://github.com/x/y", "github.com", "main", "d")


def test_switches() -> None:
    found = parse_git_url("https://h/y.git?keep-git-dir=1&submodules=false&mtime=commit&checksum=abc")
    assert found is not None
    assert (found.keep_git_dir, found.submodules, found.commit_times, found.checksum) == (True, False, True, "abc")


def test_user_names_are_kept_apart() -> None:
    found = parse_git_url("https://us%40er:p%3Aw@h:1/y.git")
    assert found is not None
    assert (found.userinfo, found.host, found.remote) == ("us@er:p:w", "h:1", "https://h:1/y.git")
    assert "p:w" not in str(found)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("https://h/y.git?colour=red", "colour is no part"),
        ("https://h/y.git?ref=a&ref=b", "two refs"),
        ("https://h/y.git?ref=a&branch=b", "two refs"),
        ("https://h/y.git?ref=a#b", "two refs"),
        ("https://h/y.git?branch=a#a", "two refs"),
        ("https://h/y.git?ref=", "ref has no value"),
        ("https://h/y.git?subdir=", "subdir has no value"),
        ("https://h/y.git?ref=a&ref=a", "given twice"),
        ("https://h/y.git?subdir=a#:b", "two subdirectories"),
        ("https://h/y.git?commit=abc&checksum=def", "two commits"),
        ("https://h/y.git?commit=xyz", "is not a commit"),
        ("https://h/y.git?commit=abc&fetch-by-commit=true", "needs a full commit"),
        ("https://h/y.git?submodules=maybe", "neither true nor false"),
        ("https://h/y.git?submodules=tRUE", "neither true nor false"),
        ("https://h/y.git?mtime=now", "neither commit nor checkout"),
        ("https://h/y.git#--upload-pack=touch${IFS}x", "cannot be the name"),
        ("https://h/y.git#-x", "cannot be the name"),
        ("https://h/y.git#a..b", "cannot be the name"),
        ("https://h/y.git#a b", "cannot be the name"),
        ("https://h/y.git#*", "cannot be the name"),
        ("ssh://-oProxyCommand=x/y", "no host"),
        ("ssh://-oProxyCommand=x@h/y", "no user"),
        ("git@-oProxyCommand:y.git", "names no repository"),
        ("git@h:-x", "names no repository"),
        ("https:///y.git", "names no host"),
        ("https://h:port/y.git", "port"),
    ],
)
def test_refused(text: str, problem: str) -> None:
    with pytest.raises(BadGitUrl, match=problem):
        parse_git_url(text)


@pytest.mark.parametrize(
    ("base", "url", "address"),
    [
        ("https://h/a/b.git", "../c.git", "https://h/a/c.git"),
        ("https://h/a/b.git", "../../c.git", "https://h/c.git"),
        ("https://h/a/b.git", "./c.git", "https://h/a/b.git/c.git"),
        ("git@h:a/b", "../c", "git@h:a/c"),
        ("git@h:b", "../c", "git@h:c"),
        ("https://h/b.git", "https://other/c.git", "https://other/c.git"),
    ],
)
def test_submodules_beside_their_parent(base: str, url: str, address: str) -> None:
    assert resolve_relative(base, url) == address


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_not(text: str) -> None:
    for prefix in ("", "https://h/y.git", "git@h:", "ssh://"):
        try:
            found = parse_git_url(prefix + text)
        except BadGitUrl:
            continue
        if found is not None:
            assert not found.remote.startswith("-")
            assert not found.ref.startswith("-")
            assert not found.host.startswith("-")
            assert ".." not in found.subdir.split("/")
