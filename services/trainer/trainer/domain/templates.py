"""Chat templates, in Jinja as tokenizers keep them. Training prompts are rendered by the very template that the model
is served with, so it is asked as it was trained.

Sources of the forms: Stanford Alpaca's README; OpenAI's ChatML; Meta's Llama 2 reference `chat_completion`; Mistral's
instruction format. Whitespace is written out in strings, never left to Jinja.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from contracts.base import RefusalCode, Refused
from trainer.domain.conversations import INPUT_HEADING, REJECTED_FIELD, Conversation, Row, Turn, resolve

_ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
_ALPACA_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)


def _literal(text: str) -> str:
    """A Jinja string that renders as `text`. Jinja reads the same escapes as JSON's, surrogates apart."""
    return json.dumps(text, ensure_ascii=False)


_SPLIT_SYSTEM = """
{%- set system = '' -%}
{%- set turns = messages -%}
{%- if messages[0]['role'] == 'system' -%}
{%- set system = messages[0]['content'] -%}
{%- set turns = messages[1:] -%}
{%- endif -%}
"""

_TEMPLATES: Mapping[str, str] = {
    "alpaca": _SPLIT_SYSTEM
    + f"""
{{%- if not system -%}}
{{%- if {_literal(INPUT_HEADING)} in turns[0]['content'] -%}}
{{%- set system = {_literal(_ALPACA_WITH_INPUT)} -%}}
{{%- else -%}}
{{%- set system = {_literal(_ALPACA)} -%}}
{{%- endif -%}}
{{%- endif -%}}
{{{{- BEGIN_TOKEN + system + '\\n\\n' -}}}}
{{%- for turn in turns -%}}
{{%- if turn['role'] == 'assistant' -%}}
{{{{- '### Response:\\n' + turn['content'] + (eos_token or '') + '\\n\\n' -}}}}
{{%- else -%}}
{{{{- '### Instruction:\\n' + turn['content'] + '\\n\\n' -}}}}
{{%- endif -%}}
{{%- endfor -%}}
{{%- if add_generation_prompt -%}}{{{{- '### Response:\\n' -}}}}{{%- endif -%}}
""",
    "chatml": """
{{- BEGIN_TOKEN -}}
{%- for turn in messages -%}
{{- '<|im_start|>' + turn['role'] + '\\n' + turn['content'] + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
""",
    "llama": _SPLIT_SYSTEM
    + """
{%- for turn in turns -%}
{%- if turn['role'] == 'assistant' -%}
{{- ' ' + turn['content'] + ' ' + (eos_token or '') -}}
{%- else -%}
{%- if loop.first and system -%}
{%- set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + turn['content'] -%}
{%- else -%}
{%- set content = turn['content'] -%}
{%- endif -%}
{{- BEGIN_TOKEN + '[INST] ' + content + ' [/INST]' -}}
{%- endif -%}
{%- endfor -%}
""",
    "mistral": _SPLIT_SYSTEM
    + """
{{- BEGIN_TOKEN -}}
{%- for turn in turns -%}
{%- if turn['role'] == 'assistant' -%}
{{- ' ' + turn['content'] + (eos_token or '') -}}
{%- else -%}
{%- if loop.first and system -%}
{%- set content = system + '\\n\\n' + turn['content'] -%}
{%- else -%}
{%- set content = turn['content'] -%}
{%- endif -%}
{{- '[INST] ' + content + ' [/INST]' -}}
{%- endif -%}
{%- endfor -%}
""",
}


def chat_template(name: str, *, adds_begin_token: bool) -> str:
    """The template of that name for a tokenizer that does, or does not, begin a text with a token of its own."""
    return _TEMPLATES[name].strip().replace("BEGIN_TOKEN", _begin_token(adds_begin_token))


def _begin_token(adds_begin_token: bool) -> str:
    """The Jinja expression of what a text begins with."""
    return "bos_token" if adds_begin_token else "''"


_VARIABLE = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True)
class CustomTemplate:
    """A text with named variables in braces, as `Q: {question}\\nA: {answer}`; nothing else in it is special.

    Its last variable is what the model learns to write, all before it is the prompt. `pieces` are the fixed texts
    around the variables, one more than there are `variables`.
    """

    pieces: tuple[str, ...]
    variables: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "CustomTemplate":
        """Raises `Refused(CONFIG_INVALID)` for a text without any variable."""
        parts = _VARIABLE.split(text)
        if len(parts) == 1:
            raise Refused(
                RefusalCode.CONFIG_INVALID,
                "custom_template needs a variable in braces at its end, such as {output}, for what the model learns",
            )
        return cls(tuple(parts[::2]), tuple(parts[1::2]))

    @property
    def asks_for_one_thing(self) -> bool:
        """Whether a single variable makes the prompt, so that a chat message can take its place."""
        return len(self.variables) == 2

    def fields_of(self, columns: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
        """Which column each variable is read from, and which one the worse answer, where there is one to the last.

        Raises `Refused(CONFIG_INVALID)` when the mapping and the data do not fit together.
        """
        variables = tuple(dict.fromkeys(self.variables))
        optional = () if REJECTED_FIELD in variables else (REJECTED_FIELD,)
        return resolve(columns, mapping, required=variables, optional=optional)

    def read_row(self, row: Row, fields: Mapping[str, str], tidy: Callable[[str], str]) -> Conversation | None:
        """The row as a question and its answer; None when an answer or the only question is missing.

        With several variables before the answer the question is the prompt as a whole.
        """
        values = {field: tidy(row.get(column) or "") for field, column in fields.items()}
        *asked, answer = [values[variable] for variable in self.variables]
        worse = None if REJECTED_FIELD in self.variables else values.get(REJECTED_FIELD)
        if not answer.strip() or (asked and not any(value.strip() for value in asked)):
            return None
        if worse is not None and not worse.strip():
            return None
        question, end = asked[0] if self.asks_for_one_thing else self._fill(asked), self.pieces[-1]
        return (Turn("user", question), Turn("assistant", answer + end, None if worse is None else worse + end))

    def _fill(self, asked: Sequence[str]) -> str:
        pairs = zip(self.pieces, (*asked, ""), strict=False)
        return "".join(piece + value for piece, value in pairs)

    def chat_template(self, *, adds_begin_token: bool) -> str:
        """Renders a chat as the template would. With several variables a message is taken for the whole prompt."""
        before, after = (self.pieces[0], self.pieces[1]) if self.asks_for_one_thing else ("", "")
        return _SPLIT_SYSTEM.strip() + (
            f"{{{{- {_begin_token(adds_begin_token)} -}}}}"
            "{%- if system -%}{{- system + '\\n\\n' -}}{%- endif -%}"
            "{%- for turn in turns -%}"
            "{%- if turn['role'] == 'assistant' -%}"
            "{{- turn['content'] + (eos_token or '') + '\\n' -}}"
            "{%- else -%}"
            f"{{{{- {_literal(before)} + turn['content'] + {_literal(after)} -}}}}"
            "{%- endif -%}"
            "{%- endfor -%}"
        )
