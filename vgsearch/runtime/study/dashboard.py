"""Serves Optuna's dashboard of one experiment to this machine."""

import errno
import logging
import tempfile
import threading
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.study.dashboard_study import ShownStudy
from vgsearch.terminal.line import print_line
from vgsearch.terminal.words import shown
from videogan.config import ConfigurationError

LOOPBACK = "127.0.0.1"
"""The dashboard can delete and edit trials of its copy and has no password: no other machine may reach it."""
SECONDS_BETWEEN_UPDATES = 5.0


def serve(experiment: Experiment, port: int) -> None:
    """Serve until Ctrl-C. Raises ConfigurationError without a sweep, without the package, or if the port is taken."""
    if not experiment.has_events:
        raise experiment.missing()
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise ConfigurationError("dashboard needs another package: pip install 'vgsearch[dashboard]'.") from None
    with tempfile.TemporaryDirectory(prefix="vgsearch-dashboard-") as folder:
        study = ShownStudy(experiment, Path(folder))
        application = wsgi(study.storage, artifact_store=study.artifacts)
        try:
            server = make_server(LOOPBACK, port, application, handler_class=_Quiet)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise ConfigurationError(f"--port {port}: {error.strerror}; give another.") from None
        ended = threading.Event()
        threading.Thread(target=_keep_up, args=(study, ended), daemon=True).start()
        print_line(f"{shown(experiment.place)}: http://{LOOPBACK}:{port}/dashboard/   Ctrl-C ends it")
        with server:
            try:
                server.serve_forever()
            finally:
                ended.set()


def _keep_up(study: ShownStudy, ended: threading.Event) -> None:
    while not ended.wait(SECONDS_BETWEEN_UPDATES):
        try:
            study.update()
        except OSError as error:  # the ledger may be out of reach for a while
            logging.getLogger(__name__).warning("the ledger cannot be read: %s", error)


class _Quiet(WSGIRequestHandler):
    """Prints no line for each request."""

    def log_message(self, format: str, *values: object) -> None:
        pass
