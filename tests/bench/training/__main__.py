"""`make bench-training`: our trainer beside TRL's SFTTrainer, with its defaults and with its best settings, in one run.

The same model, rows, batch size and adapter; each measurement is a process of its own, and they take turns. What counts
are tokens that are no padding, after some steps of warm-up, and the most memory that the process held. Ratios travel,
absolute figures do not.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from tests.bench.training.material import SHAPES, make_model, read_documentation, write_rows

_PEER = Path(__file__).with_name("peer.py")
_ADAPTER = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0}
_GIB = 1 << 30


@dataclass(frozen=True)
class Peer:
    """Settings of TRL's, `dtype` the type of the base model's weights, `attention` what transformers calls it.

    Its batch is `batch` times that of the benchmark.
    """

    settings: Mapping[str, Any]
    dtype: str = "bfloat16"
    attention: str = "sdpa"
    batch: float = 1.0


_KEPT = {"gradient_checkpointing": False}
_FASTER = {**_KEPT, "train_sampling_strategy": "group_by_length"}
PEERS: Mapping[str, Peer] = {
    "TRL, defaults": Peer({}, "float32"),
    "TRL, no checkpointing": Peer(_KEPT, "float32"),
    "TRL, by length": Peer(_FASTER, "float32"),
    "TRL, by length, bf16 weights": Peer(_FASTER),
    "TRL, by length, bf16 weights, eager attention": Peer(_FASTER, attention="eager"),
    "TRL, by length, bf16 weights, twice the batch": Peer(_FASTER, batch=2),
    "TRL, padding-free, bf16 weights": Peer({**_KEPT, "padding_free": True, "max_length": None}),
    "TRL, packed, bf16 weights": Peer({**_KEPT, "packing": True}, batch=0.25),
}
"""All but the defaults keep activations rather than compute them twice. On a GPU Liger's kernels are tried on top, and
FlashAttention where its package is installed beside TRL."""


@dataclass(frozen=True)
class Seen:
    """One measurement."""

    tokens: float
    seconds: float
    peak_bytes: int
    losses: list[float]
    cpu_seconds: float
    """Of all cores: what else runs on the machine makes less of a difference to them than to the clock."""
    matrix_rate: float = 0.0
    """Of one large matrix product on this machine, in operations a second; ours alone measures it."""

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds

    @property
    def effort(self) -> float:
        """CPU seconds for a thousand tokens."""
        return 1000 * self.cpu_seconds / self.tokens


class DoesNotRun(Exception):
    """A contender that does not run here; the message says what it said at its end."""


def main() -> None:
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        documentation = read_documentation()
        weights = make_model(
            SHAPES[options.shape], [f"{what}\n{text}" for what, text in documentation], place / "model"
        )
        write_rows(documentation, options.rows, place / "rows.jsonl")
        console.print(f"{weights:,} weights, {options.rows} rows, batches of {options.batch}, {options.method}")
        runs = _runs(options, place)
        seen: dict[str, list[Seen]] = {name: [] for name in runs}
        for _ in range(options.rounds):
            for who, command in runs.items():
                with console.status(who):
                    try:
                        seen[who].append(_measure(command))
                    except DoesNotRun as error:
                        console.print(f"   {who}: {error}")
                    else:
                        console.print(f"   {seen[who][-1].rate:,.0f} tokens/s  {who}")
    if not seen["LLM Platform"]:
        raise SystemExit(1)
    _show(console, {who: rounds for who, rounds in seen.items() if rounds})
    _show_share(
        console, seen["LLM Platform"], SHAPES[options.shape].multiplied * (6 if options.method == "full" else 4)
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-training", description=__doc__)
    parser.add_argument("--trl", type=Path, help="an environment that has TRL; without it ours runs alone")
    parser.add_argument(
        "--shape", choices=SHAPES, default="50m", help="of the model (default: 50m); 1b and 8b want a GPU"
    )
    parser.add_argument("--method", choices=("lora", "qlora", "full"), default="lora")
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--max-length", type=int, default=1024, help="tokens of a row, or of a packed sequence")
    parser.add_argument("--packing", action="store_true", help="batches of packed sequences, on both sides")
    parser.add_argument("--compile", action="store_true", help="torch.compile, on both sides")
    parser.add_argument("--rounds", type=int, default=2, help="of each measurement (default: 2)")
    parser.add_argument(
        "--only-best", choices=list(PEERS), metavar="NAME", help="of TRL's settings, only the defaults and these"
    )
    options = parser.parse_args()
    if not torch.cuda.is_available():
        if SHAPES[options.shape].wants_gpu:
            parser.error(f"--shape {options.shape} needs a CUDA GPU, and there is none; without one take 10m to 135m")
        if options.method == "qlora":
            parser.error("--method qlora needs a CUDA GPU and bitsandbytes, and there is no GPU; take lora or full")
    return options


def _runs(options: argparse.Namespace, place: Path) -> dict[str, list[str]]:
    """The command of each contender."""
    common = {
        "model": str(place / "model"),
        "rows": str(place / "rows.jsonl"),
        "max_length": options.max_length,
        "warm_up": 3,
    }
    config: dict[str, Any] = {
        "method": options.method,
        "batch_size": options.batch,
        "epochs": 1,
        "packing": options.packing,
        "torch_compile": options.compile,
    }
    if options.method != "full":
        config |= {"lora_r": _ADAPTER["r"], "lora_alpha": _ADAPTER["lora_alpha"]}
    ours = json.dumps({**common, "config": config})
    runs = {"LLM Platform": [sys.executable, "-m", "tests.bench.training.ours", ours]}
    if options.trl is not None and options.method != "qlora":
        for who, peer in _peers(options).items():
            chosen = {
                "per_device_train_batch_size": max(1, round(options.batch * peer.batch)),
                "num_train_epochs": 1,
                "learning_rate": 2e-4,
                "max_length": options.max_length,
                "packing": options.packing,
                "torch_compile": options.compile,
                "use_cpu": not torch.cuda.is_available(),  # or its defaults are refused there
                **peer.settings,
            }
            adapter = None if options.method == "full" else _ADAPTER
            job = json.dumps(
                {**common, "settings": chosen, "dtype": peer.dtype, "attention": peer.attention, "adapter": adapter}
            )
            runs[who] = [str(options.trl / "bin" / "python"), str(_PEER), job]
    return runs


def _peers(options: argparse.Namespace) -> dict[str, Peer]:
    # Half-precision weights would be trained in half precision themselves: not the same result.
    peers = {who: peer for who, peer in PEERS.items() if options.method != "full" or peer.dtype == "float32"}
    if options.only_best:
        peers = {who: peer for who, peer in peers.items() if who in ("TRL, defaults", options.only_best)}
    if options.packing:  # which TRL refuses together with rows that are not cut
        peers = {who: peer for who, peer in peers.items() if peer.settings.get("max_length", 0) is not None}
    if torch.cuda.is_available():
        peers |= {
            f"{who}, Liger": replace(peer, settings={**peer.settings, "use_liger_kernel": True})
            for who, peer in peers.items()
        }
        flash = {who: peer for who, peer in peers.items() if {"padding_free", "packing"} & peer.settings.keys()}
        peers |= {f"{who}, FlashAttention": replace(p, attention="flash_attention_2") for who, p in flash.items()}
    return peers


def _measure(command: Sequence[str]) -> Seen:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DoesNotRun(f"ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Seen(**json.loads(done.stdout.splitlines()[-1]))


def _show(console: Console, seen: Mapping[str, Sequence[Seen]]) -> None:
    table = Table(title="training", title_justify="left")
    for column, justify in (("trainer", "left"), ("tokens/s", "right"), ("rounds", "right"), ("ours", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    table.add_column("peak GiB", justify="right")
    table.add_column("last losses", justify="right")
    table.add_column("CPU s per 1,000 tokens", justify="right")
    own = statistics.median(one.rate for one in seen["LLM Platform"])
    for who, rounds in seen.items():
        rate = statistics.median(one.rate for one in rounds)
        table.add_row(
            who,
            f"{rate:,.0f}",
            " ".join(f"{one.rate:,.0f}" for one in rounds),
            f"{own / rate:.2f}x",
            f"{max(one.peak_bytes for one in rounds) / _GIB:.2f}",
            f"{statistics.mean(rounds[-1].losses[-5:]):.3f}",
            f"{statistics.median(one.effort for one in rounds):.2f}",
        )
    console.print(table)


def _show_share(console: Console, rounds: Sequence[Seen], operations: int) -> None:
    """How much of what the machine can multiply goes into training; `operations` are those a token takes.

    Model-flops utilisation: attention, the head and what is computed twice are not counted.
    """
    rate, most = (statistics.median(values) for values in ((s.rate for s in rounds), (s.matrix_rate for s in rounds)))
    console.print(
        f"   ours: {rate * operations / most:.0%} of the {most / 1e12:,.1f} TFLOPS of one large matrix product"
    )


if __name__ == "__main__":
    main()
