"""PreprocessingAgent: what training gets, what is dropped on the way, and what does not fit."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from transformers import AutoTokenizer

from common.objects import Objects, S3Path
from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetOutput, GlobalConfig, PreprocessingOutput
from trainer.agents import dataset as dataset_agent
from trainer.agents import preprocessing as preprocessing_agent

Make = Callable[..., Any]
_MAPPING = {"instruction": "question", "output": "answer"}
_WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty", "knoll", "lagoon"]


def _sentence(seed: int) -> str:
    """Text that is far from every other number's."""
    return " ".join(_WORDS[(seed * 7 + step * (seed % 5 + 1)) % len(_WORDS)] + str(seed) for step in range(6))


def _csv(rows: list[tuple[str, str]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["question", "answer"])
    writer.writerows(rows)
    return stream.getvalue()


_ROWS = [(f"What is {_sentence(n)}?", f"It is {_sentence(n + 1000)}.") for n in range(50)]


@pytest.fixture
def ingest(make_step: Make, assign: Make, put_dataset: Make) -> Callable[..., DatasetOutput]:
    def run(content: str, name: str = "data.csv") -> DatasetOutput:
        return dataset_agent.run(assign(make_step("DatasetAgent", {"file_path": put_dataset(content, name)})))

    return run


@pytest.fixture
def preprocess(make_step: Make, assign: Make) -> Callable[..., PreprocessingOutput]:
    def run(dataset: DatasetOutput, **config: Any) -> PreprocessingOutput:
        config = {"base_model": "tiny", "template_mapping": _MAPPING, **config}
        return preprocessing_agent.run(assign(make_step("PreprocessingAgent", config, [dataset])))

    return run


@pytest.fixture
def rows_of(objects: Objects) -> Callable[[str], list[dict[str, str]]]:
    def read(path: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in objects.get_bytes(S3Path.parse(path)).splitlines()]

    return read


def test_rows_become_prompts_and_completions_in_two_files(
    ingest: Make, preprocess: Make, rows_of: Make, run_id: str, journal: Any, objects: Objects
) -> None:
    output = preprocess(ingest(_csv(_ROWS)))
    assert output.train_path == f"s3://artifacts/{run_id}/preprocessing/train.jsonl"
    train, held_out = rows_of(output.train_path), rows_of(output.eval_path)
    assert (len(train), len(held_out)) == (output.train_rows, output.eval_rows) == (45, 5)
    assert output.dropped_rows == 0
    question, answer = _ROWS[0]
    (row,) = [row for row in train + held_out if question in row["prompt"]]
    assert row["completion"] == answer
    assert row["prompt"].endswith(f"### Instruction:\n{question}\n\n### Response:\n")
    assert output.base_model == "tiny"
    assert output.tokens_path == f"s3://artifacts/{run_id}/preprocessing/tokens"
    kept = {info.path.key.rsplit("/", 1)[-1] for info in objects.list(S3Path.parse(output.tokens_path))}
    assert kept == {"train.safetensors", "eval.safetensors"}
    assert "45 rows to train on" in journal.text("INFO")


def test_rows_with_a_rejected_answer_become_preferences(ingest: Make, preprocess: Make, rows_of: Make) -> None:
    rows = [{"prompt": q, "chosen": a, "rejected": "No idea. " * 40} for q, a in _ROWS] + [
        {"prompt": "Is one missing?", "chosen": "Yes.", "rejected": ""}
    ]
    dataset = ingest("".join(json.dumps(row) + "\n" for row in rows), "data.jsonl")
    mapping = {"instruction": "prompt", "output": "chosen"}
    output = preprocess(dataset, template_mapping=mapping)
    written = rows_of(output.train_path) + rows_of(output.eval_path)
    assert (len(written), output.dropped_rows) == (50, 1)
    question, answer = _ROWS[7]
    (row,) = [row for row in written if question in row["prompt"]]
    assert (row["chosen"], row["rejected"]) == (answer, ("No idea. " * 40).strip())
    assert output.train_tokens > 45 * 100, "the longer answer must fit"
    custom = {"template": "custom", "custom_template": "Q: {ask}\nA: {say} |", "dedup": False}
    output = preprocess(dataset, template_mapping={"ask": "prompt", "say": "chosen"}, **custom)
    written = rows_of(output.train_path) + rows_of(output.eval_path)
    assert (len(written), output.dropped_rows) == (50, 1)
    (row,) = [row for row in written if question in row["prompt"]]
    assert row == {
        "prompt": f"Q: {question}\nA: ",
        "chosen": f"{answer} |",
        "rejected": f"{('No idea. ' * 40).strip()} |",
    }


def test_pairs_of_one_prompt_that_differ_in_the_worse_answer_alone_are_all_kept(ingest: Make, preprocess: Make) -> None:
    worse = ("I will not say what that is at all today", "Perhaps some other colour that nobody ever has seen")
    rows = [{"prompt": q, "chosen": a, "rejected": other} for q, a in _ROWS[:4] for other in worse]
    output = preprocess(
        ingest("".join(json.dumps(row) + "\n" for row in rows), "data.jsonl"),
        template_mapping={"instruction": "prompt", "output": "chosen"},
    )
    assert (output.train_rows + output.eval_rows, output.dropped_rows) == (8, 0)


def test_token_counts_are_those_of_the_files(
    ingest: Make, preprocess: Make, rows_of: Make, objects: Objects, run_id: str, models_dir: Any
) -> None:
    output = preprocess(ingest(_csv(_ROWS)), template="chatml")
    tokenizer = AutoTokenizer.from_pretrained(models_dir / "tiny")
    texts = [row["prompt"] + row["completion"] for row in rows_of(output.train_path)]
    assert output.train_tokens == sum(len(tokenizer.encode(text, add_special_tokens=False)) + 1 for text in texts)
    statistics = json.loads(objects.get_bytes(S3Path("artifacts", f"{run_id}/preprocessing/statistics.json")))
    assert statistics["train"]["tokens"] == output.train_tokens
    assert statistics["eval"]["rows"] == output.eval_rows


def test_what_is_unusable_repeated_or_too_long_is_dropped_and_counted(
    ingest: Make, preprocess: Make, objects: Objects, run_id: str
) -> None:
    question, answer = _ROWS[0]
    rows = [
        *_ROWS,
        ("No answer?", ""),
        (question, f" {answer}\u200b"),
        (question, answer.replace("It is", "It  is,")),
        ("Too long?", "word " * 400),
    ]
    output = preprocess(ingest(_csv(rows)))
    assert output.dropped_rows == 4
    statistics = json.loads(objects.get_bytes(S3Path("artifacts", f"{run_id}/preprocessing/statistics.json")))
    dropped = {reason: count for reason, count in statistics["dropped"].items() if count}
    assert dropped == {"incomplete": 1, "duplicate": 1, "near_duplicate": 1, "too_long": 1}
    assert output.train_rows + output.eval_rows == 50


def test_dedup_and_cleaning_can_be_off(ingest: Make, preprocess: Make, rows_of: Make) -> None:
    question, answer = _ROWS[0]
    output = preprocess(ingest(_csv([*_ROWS, (question, answer), ("Raw?", " spaced  ")])), dedup=False, clean=False)
    assert output.dropped_rows == 0
    completions = [row["completion"] for path in (output.train_path, output.eval_path) for row in rows_of(path)]
    assert completions.count(answer) == 2
    assert " spaced  " in completions


_LONG = [("What is long?", "word " * 200), *_ROWS]


def test_over_length_rows_are_cut_where_that_is_asked_for(ingest: Make, preprocess: Make, rows_of: Make) -> None:
    output = preprocess(ingest(_csv(_LONG)), over_length="truncate", max_seq_length=256)
    assert (output.dropped_rows, output.truncated_rows) == (0, 1)
    assert len(rows_of(output.train_path)) + len(rows_of(output.eval_path)) == 51
    assert output.train_tokens + output.eval_tokens <= 51 * 256


def test_over_length_rows_are_refused_where_that_is_asked_for(ingest: Make, preprocess: Make) -> None:
    with pytest.raises(Refused, match="1 examples have more than 256 tokens") as refused:
        preprocess(ingest(_csv(_LONG)), over_length="refuse", max_seq_length=256)
    assert refused.value.metadata["too_long"] == ["What is long?"]


def test_rows_that_give_away_what_is_held_out_are_found(ingest: Make, preprocess: Make, rows_of: Make) -> None:
    """Each question twice, asked in two ways, with one answer."""
    answers = [f"{_sentence(n)} {_sentence(n + 500)} {_sentence(n + 900)}" for n in range(40)]
    rows = [(f"{word} {n}", answer) for n, answer in enumerate(answers) for word in ("Explain", "Describe")]
    table = ingest(_csv(rows))
    output = preprocess(table, dedup=False, contamination_threshold=0.7)
    assert output.contaminated_rows >= 4
    evaluated = {row["completion"] for row in rows_of(output.eval_path)}
    assert not evaluated & {row["completion"] for row in rows_of(output.train_path)}
    with pytest.raises(Refused, match="held out"):
        preprocess(table, dedup=False, contamination="refuse", contamination_threshold=0.7)
    assert preprocess(table, dedup=False, contamination="keep").train_rows == 72


def test_near_duplicates_stay_without_a_threshold(ingest: Make, preprocess: Make) -> None:
    rows = [*_ROWS, (_ROWS[0][0], _ROWS[0][1] + "!"), _ROWS[1]]
    output = preprocess(ingest(_csv(rows)), dedup_threshold=None, contamination="keep")
    assert (output.train_rows + output.eval_rows, output.dropped_rows) == (51, 1)


def test_no_question_is_on_both_sides_of_the_split(ingest: Make, preprocess: Make, rows_of: Make) -> None:
    rows = [(f"What is {n % 10}?" if n % 2 else f"what  IS {n % 10}?", _sentence(n)) for n in range(60)]
    output = preprocess(ingest(_csv(rows)), eval_ratio=0.3)

    def questions(path: str) -> set[str]:
        return {" ".join(row["prompt"].casefold().split()) for row in rows_of(path)}

    assert output.train_rows + output.eval_rows == 60
    assert not questions(output.train_path) & questions(output.eval_path)


def test_turns_of_one_chat_stay_on_one_side(ingest: Make, preprocess: Make, rows_of: Make) -> None:
    chats = [
        {
            "conversations": [
                {"from": "human", "value": f"Begin {n}"},
                {"from": "gpt", "value": _sentence(n)},
                {"from": "human", "value": "Go on"},
                {"from": "gpt", "value": _sentence(n + 500)},
            ]
        }
        for n in range(10)
    ]
    dataset = ingest("\n".join(map(json.dumps, chats)), "chats.jsonl")
    output = preprocess(dataset, template="sharegpt", template_mapping={}, eval_ratio=0.3)
    held_out = rows_of(output.eval_path)
    assert (output.train_rows, output.eval_rows) == (14, 6)
    starts = {row["prompt"].split("<|im_end|>")[0] for row in held_out}
    assert len(starts) == 3


def test_the_same_input_gives_the_same_files(ingest: Make, preprocess: Make, rows_of: Make) -> None:
    dataset = ingest(_csv(_ROWS))
    first = preprocess(dataset)
    kept = rows_of(first.train_path), rows_of(first.eval_path)
    again = preprocess(dataset)
    assert (rows_of(again.train_path), rows_of(again.eval_path)) == kept
    other = preprocess(dataset, seed=7)
    assert rows_of(other.eval_path) != kept[1]


def test_a_custom_template_maps_its_variables(ingest: Make, preprocess: Make, rows_of: Make) -> None:
    output = preprocess(
        ingest(_csv(_ROWS)),
        template="custom",
        custom_template="Q: {ask}\nA: {answer}",
        template_mapping={"ask": "question"},
    )
    row = rows_of(output.train_path)[0]
    assert row["prompt"].startswith("Q: What is")
    assert row["prompt"].endswith("\nA: ")
    assert output.chat_template is not None


def test_the_jobs_base_model_is_the_default(make_step: Make, assign: Make, ingest: Make) -> None:
    step = make_step(
        "PreprocessingAgent",
        {"template_mapping": _MAPPING},
        [ingest(_csv(_ROWS))],
        global_config=GlobalConfig(base_model="begins"),
    )
    assert preprocessing_agent.run(assign(step)).base_model == "begins"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"base_model": None}, "base_model"),
        ({"base_model": "../begins"}, "neither in the models directory nor a Hugging Face id"),
        (
            {"template_mapping": {"instruction": "frage", "output": "answer"}},
            "no column 'frage'; the data has question",
        ),
        ({"template_mapping": {"instruction": "question"}}, "template_mapping.output: needed"),
        ({"template": "model"}, "no chat template"),
        ({"template": "messages"}, "template_mapping.instruction: no such field"),
        ({"template": "custom", "custom_template": "no variables"}, "variable"),
        ({"template": "custom"}, "not valid"),
    ],
)
def test_what_does_not_fit_is_refused(ingest: Make, preprocess: Make, config: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        preprocess(ingest(_csv(_ROWS)), **config)
    assert refused.value.code is RefusalCode.CONFIG_INVALID


@pytest.mark.parametrize("rows", [[("Only?", "One.")], [("Too long?", "word " * 500)], [("Blank?", " ")]])
def test_too_little_data_is_refused(ingest: Make, preprocess: Make, rows: list[tuple[str, str]]) -> None:
    with pytest.raises(Refused) as refused:
        preprocess(ingest(_csv(rows)))
    assert refused.value.code is RefusalCode.DATASET_INVALID


def test_it_needs_a_data_set(make_step: Make, assign: Make) -> None:
    with pytest.raises(Refused, match="PreprocessingAgent needs a DatasetAgent before it"):
        preprocessing_agent.run(assign(make_step("PreprocessingAgent", {"base_model": "tiny"})))
