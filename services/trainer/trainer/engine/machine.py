"""The machine that the model runs on: its device, its precision, its threads, its memory."""

import ctypes
import os
import resource
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from contracts.pipeline import Precision

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
_MEMORY_MAX = Path("/sys/fs/cgroup/memory.max")
_STATM = Path("/proc/self/statm")
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_SMALLEST_HALF_WIDTH = 512
"""Below this width a model's time goes to the operators between its matrix products, and bfloat16 only adds casts."""
_PROBE = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the matrices that the machine is measured with."""
_TRIES = 5
_PASSED = {"cpu": 1 << 20, "cuda": 1 << 26}
"""Elements of the vectors that it is measured with: about as many as those of a layer."""


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

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.half else torch.float32

    def memory(self) -> int:
        """Bytes that a run can have: those of the GPU that nobody else holds, or those of the machine or container."""
        if self.device.type == "cuda":
            free: int = torch.cuda.mem_get_info(self.device)[0]
            reserved: int = torch.cuda.memory_reserved(self.device)
            return free + reserved
        everything = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        try:
            return min(everything, int(_MEMORY_MAX.read_text()))
        except (OSError, ValueError):
            return everything  # no container, or one without a limit

    def activation_budget(self) -> int:
        """Bytes that a step's activations may take: half of what a GPU has left, a quarter of a machine's memory."""
        if self.device.type == "cuda":
            return (self.memory() - self.memory_used()) // 2
        return self.memory() // 4

    def memory_used(self) -> int:
        """Bytes that this process holds on the device now."""
        if self.device.type == "cuda":
            allocated: int = torch.cuda.memory_allocated(self.device)
            return allocated
        try:
            return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return self.peak_memory()

    def peak_memory(self) -> int:
        """The most bytes that this process ever held on the device."""
        if self.device.type == "cuda":
            peak: int = torch.cuda.max_memory_allocated(self.device)
            return peak
        # Kilobytes on Linux, bytes on macOS.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def matrix_rate(self) -> float:
        """Floating-point operations a second in a matrix product of this precision, the best of some."""
        width = _PROBE[self.device.type]
        left = torch.ones(width, width, dtype=self.dtype, device=self.device)
        best = float("inf")
        for _ in range(_TRIES):
            started = time.perf_counter()
            (left @ left)[0, 0].item()  # which waits for a GPU
            best = min(best, time.perf_counter() - started)
        return 2 * width**3 / best

    def pass_rate(self) -> float:
        """Bytes a second that an operation on each element by itself reads and writes, the best of some."""
        values = torch.ones(_PASSED[self.device.type], dtype=self.dtype, device=self.device)
        best = float("inf")
        for _ in range(_TRIES):
            started = time.perf_counter()
            (values * values)[0].item()
            best = min(best, time.perf_counter() - started)
        moved: int = 2 * values.numel() * values.element_size()
        return moved / best


def device_count() -> int:
    """How many devices a run can have: the GPUs, or else the CPU."""
    gpus: int = torch.cuda.device_count()
    return max(1, gpus)


def pick_machine(hidden_size: int, precision: Precision = "auto", index: int = 0) -> Machine:
    """GPU number `index`, or else the CPU; bfloat16 where asked for, or where it is native and the model wide."""
    if torch.cuda.is_available():
        torch.cuda.set_device(index)
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return Machine(torch.device("cuda", index), _half(precision, native=native))
    prepare_cpu()
    return Machine(
        torch.device("cpu"), _half(precision, native=hidden_size >= _SMALLEST_HALF_WIDTH and _half_is_native())
    )


def _half(precision: Precision, *, native: bool) -> bool:
    return native if precision == "auto" else precision == "bfloat16"


@cache
def prepare_cpu() -> None:
    """Uses the cores that this process may use, or as many as OMP_NUM_THREADS says, and keeps freed memory for the next
    step.

    Otherwise glibc hands the activations back to the kernel after each step, and the next one spends a fifth of its
    time on page faults.
    """
    if "OMP_NUM_THREADS" not in os.environ:
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
