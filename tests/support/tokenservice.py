"""The token service beside a registry that does no passwords itself: who may do what is written here.

Tokens are those of distribution's docs/spec/auth/jwt.md, which Debian's docker-registry verifies by the authority.
"""

import base64
import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.certificates import Pair

SERVICE, ISSUER = "registry of a test", "tokens of a test"
_LIFE_S = 300


class Account(NamedTuple):
    """``actions``: what is allowed in every repository, of ``pull`` and ``push``."""

    password: str
    actions: frozenset[str]


@contextmanager
def token_service(pair: Pair, accounts: Mapping[str, Account]) -> Iterator[str]:
    """Listens on loopback with ``pair``, with which it signs as well; yields the address for tokens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(_Signer(pair), accounts))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}/token"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Signer:
    def __init__(self, pair: Pair) -> None:
        key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        certificate = x509.load_pem_x509_certificate(pair.cert.read_bytes())
        der = certificate.public_bytes(serialization.Encoding.DER)
        self._header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}

    def sign(self, claims: Mapping[str, Any]) -> str:
        text = f"{_encoded(self._header)}.{_encoded(claims)}"
        numbers = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_base64(b''.join(number.to_bytes(32, 'big') for number in numbers))}"


def _encoded(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _handler(signer: _Signer, accounts: Mapping[str, Account]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
            name, _, password = base64.b64decode(encoded).decode().partition(":") if scheme == "Basic" else ("", "", "")
            self._grant(parse_qs(urlsplit(self.path).query), name, password)

        def do_POST(self) -> None:
            fields = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._grant(fields, fields.get("username", [""])[0], fields.get("password", [""])[0])

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nobody reads it."""

        def _grant(self, fields: Mapping[str, list[str]], name: str, password: str) -> None:
            account = accounts.get(name)
            if account is None or account.password != password:
                self._answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect password"}]})
                return
            access = []
            for scope in " ".join(fields.get("scope", [])).split():
                kind, repository, actions = scope.split(":", 2)
                allowed = sorted(account.actions & set(actions.split(",")))
                access.append({"type": kind, "name": repository, "actions": allowed})
            now = int(time.time())  # noqa: TID251 - the registry compares it with its clock
            claims = {"iss": ISSUER, "sub": name, "aud": SERVICE, "jti": secrets.token_hex(8), "access": access}
            token = signer.sign({**claims, "iat": now, "nbf": now - 10, "exp": now + _LIFE_S})
            self._answer(200, {"token": token, "access_token": token, "expires_in": _LIFE_S})

        def _answer(self, status: int, document: Mapping[str, Any]) -> None:
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler
