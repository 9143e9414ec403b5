"""A process that logs decisions as fast as it can: ``python decision_writer.py PATH FIRST COUNT [MAX_FILE_BYTES]``.

With a limit of the size of files, which fails a write half-way as a full disk does, it lifts the limit in the middle.
It prints ``ready`` when it begins, and its counts at the end.
"""

import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

from tests.support.logged_decisions import DECISION, QUESTION, Tallies

from archrouter.decision_log.log import open_decision_log
from archrouter.observability.logging import configure_logging


def main() -> None:
    """Log decisions whose ids count up."""
    configure_logging("json", "info", sys.stderr)
    path, first, count, max_file_bytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    tallies = Tallies()
    log = open_decision_log(
        path, salt_file=None, text="text", max_bytes=200_000, kept_files=1000, queue_size=64, count=tallies
    )
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if max_file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(max_file_bytes[0]), hard))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for number in range(first, first + count):
        if number == first + count // 2:
            while sum(tallies.counts.values()) < number - first:
                time.sleep(0.001)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        while number - first - sum(tallies.counts.values()) > 32:  # the queue is not what is on trial here
            time.sleep(0.0005)
        log.record(QUESTION, replace(DECISION, decision_id=str(number)), caller="", correlation_id="")
    log.close()
    json.dump(tallies.counts, sys.stdout)


if __name__ == "__main__":
    main()
