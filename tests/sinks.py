"""Real servers on loopback that take what alerts send: a mail server and the webhooks' hosts.

The webhook services have fixed names and speak TLS. They are reached as from behind a company's
proxy: ``HTTPS_PROXY`` names a proxy on loopback which answers for these names itself, with
certificates of an authority that ``REQUESTS_CA_BUNDLE`` makes known.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ("qyapi.weixin.qq.com", "oapi.dingtalk.com", "open.feishu.cn")


class _Server:
    """Accepts connections on loopback and serves each in a thread."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, it: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            peer.settimeout(20)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            self.serve(peer)
        except OSError:
            pass  # The other side went away, which a test may want.
        finally:
            peer.close()

    def serve(self, peer: socket.socket) -> None:
        raise NotImplementedError


class MailSink(_Server):
    """Takes mail as RFC 5321 says, without authentication."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        super().__init__()

    def serve(self, peer: socket.socket) -> None:
        stream = peer.makefile("rwb", buffering=0)
        stream.write(b"220 sink\r\n")
        while line := stream.readline():
            word = line.split()[0].upper() if line.split() else b""
            if word == b"DATA":
                stream.write(b"354 go on\r\n")
                lines = []
                while (part := stream.readline()) not in (b".\r\n", b""):
                    lines.append(part[1:] if part.startswith(b"..") else part)
                mail = message_from_bytes(b"".join(lines), policy=policy.default)
                assert isinstance(mail, EmailMessage)
                self.mails.append(mail)
            if word == b"QUIT":
                stream.write(b"221 bye\r\n")
                return
            stream.write(b"250 ok\r\n")


class WebhookSink(_Server):
    """The three services behind a proxy; ``status`` is what they answer, ``answer`` the JSON.

    ``hold``: a request is read and never answered until it is set.
    """

    def __init__(self, folder: Path) -> None:
        self.status, self.answer = 200, {"errcode": 0, "errmsg": "ok", "code": 0}
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.hold = threading.Event()
        self.hold.set()
        self.arrived = threading.Event()
        self.bundle = folder / "authority.pem"
        self.context = _certified(folder, self.bundle)
        super().__init__()

    @property
    def environment(self) -> dict[str, str]:
        proxy = f"http://127.0.0.1:{self.port}"
        return {"HTTPS_PROXY": proxy, "REQUESTS_CA_BUNDLE": str(self.bundle), "NO_PROXY": ""}

    def serve(self, peer: socket.socket) -> None:
        first, _ = _head(peer)
        host = first.split()[1].rpartition(":")[0]
        assert host in HOSTS
        peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with self.context.wrap_socket(peer, server_side=True) as inner:
            start, headers = _head(inner)
            body = b""
            while len(body) < int(headers["content-length"]):
                body += inner.recv(65536)
            self.requests.append((host, start.split()[1], json.loads(body)))
            self.arrived.set()
            self.hold.wait(20)
            told = json.dumps(self.answer).encode()
            size = str(len(told)).encode()
            inner.sendall(
                f"HTTP/1.1 {self.status} x\r\n".encode()
                + b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: "
                + size
                + b"\r\n\r\n"
                + told
            )


def _head(peer: Any) -> tuple[str, dict[str, str]]:
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        read += peer.recv(1)
    start, *lines = read.decode().strip().split("\r\n")
    return start, {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}


def _certified(folder: Path, bundle: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(h) for h in HOSTS]), False)
        .sign(key, hashes.SHA256())
    )
    bundle.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    kind = serialization.PrivateFormat.PKCS8
    secret = folder / "authority.key"
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle, secret)
    return context
