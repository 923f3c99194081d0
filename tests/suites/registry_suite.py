"""What every registry must do with us, the fake and the real. Subclass RegistrySuite and give it a ``place``."""

import hashlib
import json
import random
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from layers.digest import BlobDigest, Digest
from layers.errors import IntegrityError
from layers.manifest import Index, parse
from registry.auth import Credential
from registry.endpoints import HostSettings
from registry.errors import LoginNeeded, UnknownName, Unreachable, Untrusted, WrongCredential
from registry.pull import Puller
from registry.push import Document, KnownOrigins, Push, PushedImage, bytes_blob, push
from registry.reference import Reference
from registry.session import Session
from registry.upload import Blob
from tests.support.images import MadeImage, MadeLayer, entry, make_image, make_index, make_layer
from tests.support.registries import AMD64, PACE, free_port, left_over, login, make_blobs, session, to_push


class Place(NamedTuple):
    """A registry that listens. ``private``: it asks who is there; ``tls``: its authority is in ``settings``."""

    host: str
    settings: HostSettings
    private: bool
    tls: bool

    def session(self, credential: Credential | None = None, settings: HostSettings | None = None) -> Session:
        known = {} if credential is None else {self.host: credential}
        return session(known, {self.host: self.settings if settings is None else settings})

    @property
    def credential(self) -> Credential | None:
        return login() if self.private else None

    def name(self, text: str) -> Reference:
        return Reference.parse(f"{self.host}/{text}")


def layer(seed: int, size: int = 2000) -> MadeLayer:
    return make_layer({f"data-{seed}": random.Random(seed).randbytes(size)}, compressed=seed % 2 == 0)


def image(*seeds: int, size: int = 2000, **config: Any) -> MadeImage:
    return make_image(*(layer(seed, size) for seed in seeds), **config)


class RegistrySuite:
    def test_round_trip(self, place: Place, tmp_path: Path) -> None:
        made, name = image(1, 2, 3, Cmd=["true"]), place.name("team/round-trip:1")
        blobs = make_blobs(tmp_path)
        sent: list[int] = []
        with place.session(place.credential) as ours:
            done = push(ours, [name], to_push(made), KnownOrigins(), lambda _, count: sent.append(count))
            puller = Puller(ours)
            pulled = puller.resolve(name, AMD64)
            assert puller.lookup(name) == pulled.digest == done[0].digest == Digest.parse(made.digest)
            assert pulled.config == made.config
            moved: list[int] = []
            puller.fetch(pulled, pulled.manifest.layers, blobs, moved.append)
            puller.fetch(pulled, pulled.manifest.layers, blobs, moved.append)
        assert sum(moved) == sum(len(one.blob) for one in made.layers)
        assert sum(sent) == sum(moved) + len(made.config)
        for one in made.layers:
            with blobs.open(BlobDigest(Digest.parse(one.digest)), len(one.blob)) as stored:
                stored.drain()
        assert not left_over(tmp_path)

    def test_by_digest_and_several_tags(self, place: Place) -> None:
        made = image(4)
        with place.session(place.credential) as ours:
            names = [place.name("team/tags:a"), place.name("team/tags:b"), place.name("team/tags")]
            done = push(ours, names, to_push(made), KnownOrigins())
            assert {one.digest for one in done} == {Digest.parse(made.digest)}
            pinned = place.name(f"team/tags:gone@{made.digest}")
            assert Puller(ours).resolve(pinned, AMD64).digest == Digest.parse(made.digest)
            assert set(ours.sources(names[0])[0].tags()) == {"a", "b"}

    def test_index(self, place: Place) -> None:
        amd64, arm64 = image(5), image(6, size=10)
        arm64 = make_image(*arm64.layers, architecture="arm64")
        index = make_index(
            entry(amd64, platform={"os": "linux", "architecture": "amd64"}),
            entry(arm64, platform={"os": "linux", "architecture": "arm64"}),
        )
        parts = [to_push(amd64), to_push(arm64)]
        documents = [document for part in parts for document in part.documents]
        documents.append(Document(index, json.loads(index)["mediaType"]))
        blobs = tuple(blob for part in parts for blob in part.blobs)
        name = place.name("team/index:1")
        with place.session(place.credential) as ours:
            push(ours, [name], PushedImage(blobs, tuple(documents)), KnownOrigins())
            pulled = Puller(ours).resolve(name, AMD64)
            assert pulled.config == amd64.config
            assert pulled.digest == Digest.of(index)
            found = ours.sources(name)[0].get_manifest("1")
            assert isinstance(parse(found.raw), Index)

    def test_base_is_mounted(self, place: Place) -> None:
        base, app = layer(8, 50_000), layer(9)
        origins = KnownOrigins()
        with place.session(place.credential) as ours:
            push(ours, [place.name("base/image:1")], to_push(make_image(base)), origins)
            moved: list[int] = []
            work = Push(ours.target(place.name("app/image:1")), origins, PACE)
            content = to_push(make_image(base, app))
            unread = content.blobs[0]._replace(open=_unreadable)
            work.send_all([unread, *content.blobs[1:]], 2, moved.append)
            work.seal(content.documents, ["1"])
            assert Puller(ours).resolve(place.name("app/image:1"), AMD64).config == make_image(base, app).config

    def test_upload_in_chunks(self, place: Place, tmp_path: Path) -> None:
        made = image(10, size=300_000)
        name = place.name("team/chunks:1")
        with place.session(place.credential) as ours:
            work = Push(ours.target(name), KnownOrigins(), PACE, chunk_size=70_000)
            content = to_push(made)
            work.send_all(content.blobs, 2)
            work.seal(content.documents, ["1"])
            pulled = Puller(ours).resolve(name, AMD64)
            Puller(ours).fetch(pulled, pulled.manifest.layers, make_blobs(tmp_path))

    def test_upload_session(self, place: Place) -> None:
        """Status and deletion of a session, step by step."""
        data = random.Random(11).randbytes(100_000)
        with place.session(place.credential) as ours:
            repository = ours.target(place.name("team/session"))
            upload = repository.start_upload()
            assert upload is not None
            upload = repository.patch(upload, 60_000, lambda: _Bytes(data[:60_000]))
            assert upload.offset == 60_000
            assert repository.upload_status(upload).offset == 60_000
            repository.cancel_upload(upload)
            repository.cancel_upload(upload)
            with pytest.raises(UnknownName):
                repository.upload_status(upload)

    def test_permission_is_checked_and_leaves_nothing(self, place: Place) -> None:
        with place.session(place.credential) as ours:
            Push(ours.target(place.name("team/check")), KnownOrigins(), PACE).check()

    def test_range(self, place: Place) -> None:
        made = image(12, size=10_000)
        digest = BlobDigest(Digest.parse(made.layers[0].digest))
        with place.session(place.credential) as ours:
            push(ours, [place.name("team/range:1")], to_push(made), KnownOrigins())
            repository = ours.sources(place.name("team/range"))[0]
            response, begin = repository.open_blob(digest, 4000)
            assert begin == 4000
            assert response.read(100_000) == made.layers[0].blob[4000:]
            assert repository.head_blob(digest) == len(made.layers[0].blob)
            assert repository.head_blob(BlobDigest(Digest.of(b"nothing"))) is None

    def test_unknown_tag(self, place: Place) -> None:
        with place.session(place.credential) as ours:
            push(ours, [place.name("team/known:1")], to_push(image(13)), KnownOrigins())
            with pytest.raises(UnknownName) as caught:
                Puller(ours).resolve(place.name("team/known:2"), AMD64)
            with pytest.raises(UnknownName):
                Puller(ours).lookup(place.name("team/known:2"))
        assert caught.value.message == f"{place.host}/team/known has no tag 2"
        assert caught.value.hint == "check the spelling of the name and the tag, and that it was pushed"

    def test_wrong_password(self, place: Place) -> None:
        if not place.private:
            pytest.skip("this registry asks nobody for a password")
        with place.session(login(password="wrong")) as ours:
            with pytest.raises(WrongCredential) as caught:
                Push(ours.target(place.name("team/x")), KnownOrigins(), PACE).check()
            with pytest.raises(WrongCredential):
                Puller(ours).resolve(place.name("team/x:1"), AMD64)
            with pytest.raises(WrongCredential):
                ours.login(place.host, login(password="wrong"))
        assert caught.value.message.startswith(f"{place.host} does not accept the password of user 'builder'")
        assert caught.value.hint == f"run 'pybuild login {place.host}' with the right password"
        assert "wrong" not in repr(caught.value)

    def test_no_credential(self, place: Place) -> None:
        if not place.private:
            pytest.skip("this registry asks nobody for a password")
        with place.session() as ours, pytest.raises(LoginNeeded) as caught:
            Push(ours.target(place.name("team/x")), KnownOrigins(), PACE).check()
        assert caught.value.hint == f"run 'pybuild login {place.host}'"

    def test_login(self, place: Place) -> None:
        with place.session() as ours:
            kept = ours.login(place.host, login())
        with place.session(kept) as ours:
            Push(ours.target(place.name("team/login")), KnownOrigins(), PACE).check()

    def test_missing_authority(self, place: Place) -> None:
        if not place.tls:
            pytest.skip("this registry speaks plain HTTP")
        with place.session(place.credential, HostSettings()) as ours, pytest.raises(Untrusted) as caught:
            Puller(ours).resolve(place.name("team/x:1"), AMD64)
        assert caught.value.message.startswith(f"the certificate of {place.host} is not trusted: ")
        assert f"/etc/docker/certs.d/{place.host}/ca.crt" in (caught.value.hint or "")

    def test_insecure(self, place: Place) -> None:
        with place.session(place.credential, HostSettings(insecure=True)) as ours:
            Push(ours.target(place.name("team/insecure")), KnownOrigins(), PACE).check()

    def test_not_reachable(self, place: Place) -> None:
        host = f"127.0.0.1:{free_port()}"
        with place.session() as ours, pytest.raises(Unreachable) as caught:
            Puller(ours).resolve(Reference.parse(f"{host}/team/x:1"), AMD64)
        assert caught.value.message == f"cannot reach {host}: connection refused"
        assert f"check that {host} is the right host and port" in (caught.value.hint or "")

    def test_what_is_sent_wrongly_is_refused(self, place: Place) -> None:
        """A blob whose bytes changed on disk: an error, no blob, no session."""
        data, other = b"what was promised", b"what is there now"
        good = bytes_blob(data, "application/octet-stream")
        bad = Blob(good.descriptor, bytes_blob(other, "").open)
        with place.session(place.credential) as ours:
            work = Push(ours.target(place.name("team/changed")), KnownOrigins(), PACE)
            with pytest.raises((IntegrityError, Exception)) as caught:
                work.send(bad)
            work.abort()
            assert "digest" in str(caught.value).lower()
            assert ours.target(place.name("team/changed")).head_blob(good.descriptor.digest) is None

    def test_many_threads_one_upload(self, place: Place) -> None:
        data = random.Random(14).randbytes(50_000)
        opened: list[str] = []

        def opener() -> "_Bytes":
            opened.append("once")
            return _Bytes(data)

        blob = bytes_blob(data, "application/octet-stream")._replace(open=opener)
        with place.session(place.credential) as ours:
            work = Push(ours.target(place.name("team/threads")), KnownOrigins(), PACE)
            threads = [threading.Thread(target=work.send, args=(blob,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert opened == ["once"]

    def test_empty_blob(self, place: Place) -> None:
        blob = bytes_blob(b"", "application/octet-stream")
        with place.session(place.credential) as ours:
            target = ours.target(place.name("team/empty"))
            Push(target, KnownOrigins(), PACE).send(blob)
            assert target.head_blob(blob.descriptor.digest) == 0


def _unreadable() -> "_Bytes":
    raise AssertionError("this blob is to be mounted, not read")


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._length = len(data)

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1, /) -> bytes:
        end = len(self._data) if size < 0 else size
        found, self._data = self._data[:end], self._data[end:]
        return found

    def close(self) -> None:
        """Nothing is open."""


def sha512(data: bytes) -> Digest:
    return Digest("sha512", hashlib.sha512(data).hexdigest())


def hosts(*places: Place) -> Mapping[str, HostSettings]:
    return {place.host: place.settings for place in places}
