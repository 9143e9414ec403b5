"""One of several server processes: `archrouter.app.processes` starts it and gives it its settings on standard input."""

import sys
from pathlib import Path

import structlog

from archrouter.app.service import serve
from archrouter.config import Settings

if __name__ == "__main__":
    structlog.contextvars.bind_contextvars(server_process=int(sys.argv[1]))
    sys.exit(serve(Settings.model_validate_json(sys.stdin.read()), ready_file=Path("/dev/stdout")))
