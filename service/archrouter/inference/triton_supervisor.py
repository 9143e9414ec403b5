"""Brings the embedded Triton back when it ends by itself."""

import asyncio

import structlog

from archrouter.inference.embedded import EmbeddedTriton
from archrouter.inference.installation import EmbeddedTritonError

MAX_RESTART_DELAY_S = 30.0

_log = structlog.get_logger(__name__)


async def keep_running(triton: EmbeddedTriton, *, restart_delay_s: float) -> None:
    """Restart a started server each time it ends, until cancelled.

    The delay, in seconds, is doubled after each try that fails, up to `MAX_RESTART_DELAY_S`.
    """
    while True:
        exit_code = await triton.wait_exit()
        _log.error("embedded_triton_exited", exit_code=exit_code, log_tail=triton.log_tail())
        delay_s = restart_delay_s
        while triton.pid is None:
            await asyncio.sleep(delay_s)
            try:
                await triton.start()
            except (EmbeddedTritonError, OSError) as error:
                _log.error("embedded_triton_restart_failed", reason=str(error))  # the log tail says it all
                delay_s = min(2 * delay_s, MAX_RESTART_DELAY_S)
        _log.info("embedded_triton_restarted", pid=triton.pid, endpoint=triton.endpoint)
