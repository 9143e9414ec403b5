"""One of several server processes: `archrouter.app.processes` starts it and gives it its settings on standard input."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import structlog

from archrouter.app.service import serve
from archrouter.config import Settings

if __name__ == "__main__":
    structlog.contextvars.bind_contextvars(server_process=int(sys.argv[1]))
    tell_parent = partial(os.kill, os.getppid(), signal.SIGUSR1)
    settings = Settings.model_validate_json(sys.stdin.read())
    sys.exit(serve(settings, ready_file=Path("/dev/stdout"), after_reload_call=tell_parent))
