"""An S3 server on loopback that can fail now and then, or hold back one object."""

import itertools
import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Holding:
    """How a server treats single objects: it refuses to take one, or never answers one request."""

    key: str | None = None
    """Part of the key of the object that it refuses to take."""
    silence: str | None = None
    """Part of the key of the object whose next request is never answered."""
    arrived: threading.Event = field(default_factory=threading.Event)
    """Set when a client sends the refused object."""
    ignores_conditions: bool = False
    """Whether If-None-Match and If-Match have no effect, as on old servers."""

    def refuses(self, method: str, path: str) -> bool:
        refused = method in ("PUT", "POST") and self.key is not None and re.search(self.key, path) is not None
        if refused:
            self.arrived.set()
        return refused

    def silences(self, path: str) -> bool:
        """Whether this request is never answered; only one is."""
        silenced = self.silence is not None and re.search(self.silence, path) is not None
        if silenced:
            self.silence = None
        return silenced


@contextmanager
def s3_server(failing_every: int, host: str = "127.0.0.1") -> Iterator[tuple[str, Holding]]:
    moto_server = pytest.importorskip("moto.server", reason="needs the test extra: make test")
    from pyarrow.fs import S3FileSystem
    from werkzeug.serving import make_server

    app = moto_server.DomainDispatcherApplication(moto_server.create_backend_app)
    counted, holding, ended = itertools.count(1), Holding(), threading.Event()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if holding.silences(environ["PATH_INFO"]):
            ended.wait(600)
        fails = failing_every and next(counted) % failing_every == 0
        if fails or holding.refuses(environ["REQUEST_METHOD"], environ["PATH_INFO"]):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))  # the connection stays open after it
            start_response("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]
        for header in ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH") if holding.ignores_conditions else ():
            environ.pop(header, None)
        return app(environ, start_response)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(host, 0, answer, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"{host}:{server.server_port}"
    name = f"bucket-{uuid.uuid4().hex[:8]}"  # connections are kept by bucket: no other server has this one
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{address}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        S3FileSystem(endpoint_override=address, scheme="http", allow_bucket_creation=True).create_dir(name)
        yield f"s3://{name}", holding
    ended.set()
    server.shutdown()
