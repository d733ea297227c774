"""The forms in which models were taught to be asked: a prompt as the text that a model goes on with.

The token that begins a text, such as Llama's `<s>`, is left to the engine: all engines put it there themselves.
Sources: the chat templates of Mistral-7B-Instruct-v0.2, Llama-2-7b-chat, Meta-Llama-3-8B-Instruct, gemma-7b-it and
Phi-3-medium-4k-instruct; OpenAI's ChatML; Stanford Alpaca's README; FastChat's `vicuna_v1.1`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.workflows import ModelFormat


@dataclass(frozen=True)
class Format:
    """What stands around a prompt, and the texts with which a turn that is not the model's own would begin or end."""

    before: str
    after: str
    stops: tuple[str, ...]


_ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
_VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and"
    " polite answers to the user's questions."
)
_FORMATS: Mapping[ModelFormat, Format] = {
    "mistral": Format("[INST] ", " [/INST]", ("[INST]",)),
    "llama": Format("[INST] ", " [/INST]", ("[INST]",)),
    "llama3": Format(
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        ("<|eot_id|>", "<|start_header_id|>"),
    ),
    "chatml": Format("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", ("<|im_end|>", "<|im_start|>")),
    "alpaca": Format(f"{_ALPACA}\n\n### Instruction:\n", "\n\n### Response:\n", ("\n### Instruction:",)),
    "vicuna": Format(f"{_VICUNA} USER: ", " ASSISTANT:", ("USER:", "</s>")),
    "gemma": Format(
        "<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n", ("<end_of_turn>", "<start_of_turn>")
    ),
    "phi": Format("<|user|>\n", "<|end|>\n<|assistant|>\n", ("<|end|>", "<|user|>")),
}


def formatted(prompt: str, model_format: ModelFormat) -> str:
    """The text to go on with. `raw` is the prompt as it stands, and so is `chat`, which its engine formats."""
    known = _FORMATS.get(model_format)
    return prompt if known is None else f"{known.before}{prompt.strip()}{known.after}"


def stops(model_format: ModelFormat) -> list[str]:
    """Where an answer ends, for engines that do not know the format's own tokens by heart."""
    known = _FORMATS.get(model_format)
    return [] if known is None else list(known.stops)
