"""Training in several processes: each learns from its part of a step, and all take the mean of their gradients.

On a CPU that other programs use as well, processes of one thread each lose less time than one process of many threads,
whose every operation waits for the slowest thread.
"""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, distributed, multiprocessing

MEETING_FILE = "meeting"


class Workers:
    """The processes of a training run, seen from one of them."""

    def __init__(self, rank: int, count: int) -> None:
        """Say which of the processes this is, from 0."""
        self.rank, self.count = rank, count

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their mean over all processes, which give the same shapes in the same order."""
        if self.count == 1:
            return
        flat = torch.cat([each.reshape(-1) for each in tensors])
        distributed.all_reduce(flat)
        flat /= self.count
        place = 0
        for each in tensors:
            each.copy_(flat[place : place + each.numel()].view_as(each))
            place += each.numel()


def run(count: int, folder: Path, work: Callable[[Workers], None]) -> None:
    """Run processes of one thread each, which meet in ``folder``, and wait for them.

    ``work`` is a function of a module or a partial of one, so that it can be sent to them.

    Raises:
        torch.multiprocessing.ProcessRaisedException: When one of them fails.
    """
    if count == 1:
        torch.set_num_threads(1)
        work(Workers(0, 1))
        return
    meeting = folder / MEETING_FILE
    meeting.unlink(missing_ok=True)
    multiprocessing.spawn(_join, args=(count, meeting.resolve(), work), nprocs=count)
    meeting.unlink(missing_ok=True)


def _join(rank: int, count: int, meeting: Path, work: Callable[[Workers], None]) -> None:
    # torch has it sent when the program ends; what a shell runs in the background would ignore it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=count)
    try:
        work(Workers(rank, count))
    finally:
        distributed.destroy_process_group()
