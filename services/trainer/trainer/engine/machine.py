"""The machine that the model runs on: its device, its precision, its threads, its memory."""

import ctypes
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_SMALLEST_HALF_WIDTH = 512
"""Below this width a model's time goes to the operators between its matrix products, and bfloat16 only adds casts."""


@dataclass(frozen=True)
class Machine:
    """Where tensors live and what they are computed in; `half` is bfloat16 with float32 where it matters (autocast)."""

    device: torch.device
    half: bool

    def autocast(self) -> AbstractContextManager[None]:
        context: AbstractContextManager[None] = torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)
        return context

    @property
    def precision(self) -> str:
        return "bfloat16" if self.half else "float32"

    def activation_budget(self) -> int:
        """Bytes that a step's activations may take: half of what a GPU has free, a quarter of a machine's memory."""
        if self.device.type == "cuda":
            free: int = torch.cuda.mem_get_info(self.device)[0]
            return free // 2
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4


def pick_machine(hidden_size: int) -> Machine:
    """The GPU where there is one, else the CPU; bfloat16 where it is native and the model wide enough."""
    if torch.cuda.is_available():
        return Machine(torch.device("cuda"), half=torch.cuda.is_bf16_supported(including_emulation=False))
    prepare_cpu()
    return Machine(torch.device("cpu"), half=hidden_size >= _SMALLEST_HALF_WIDTH and _half_is_native())


@cache
def prepare_cpu() -> None:
    """Uses the cores that this process may use, and keeps freed memory for the next step.

    Otherwise glibc hands the activations back to the kernel after each step, and the next one spends a fifth of its
    time on page faults.
    """
    torch.set_num_threads(_available_cores())
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # not glibc
    mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def _available_cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CPU_MAX.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores  # no container, or one without a limit


def _half_is_native() -> bool:
    """Whether the CPU multiplies in bfloat16. Read off, not measured: on a busy machine a measurement errs, and a run
    that goes on after an interruption must go on in the same precision."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
