"""Listening: a socket, the server on it until Ctrl-C or SIGTERM."""

import errno
import ipaddress
import logging
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import torch
import uvicorn
from fastapi import FastAPI

from mnistctl.errors import MnistctlError, UsageError
from mnistctl.files import reason
from mnistctl.serve.guard import LOOPBACK, Guard

SHUTDOWN_SECONDS = 1
KEEP_ALIVE_SECONDS = 60
PORTS_TRIED = 100


@dataclass(frozen=True)
class Listener:
    """A bound socket, and who may ask there."""

    socket: socket.socket
    host: str
    token: str | None

    @property
    def public(self) -> bool:
        """Whether other machines may reach it."""
        return not _is_loopback(self.host)

    @property
    def url(self) -> str:
        """The page's address, with the token that it needs."""
        port = self.socket.getsockname()[1]
        own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        name = f"[{own}]" if ":" in own else own
        token = f"?token={quote(self.token, safe='')}" if self.token else ""
        return f"http://{name}:{port}/{token}"


def listen(host: str, port: int, token: str | None) -> Listener:
    """Bind `host` and `port`, 0: a free one. Beyond the loopback a token is made if none is given.

    Raises UsageError for a host that nobody knows, MnistctlError for one that isn't this machine's
    and for a port that is taken or not allowed.
    """
    if token is None and not _is_loopback(host):
        token = secrets.token_urlsafe(16)
    try:
        return Listener(_bind(host, port), host, token)
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(f"unknown host '{host}'", "use --host 127.0.0.1 or 0.0.0.0") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise MnistctlError(f"port {port} is taken", _free_port(host, port)) from error
        hint = "use --port 8000" if error.errno == errno.EACCES else "use --host 127.0.0.1"
        raise MnistctlError(f"can't listen on {host}:{port}: {reason(error)}", hint) from error


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)
    except OSError:
        bound.close()
        raise
    return bound


def _free_port(host: str, port: int) -> str:
    for other in range(port + 1, min(port + PORTS_TRIED, 65536)):
        try:
            _bind(host, other).close()
        except OSError:
            continue
        return f"use --port {other}, or --port 0 for any free one"
    return "use --port 0 for any free one"


class PageServer(uvicorn.Server):
    """Calls `ready` when it answers; Ctrl-C and SIGTERM are the way to end it, not errors."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self.ready()

    def handle_exit(self, sig: int, frame: object) -> None:
        """End in good order; at the second signal without waiting for answers."""
        self.force_exit = self.should_exit
        self.should_exit = True
        # Requests that this cuts off are no errors to report.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


def serve(app: FastAPI, listener: Listener, ready: Callable[[], None]) -> None:
    """Answer until a signal comes. A network gets one thread: single pictures are fastest so."""
    torch.set_num_threads(1)
    hosts = None if listener.public else LOOPBACK | {listener.host}
    config = uvicorn.Config(
        Guard(app, hosts, listener.token),
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    PageServer(config, ready).run([listener.socket])
