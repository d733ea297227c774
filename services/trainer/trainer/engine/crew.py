"""The processes, one a device, that take a run's steps together where there are several devices.

The first one leads: it holds the optimizer and everything that is kept, recorded or measured. The others follow: they
add their rows' gradients and get the new weights. So a step minimises what it would on one device, and a checkpoint of
one number of devices is taken up by any other.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed

from trainer.domain.batches import MicroBatch

_LONGEST_SILENCE = timedelta(hours=6)
"""Of the leader, who measures and keeps checkpoints between two steps."""
_FOLLOWER_DIED = 70


class Crew:
    """Of `size` processes the one of number `rank`. Alone, it has nobody to tell and nothing to add."""

    def __init__(self, rank: int, size: int, rendezvous: Path) -> None:
        self.rank, self.size = rank, size
        self._rendezvous = rendezvous
        self._device = torch.device("cpu")
        self._followers: list[subprocess.Popen[bytes]] = []
        self._is_over = threading.Event()

    @classmethod
    def lead(cls, size: int, rendezvous: Path, job: str) -> "Crew":
        """Starts the followers, each with `job` to prepare itself by."""
        crew = cls(0, size, rendezvous)
        rendezvous.parent.mkdir(parents=True, exist_ok=True)
        rendezvous.unlink(missing_ok=True)
        for rank in range(1, size):
            command = [sys.executable, "-m", "trainer.engine.follower", str(rank), str(size), str(rendezvous), job]
            follower = subprocess.Popen(command, stdin=subprocess.PIPE)
            crew._followers.append(follower)
            threading.Thread(target=crew._watch, args=(follower,), daemon=True).start()
        return crew

    def join(self, device: torch.device) -> None:
        """Waits until all are ready."""
        self._device = device
        if self.size > 1:
            distributed.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                init_method=f"file://{self._rendezvous}",
                rank=self.rank,
                world_size=self.size,
                timeout=_LONGEST_SILENCE,
            )

    def share_of(self, micro_batches: Sequence[MicroBatch]) -> list[MicroBatch]:
        """The rows that this process learns from: every `size`-th of each micro-batch."""
        shares = (rows[self.rank :: self.size] for rows in micro_batches)
        return [rows for rows in shares if rows]

    def say(self, step: int) -> None:
        """Tells the followers which step comes next."""
        if self.size > 1:
            distributed.broadcast(torch.tensor(step, device=self._device), 0)

    def hear(self) -> int:
        """The step that the leader takes next."""
        number = torch.empty((), dtype=torch.int64, device=self._device)
        distributed.broadcast(number, 0)
        return int(number.item())

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Makes each the sum of those of all processes."""
        if self.size > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def hand_out(self, tensors: Iterable[Tensor]) -> None:
        """Makes each what it is at the leader's."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def disband(self) -> None:
        """Ends the followers, whatever the leader ended by."""
        if self.size == 1:
            return
        self._is_over.set()
        for follower in self._followers:
            follower.kill()
            follower.wait()
        self._rendezvous.unlink(missing_ok=True)
        if distributed.is_initialized():
            distributed.destroy_process_group()

    def _watch(self, follower: "subprocess.Popen[bytes]") -> None:
        """Without a follower the leader would wait for hours; another attempt goes on from the last checkpoint."""
        follower.wait()
        if not self._is_over.is_set():
            os._exit(_FOLLOWER_DIED)
