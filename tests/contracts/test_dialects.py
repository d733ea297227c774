"""A training configuration in the words of PEFT, TRL, LLaMA-Factory and Axolotl."""

from typing import Any

import pytest
from pydantic import ValidationError

from contracts.pipeline import TrainingConfig
from contracts.pipeline.dialects import WORDS


def _refusals(given: dict[str, Any]) -> dict[str, str]:
    """What is wrong with a configuration, by field."""
    with pytest.raises(ValidationError) as refused:
        TrainingConfig.model_validate(given)
    return {".".join(map(str, error["loc"])): error["msg"] for error in refused.value.errors()}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (
            {"per_device_train_batch_size": 2, "num_train_epochs": 1, "warmup_ratio": 0.1, "optim": "adamw_torch"},
            {"batch_size": 2, "epochs": 1, "warmup_ratio": 0.1, "optimizer": "adamw"},
        ),
        ({"r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}, {"lora_r": 4, "lora_alpha": 8}),
        ({"bf16": True, "gradient_checkpointing": False}, {"precision": "bfloat16", "activation_checkpointing": False}),
        ({"warmup_steps": 0.1}, {"warmup_ratio": 0.1, "warmup_steps": None}),
        (
            {"stage": "dpo", "finetuning_type": "lora", "lora_rank": 8, "cutoff_len": 64, "pref_beta": 0.2},
            {"objective": "dpo", "method": "lora", "lora_r": 8, "max_seq_length": 64, "dpo_beta": 0.2},
        ),
        ({"lora_target": "q_proj,v_proj"}, {"target_modules": ["q_proj", "v_proj"]}),
        (
            {"micro_batch_size": 2, "num_epochs": 4, "sequence_len": 64, "sample_packing": True},
            {"batch_size": 2, "epochs": 4, "max_seq_length": 64, "packing": True},
        ),
        ({"adapter": "lora", "load_in_4bit": True}, {"method": "qlora"}),
        ({"lora_r": 4, "lora_rank": 4}, {"lora_r": 4}),
        ({"lr_scheduler_type": "constant_with_warmup"}, {"lr_scheduler_type": "constant"}),
    ],
)
def test_others_words_mean_here_what_they_mean_there(given: dict[str, Any], meant: dict[str, Any]) -> None:
    config = TrainingConfig.model_validate(given)
    assert {name: getattr(config, name) for name in meant} == meant


def test_every_word_is_of_a_field_that_there_is() -> None:
    assert {word.field for word in WORDS.values()} <= TrainingConfig.model_fields.keys()
    assert not WORDS.keys() & TrainingConfig.model_fields.keys()


def test_an_unknown_field_is_refused_with_the_likeliest_one_that_is_meant() -> None:
    refusals = _refusals({"lora_rnk": 4, "lerning_rate": 1e-4, "colour": "red"})
    assert refusals == {
        "lora_rnk": "there is no such field; did you mean 'lora_rank' (lora_r here)?",
        "lerning_rate": "there is no such field; did you mean 'learning_rate'?",
        "colour": "there is no such field",
    }


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({"lora_r": 4, "lora_rank": 8}, "lora_rank", "both set lora_r"),
        ({"finetuning_type": "full", "quantization_bit": 4}, "quantization_bit", "both set method"),
        ({"quantization_bit": 8}, "quantization_bit", "only 4 bits"),
        ({"fp16": True}, "fp16", "'bfloat16'"),
        ({"method": "full", "lora_r": 4}, "", "use method 'lora'"),
        ({"method": "full", "objective": "dpo"}, "", "use method 'lora' or 'qlora'"),
        ({"objective": "dpo", "packing": True}, "", "do not go with objective 'dpo'"),
        ({"dpo_beta": 0.5}, "", "belongs to objective 'dpo'"),
        ({"warmup_steps": 5, "warmup_ratio": 0.2}, "", "give one of them"),
        ({"early_stopping_threshold": 0.1}, "", "needs early_stopping_patience"),
        ({"optim": "lion"}, "optimizer", "'adamw'"),
        ({"bf16": ["a"]}, "bf16", "unhashable"),
    ],
)
def test_what_contradicts_itself_or_cannot_be_had_is_refused(given: dict[str, Any], field: str, reason: str) -> None:
    assert reason in _refusals(given)[field]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_configuration_that_is_written_out_whole_is_read_back(method: str) -> None:
    config = TrainingConfig.model_validate({"method": method})
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config
