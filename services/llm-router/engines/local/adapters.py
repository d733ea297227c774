"""Trained models that are loaded by name: LoRA adapters, several on one base model, and whole models."""

from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from peft import LoraConfig, PeftModelForCausalLM
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from engines.local.catalogue import Catalogue, Source
from engines.openai_wire import ApiError, invalid_request

_INTERNAL_NAMES = (f"adapter_{number:08d}" for number in count())
"""Names for peft, which allows no dots in them and tells keys apart by substring: all of one width, none used twice."""


WHOLE = " (whole)"
"""What the names of whole models' weights end in: no model that can be asked for is called so."""
_WEIGHTS = count(1)


class LoadRequest(BaseModel):
    """Body of `POST /v1/load_lora_adapter`: vLLM's, where `lora_path` is a folder within the adapter folder."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    lora_name: Annotated[str, BeforeValidator(lambda name: name.strip() if isinstance(name, str) else name)]
    lora_path: str
    base_model_name: str | None = None
    load_inplace: bool = False


class UnloadRequest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    lora_name: str


class _AdapterConfig(BaseModel):
    """The part of `adapter_config.json` that decides whether an adapter can share its base with others.

    An initialisation such as PiSSA, a trained bias or replicated layers change the base itself, `megatron_config`
    makes peft import code, and the other two need more than the layers to run.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    peft_type: Literal["LORA"]
    task_type: Literal["CAUSAL_LM"] | None = None
    base_model_name_or_path: str | None = None
    bias: Literal["none"] = "none"
    init_lora_weights: Literal[True, False, "gaussian", "orthogonal"] = True
    layer_replication: None = None
    megatron_config: None = None
    alora_invocation_tokens: None = None
    arrow_config: None = None


@dataclass(frozen=True, eq=False)
class Adapter:
    """A loaded adapter. `chat_template` is the one it was trained with, where its folder has one of its own.

    A `whole` model is an adapter that changes everything: it is its own base, which nobody can ask for by itself.
    """

    name: str
    path: Path
    base: Source
    created: int
    chat_template: str | None
    whole: bool = False


def read_adapter(asked: LoadRequest, catalogue: Catalogue, created: int) -> Adapter:
    """Checks an adapter's folder without loading it. Raises ApiError with what is wrong about it."""
    folder = catalogue.adapter_folder(asked.lora_path)
    if (folder / "config.json").is_file() and not (folder / "adapter_config.json").exists():
        return _read_whole(asked, folder, created)
    try:
        config = _AdapterConfig.model_validate_json((folder / "adapter_config.json").read_bytes())
    except OSError:
        raise _unusable(asked, "it has no adapter_config.json") from None
    except ValidationError as error:
        raise _unusable(asked, f"adapter_config.json: {invalid_request(error).message}") from None
    if not (folder / "adapter_model.safetensors").is_file():
        raise _unusable(asked, "it has no adapter_model.safetensors; other formats can run code and are not read")
    base = asked.base_model_name or config.base_model_name_or_path
    if base is None:
        raise _unusable(asked, "neither it nor the request's base_model_name says which model it belongs to")
    return Adapter(asked.lora_name, folder, catalogue.resolve(base), created, _chat_template(folder))


def _read_whole(asked: LoadRequest, folder: Path, created: int) -> Adapter:
    if next(folder.glob("*.safetensors"), None) is None:
        raise _unusable(asked, "it has no safetensors; other formats can run code and are not read")
    base = Source(f"{asked.lora_name} {next(_WEIGHTS)}{WHOLE}", folder)
    return Adapter(asked.lora_name, folder, base, created, _chat_template(folder), whole=True)


def _chat_template(folder: Path) -> str | None:
    with suppress(OSError):
        return (folder / "chat_template.jinja").read_text()
    with suppress(OSError, orjson.JSONDecodeError, AttributeError):
        template = orjson.loads((folder / "tokenizer_config.json").read_bytes()).get("chat_template")
        return template if isinstance(template, str) else None
    return None


def _unusable(asked: LoadRequest, why: str) -> ApiError:
    return ApiError(400, f"The adapter {asked.lora_name!r} cannot be loaded: {why}.", param="lora_path")


class AdapterRack:
    """The adapters on one base model. Not thread-safe: it belongs to the thread that runs the model.

    An adapter is put on when it is first selected, so those of a model that was evicted come back by themselves.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._peft: Any = None
        self._names: dict[Adapter, str] = {}
        self._selected: Adapter | None = None

    def select(self, adapter: Adapter | None) -> None:
        """Makes the model answer as `adapter`, or as its base for None. Raises ApiError if it does not fit."""
        if adapter is not None and adapter.whole:
            adapter = None
        if adapter is self._selected:
            return
        if adapter is not None and adapter not in self._names:
            self._put_on(adapter)
        if self._peft is not None:
            if adapter is None:
                self._peft.base_model.disable_adapter_layers()
            else:
                self._peft.base_model.enable_adapter_layers()
                self._peft.set_adapter(self._names[adapter], inference_mode=True)
        self._selected = adapter

    def remove(self, adapter: Adapter) -> None:
        """Takes an adapter off the model, and with the last one every trace of adapters."""
        name = self._names.pop(adapter, None)
        if name is None:
            return
        self.select(None)
        if self._names:
            self._peft.delete_adapter(name)
            self._peft.base_model.disable_adapter_layers()
        else:
            self._strip()

    def _put_on(self, adapter: Adapter) -> None:
        name = next(_INTERNAL_NAMES)
        try:
            config = LoraConfig.from_pretrained(str(adapter.path))
            config.inference_mode = True
            if self._peft is None:
                self._peft = PeftModelForCausalLM(self._model, config, adapter_name=name)
            else:
                self._peft.add_adapter(name, config)
            loaded = self._peft.load_adapter(str(adapter.path), name, torch_device=str(self._model.device))
            if loaded.missing_keys or loaded.unexpected_keys:
                raise ValueError("its tensors do not match its configuration")
        except Exception as error:
            # peft may have changed a part of the layers. The others are put on again when they are next selected.
            self._strip()
            why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ApiError(
                400, f"The adapter {adapter.name!r} does not fit {adapter.base.name!r}: {why}", param="lora_path"
            ) from error
        self._names[adapter] = name

    def _strip(self) -> None:
        """Gives the model its own layers back."""
        for path, module in list(self._model.named_modules()):
            if isinstance(module, BaseTunerLayer):
                original = module.get_base_layer()
            elif isinstance(module, AuxiliaryTrainingWrapper):
                original = module.original_module
            else:
                continue
            parent, _, child = path.rpartition(".")
            setattr(self._model.get_submodule(parent), child, original)
        if hasattr(self._model, "peft_config"):
            del self._model.peft_config
        self._peft, self._selected = None, None
        self._names.clear()
