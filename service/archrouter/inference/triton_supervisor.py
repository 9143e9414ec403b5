"""Brings the embedded Triton back when it ends by itself."""

import asyncio

import structlog

from archrouter.inference.embedded import EmbeddedTriton
from archrouter.inference.installation import EmbeddedTritonError

MAX_RESTART_DELAY_S = 30.0

STABLE_S = 30.0
"""A server that ran so long did not end because of how it was started, so the next start need not wait."""

_log = structlog.get_logger(__name__)


async def keep_running(triton: EmbeddedTriton, *, restart_delay_s: float) -> None:
    """Restart a started server each time it ends, until cancelled.

    At once where it ran for `STABLE_S`. A further start in a row waits for the delay, in seconds, and each one after
    that for twice as long as the one before, up to `MAX_RESTART_DELAY_S`.
    """
    loop = asyncio.get_running_loop()
    delay_s, started_s = 0.0, -STABLE_S
    while True:
        exit_code = await triton.wait_exit()
        _log.error("embedded_triton_exited", exit_code=exit_code, log_tail=triton.log_tail())
        if loop.time() - started_s >= STABLE_S:
            delay_s = 0.0
        while triton.pid is None:
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s or restart_delay_s, MAX_RESTART_DELAY_S)
            try:
                await triton.start()
            except (EmbeddedTritonError, OSError) as error:
                _log.error("embedded_triton_restart_failed", reason=str(error))  # the log tail says it all
        started_s = loop.time()
        _log.info("embedded_triton_restarted", pid=triton.pid, endpoint=triton.endpoint)
