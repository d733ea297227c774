"""Trained models by all that they are asked by: id, name, version and alias of a name."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from contracts.pipeline import LATEST

_AT = "@"


@dataclass(frozen=True)
class TrainedModel:
    """A model of the registry that is served as an adapter on its base, or `whole`.

    `adapter` is the `s3://` prefix of its files.
    """

    model_id: str
    name: str
    base_model: str
    registered_at: datetime
    adapter: str | None = None
    chat_template: str | None = None
    version: int = 0
    whole: bool = False

    @property
    def versioned(self) -> str:
        """The name that always is this model's."""
        return f"{self.name}{_AT}{self.version}"


class Trained:
    """Those that are served, and the ids of those that were: engines may still hold what nobody may ask for now."""

    def __init__(self) -> None:
        self._models: dict[str, TrainedModel] = {}
        self._by_name: dict[str, dict[str, TrainedModel]] = {}
        self._newest: dict[str, TrainedModel] = {}
        self._aliases: dict[tuple[str, str], str] = {}
        self._withdrawn: set[str] = set()

    def put(self, model: TrainedModel) -> None:
        """Adds a model, or completes one of which only the summary was known."""
        known = self._models.get(model.model_id)
        if known is not None and known.adapter is not None and model.adapter is None:
            return
        self._withdrawn.discard(model.model_id)
        self._models[model.model_id] = model
        of_name = self._by_name.setdefault(model.name, {})
        of_name[model.model_id] = model
        if (newest := self._newest.get(model.name)) is None or _age(newest) <= _age(model):
            self._newest[model.name] = model

    def withdraw(self, model_id: str) -> None:
        """Nobody may ask for it any more."""
        self._withdrawn.add(model_id)
        model = self._models.pop(model_id, None)
        if model is None:
            return
        of_name = self._by_name[model.name]
        del of_name[model_id]
        if of_name:
            self._newest[model.name] = max(of_name.values(), key=_age)
        else:
            del self._by_name[model.name], self._newest[model.name]

    def put_alias(self, name: str, alias: str, model_id: str | None) -> None:
        if model_id is None:
            self._aliases.pop((name, alias), None)
        else:
            self._aliases[name, alias] = model_id

    def alias(self, name: str, alias: str) -> str | None:
        """The id that the alias leads to."""
        return self._aliases.get((name, alias))

    def get(self, model_id: str) -> TrainedModel | None:
        return self._models.get(model_id)

    def is_withdrawn(self, model_id: str) -> bool:
        return model_id in self._withdrawn

    def is_adapter(self, model_id: str) -> bool:
        """Whether that is the id of a trained model, served or not."""
        return model_id in self._models or model_id in self._withdrawn

    def has_base(self, base_model: str) -> bool:
        return any(model.base_model == base_model for model in self._models.values())

    def named(self, reference: str) -> TrainedModel | None:
        """The newest model of a name, or the one that `name@version`, `name@alias` or `name@latest` means."""
        name, at, which = reference.rpartition(_AT)
        if not at:
            return self._newest.get(reference)
        if which == LATEST:
            return self._newest.get(name)
        if (model_id := self._aliases.get((name, which))) is not None:
            return self._models.get(model_id)
        return next((m for m in self._by_name.get(name, {}).values() if str(m.version) == which), None)

    def names(self) -> Iterator[tuple[str, TrainedModel]]:
        """Every name that lists show: names, aliases, then ids, the oldest model first."""
        for name in sorted(self._newest):
            yield name, self._newest[name]
        for (name, alias), model_id in sorted(self._aliases.items()):
            if model_id in self._models:
                yield f"{name}{_AT}{alias}", self._models[model_id]
        for model in sorted(self._models.values(), key=lambda model: model.registered_at):
            yield model.model_id, model


def _age(model: TrainedModel) -> tuple[int, datetime]:
    """What the newest has the most of."""
    return model.version, model.registered_at
