"""Brings the embedded Triton back when it ends by itself, or runs and answers nothing."""

import asyncio
from collections.abc import Sequence

import structlog

from archrouter.domain.errors import ArchRouterError, BackendUnavailableError, BudgetExceededError
from archrouter.inference.connect import connect
from archrouter.inference.embedded import EmbeddedTriton
from archrouter.inference.endpoint import EndpointSpec
from archrouter.inference.installation import EmbeddedTritonError

MAX_RESTART_DELAY_S = 30.0

STABLE_S = 30.0
"""A server that ran so long did not end because of how it was started, so the next start need not wait."""

LOOK_INTERVAL_S = 5.0
LOOK_TIMEOUT_S = 5.0
MAX_SILENT_LOOKS = 3
"""So many real calls in a row that nobody answers, and a server is taken to be stuck; a busy one answers sooner."""

_log = structlog.get_logger(__name__)


async def keep_running(triton: EmbeddedTriton, endpoints: Sequence[EndpointSpec], *, restart_delay_s: float) -> None:
    """Restart a started server each time it ends, and end it when one of its endpoints is stuck, until cancelled.

    At once where it ran for `STABLE_S`. A further start in a row waits for the delay, in seconds, and each one after
    that for twice as long as the one before, up to `MAX_RESTART_DELAY_S`.
    """
    loop = asyncio.get_running_loop()
    delay_s, started_s = 0.0, -STABLE_S
    while True:
        looks = [asyncio.create_task(_end_when_stuck(triton, endpoint)) for endpoint in endpoints]
        try:
            exit_code = await triton.wait_exit()
        finally:
            for look in looks:
                look.cancel()
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


async def _end_when_stuck(triton: EmbeddedTriton, endpoint: EndpointSpec) -> None:
    """Put a real call to a model now and then, and kill the server when several in a row get no answer.

    A Triton that was frozen for seconds, with its machine or container, may take its own Python process for dead and
    get stuck as it replaces it: it runs and is reached, and answers no inference any more.
    """
    model = connect(endpoint, max_concurrent_requests=1)
    reasons: list[str] = []
    try:
        while len(reasons) < MAX_SILENT_LOOKS:
            await asyncio.sleep(LOOK_INTERVAL_S)
            try:
                await model.warm_up(timeout_s=LOOK_TIMEOUT_S)
            except (BackendUnavailableError, BudgetExceededError) as error:
                reasons.append(str(error))
                await model.reconnect()
                continue
            except ArchRouterError:  # it answers; what is wrong with the answer a restart does not mend
                pass
            reasons.clear()
        _log.error("embedded_triton_stuck", endpoint=endpoint.name, reason=reasons[-1])
        triton.kill()
    finally:
        await model.close()
