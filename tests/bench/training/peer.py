"""TRL's SFTTrainer on the same rows. Runs alone, in an environment that has `trl`: `peer.py <job as JSON>`."""

import json
import resource
import sys
import tempfile
import time
from typing import Any

import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer


class Timed(SFTTrainer):
    """Counts the tokens of each step that are no padding."""

    tokens: list[int]

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        mask = inputs.get("attention_mask")
        self.tokens.append(int(mask.sum() if mask is not None else inputs["input_ids"].numel()))
        return super().training_step(model, inputs, *args, **kwargs)


class Clock(TrainerCallback):
    """Notes when each step has ended."""

    def __init__(self) -> None:
        self.ended: list[float] = []
        self.worked: list[float] = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ended.append(time.perf_counter())
        self.worked.append(time.process_time())


def main() -> None:
    job: dict[str, Any] = json.loads(sys.argv[1])
    rows = load_dataset("json", data_files=job["rows"], split="train")
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    adapter = None
    if job["adapter"] is not None:
        adapter = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", **job["adapter"])
    with tempfile.TemporaryDirectory() as output:
        settings = SFTConfig(
            output_dir=output, report_to="none", save_strategy="no", logging_steps=1, **job["settings"]
        )
        model = AutoModelForCausalLM.from_pretrained(
            job["model"], dtype=job["dtype"], attn_implementation=job["attention"]
        )
        trainer = Timed(
            model=model,
            args=settings,
            train_dataset=rows,
            processing_class=tokenizer,
            peft_config=adapter,
            callbacks=[clock := Clock()],
        )
        trainer.tokens = []
        trainer.train()
    warm = job["warm_up"]
    peak = (
        torch.cuda.max_memory_allocated()
        if torch.cuda.is_available()
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    seen = {
        "tokens": sum(trainer.tokens[warm:]),
        "seconds": clock.ended[-1] - clock.ended[warm - 1],
        "cpu_seconds": clock.worked[-1] - clock.worked[warm - 1],
        "peak_bytes": peak,
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
