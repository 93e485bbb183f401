"""Redis as installations have it: behind TLS and a user's name, on a socket, watched by Sentinels, as a cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.embedded_server import wait_until
from tests.support.redis_server import RedisServer, free_port, redis_server

USER = "agentmem"
PASSWORD = "a pass/word: 100%"
MASTER = "mymaster"
SENTINELS = 3
NODES = 3


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make a certificate of 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's Redis")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "server.crt", directory / "server.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths[1].write_bytes(key.private_bytes(*form))
    return paths


class Sentinels:
    """A master with a replica, and three Sentinels that put the replica in its place when it is gone."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.master, self.replica = (self._start(directory / name, stack) for name in ("master", "replica"))
        with self.replica.client() as client:
            client.replicaof("127.0.0.1", self.master.port)
        wait_until(self._is_in_step)
        ports = [self._watch(directory / f"sentinel-{number}", stack) for number in range(SENTINELS)]
        self.url = f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in ports)}/{MASTER}/0"
        self._port = ports[0]
        wait_until(lambda: self._seen() == (str(SENTINELS - 1), "1"))

    def leader(self) -> int:
        """Give the port of the server that is the master now."""
        with redis.Redis(port=self._port) as client:
            address: Any = client.execute_command("SENTINEL", "get-master-addr-by-name", MASTER)
        return int(address[1])

    @staticmethod
    def _start(directory: Path, stack: ExitStack) -> RedisServer:
        directory.mkdir()
        return stack.enter_context(redis_server(directory, "--repl-diskless-sync-delay", "0"))

    def _watch(self, directory: Path, stack: ExitStack) -> int:
        directory.mkdir()
        settings = directory / "sentinel.conf"
        settings.write_text(
            f"sentinel monitor {MASTER} 127.0.0.1 {self.master.port} 2\n"
            f"sentinel down-after-milliseconds {MASTER} 700\nsentinel failover-timeout {MASTER} 5000\n"
        )
        port = free_port()
        command = ["redis-server", str(settings), "--sentinel", "--port", str(port), "--bind", "127.0.0.1"]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, cwd=directory, stdout=quiet, stderr=quiet)
        stack.callback(process.wait)
        stack.callback(process.kill)
        return port

    def _is_in_step(self) -> bool:
        with self.master.client() as client:
            told: Any = client.info("replication")
        return str(told.get("slave0", {}).get("state")) == "online"

    def _seen(self) -> tuple[str, str]:
        """Say how many other Sentinels and replicas the first Sentinel knows."""
        try:
            with redis.Redis(port=self._port, decode_responses=True) as client:
                listed: Any = client.execute_command("SENTINEL", "master", MASTER)
        except redis.RedisError:
            return "", ""
        told = listed if isinstance(listed, dict) else dict(zip(listed[::2], listed[1::2], strict=True))
        return str(told["num-other-sentinels"]), str(told["num-slaves"])


class Topologies:
    """Starts each kind of Redis when a test first asks for its URL, and shares it with the later ones."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory, self._stack = directory, stack

    @cached_property
    def single(self) -> RedisServer:
        """One server."""
        return self._stack.enter_context(redis_server(self._folder("single")))

    @cached_property
    def encrypted(self) -> str:
        """One server that speaks TLS alone, to a user who gives a password."""
        folder = self._folder("tls")
        paths, port = certificate(folder), free_port()
        users = folder / "users.acl"
        users.write_text("user default on nopass sanitize-payload +ping\n")
        options: tuple[str, ...] = (
            "--tls-port",
            str(port),
            "--tls-cert-file",
            str(paths[0]),
            "--tls-key-file",
            str(paths[1]),
        )
        options += ("--tls-ca-cert-file", str(paths[0]), "--tls-auth-clients", "no")
        server = self._stack.enter_context(redis_server(folder, *options))
        with server.client() as client:
            client.acl_setuser(
                USER,
                enabled=True,
                passwords=[f"+{PASSWORD}"],
                keys=["agentmem:*"],
                channels=["agentmem:*"],
                categories=["+@all", "-@admin"],
            )
            client.config_set("port", 0)
        return f"rediss://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/0?ssl_ca_certs={paths[0]}"

    @cached_property
    def on_a_socket(self) -> str:
        """One server that listens on a socket of this machine."""
        folder = self._folder("socket")
        path = folder / "redis.sock"
        self._stack.enter_context(redis_server(folder, "--unixsocket", str(path)))
        return f"unix://{path}"

    @cached_property
    def sentinels(self) -> Sentinels:
        """A master, a replica and three Sentinels."""
        return Sentinels(self._folder("sentinels"), self._stack)

    @cached_property
    def cluster(self) -> str:
        """A cluster of three masters."""
        folder = self._folder("cluster")
        ports = []
        for number in range(NODES):
            own = folder / str(number)
            own.mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "2000")
            ports.append(self._stack.enter_context(redis_server(own, *options)).port)
        nodes = [f"127.0.0.1:{port}" for port in ports]
        subprocess.run(["redis-cli", "--cluster", "create", *nodes, "--cluster-yes"], check=True, capture_output=True)
        wait_until(lambda: all(_serves(port) for port in ports))
        return f"redis+cluster://{','.join(nodes)}"

    def _folder(self, name: str) -> Path:
        folder = self._directory / name
        folder.mkdir()
        return folder


def _serves(port: int) -> bool:
    with redis.Redis(port=port) as client:
        told: Any = client.cluster("info")
    text = told if isinstance(told, dict) else dict(line.split(":") for line in told.decode().split("\r\n") if line)
    return str(text["cluster_state"]) == "ok"


@contextmanager
def topologies(directory: Path) -> Iterator[Topologies]:
    """Give every kind of Redis; whatever was started ends with the block."""
    with ExitStack() as stack:
        yield Topologies(directory, stack)
