"""What can be asked for, and which engines can answer: told by discovery and by the registry, held in memory."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.router import ProviderType
from llm_router.domain.engines import UNKNOWN_CONTEXT, EngineSpec, ModelCard
from llm_router.domain.trained import Trained, TrainedModel


@dataclass(frozen=True)
class Route:
    """Where a name leads: `model` is what the engine calls it, `engines` may answer, `adapter` must be loaded there."""

    name: str
    model: str
    engines: tuple[str, ...]
    adapter: TrainedModel | None = None


@dataclass(frozen=True)
class Entry:
    """A name that can be asked for, as lists show it. `engines` is empty when none can answer.

    `context_size` is None when no engine says it; `max_tokens` is what to count on then.
    """

    name: str
    provider: ProviderType
    context_size: int | None
    engines: tuple[str, ...]
    parent: str | None = None
    model_id: str | None = None

    @property
    def max_tokens(self) -> int:
        return self.context_size or UNKNOWN_CONTEXT


@dataclass(frozen=True)
class _Listing:
    spec: EngineSpec
    cards: dict[str, ModelCard]


class Catalogue:
    """The names of all models. Ids of trained models come first, then what engines list, then names of trained models:

    a trained model named like a base never takes its place, and its id always leads to it.
    """

    def __init__(self) -> None:
        self._listings: dict[str, _Listing] = {}
        self._trained = Trained()
        self._routes: dict[str, Route] = {}
        self._refusals: dict[str, dict[str, str]] = {}
        """Why an engine will not load an adapter: by engine, then by model id."""

    def put_engine(self, spec: EngineSpec, cards: Iterable[ModelCard]) -> None:
        """Replaces what is known about the engine."""
        listed = {card.name: card for card in cards}
        for name in spec.models:
            listed.setdefault(name, ModelCard(name, simulated=spec.provider_type == "simulated"))
        self._listings[spec.name] = _Listing(spec, listed)
        self._routes.clear()

    def remove_engine(self, name: str) -> None:
        self._listings.pop(name, None)
        self.engine_started(name)

    def engine_started(self, name: str) -> None:
        """The engine is another than before, or back: what it refused it may accept now."""
        self._refusals.pop(name, None)
        self._routes.clear()

    def put_trained(self, model: TrainedModel) -> None:
        """Adds a model, or completes one of which only the summary was known."""
        self._trained.put(model)
        self._routes.clear()

    def withdraw_trained(self, model_id: str) -> None:
        """Nobody may ask for the model any more, whether or not an engine still holds it."""
        self._trained.withdraw(model_id)
        self._routes.clear()

    def put_alias(self, name: str, alias: str, model_id: str | None) -> None:
        """From now on `name@alias` leads to that model, or to none."""
        self._trained.put_alias(name, alias, model_id)
        self._routes.clear()

    def alias(self, name: str, alias: str) -> str | None:
        """The id of the model that `name@alias` leads to."""
        return self._trained.alias(name, alias)

    def trained(self, model_id: str) -> TrainedModel | None:
        return self._trained.get(model_id)

    def knows_trained(self, model_id: str) -> bool:
        """Whether the model is known with all that serving it needs."""
        known = self._trained.get(model_id)
        return known is not None and known.adapter is not None

    def adapter_loaded(self, engine: str, model: TrainedModel) -> None:
        if (listing := self._listings.get(engine)) is not None:
            listing.cards[model.model_id] = ModelCard(model.model_id, parent=model.base_model)

    def adapter_lost(self, engine: str, model_id: str) -> None:
        """The engine does not know the adapter any more."""
        if (listing := self._listings.get(engine)) is not None:
            listing.cards.pop(model_id, None)

    def adapter_refused(self, engine: str, model: TrainedModel, why: str) -> None:
        """The engine will not load the adapter, so that others are asked for it until `refusal_over`."""
        self._refusals.setdefault(engine, {})[model.model_id] = why
        self._routes.clear()

    def refusal_over(self, engine: str, model_id: str) -> None:
        """It may be asked again."""
        self._refusals.get(engine, {}).pop(model_id, None)
        self._routes.clear()

    def refusal(self, engine: str, model_id: str) -> str | None:
        """Why the engine will not load the adapter, if it said so."""
        return self._refusals.get(engine, {}).get(model_id)

    def adapters(self, engine: str) -> list[str]:
        """The ids of the trained models that are loaded on the engine, also of those that are served no more."""
        listing = self._listings.get(engine)
        return [name for name in listing.cards if self._trained.is_adapter(name)] if listing is not None else []

    def loaded_adapters(self) -> set[str]:
        """The ids of the trained models that are loaded on any engine."""
        return {name for engine in self._listings for name in self.adapters(engine)}

    def chat_template(self, model_id: str) -> str | None:
        """The template that a trained model was trained with, if it is one and had its own."""
        model = self._trained.get(model_id)
        return model.chat_template if model is not None else None

    def holds(self, engine: str, model: str) -> bool:
        """Whether the engine lists the model, or has loaded the adapter, of that name."""
        listing = self._listings.get(engine)
        return listing is not None and model in listing.cards

    def resolve(self, name: str) -> Route | None:
        """Where `name` leads, or None when nothing has this name."""
        route = self._routes.get(name)
        if route is None and (route := self._find(name)) is not None:
            self._routes[name] = route
        return route

    def cards(self, engine: str) -> list[ModelCard]:
        """The models of an engine, in its own order."""
        listing = self._listings.get(engine)
        return list(listing.cards.values()) if listing is not None else []

    def is_simulated(self, engine: str, model: str) -> bool:
        listing = self._listings.get(engine)
        if listing is None:
            return False
        card = listing.cards.get(model)
        return listing.spec.provider_type == "simulated" or (card is not None and card.simulated)

    def names(self) -> list[str]:
        return [entry.name for entry in self.entries()]

    def entries(self) -> list[Entry]:
        """Every name that can be asked for: models of engines first, then trained ones by name and by id."""
        entries: dict[str, Entry] = {}
        for listing in self._listings.values():
            for card in listing.cards.values():
                if not self._trained.is_adapter(card.name) and card.name not in entries:
                    entries[card.name] = self._engine_entry(card)
        for name, model in self._trained.names():
            entries.setdefault(name, self._trained_entry(name, model))
        return list(entries.values())

    def _engine_entry(self, card: ModelCard) -> Entry:
        engines = self._serving(card.name)
        spec = self._listings[engines[0]].spec
        return Entry(card.name, spec.provider_type, card.max_tokens, engines, parent=card.parent)

    def _trained_entry(self, name: str, model: TrainedModel) -> Entry:
        engines = self._capable(model)
        provider: ProviderType = self._listings[engines[0]].spec.provider_type if engines else "local"
        # A base that was named by its path is listed under its name; the adapter's own card knows the context then.
        cards = (self._listings[e].cards.get(known) for e in engines for known in (model.base_model, model.model_id))
        limit = next((card.max_tokens for card in cards if card is not None and card.max_tokens), None)
        return Entry(name, provider, limit, engines, parent=model.base_model, model_id=model.model_id)

    def _find(self, name: str) -> Route | None:
        if (trained := self._trained.get(name)) is not None:
            return self._adapter_route(name, trained)
        if self._trained.is_withdrawn(name):
            return None
        if engines := self._serving(name):
            return Route(name, name, engines)
        if (trained := self._trained.named(name)) is not None:
            # Whoever asks for an alias is told which version answered.
            return self._adapter_route(name if name == trained.name else trained.versioned, trained)
        if self._trained.has_base(name):
            # A base that no engine lists, such as one on the Hugging Face hub: a local engine loads it when asked.
            return Route(name, name, self._local())
        return None

    def _adapter_route(self, name: str, model: TrainedModel) -> Route:
        return Route(name, model.model_id, self._capable(model), model)

    def _serving(self, name: str) -> tuple[str, ...]:
        return tuple(engine for engine, listing in self._listings.items() if name in listing.cards)

    def _capable(self, model: TrainedModel) -> tuple[str, ...]:
        """Engines that can load the adapter: those that serve its base, else local ones, which load any base.

        Only local engines load whole models.

        Those that refused it are left out, unless all did: the failure then says why.
        """
        able = {name: listing for name, listing in self._listings.items() if listing.spec.takes_adapters}
        serving = tuple(n for n, listing in able.items() if model.base_model in listing.cards and not model.whole)
        engines = serving or self._local()
        return tuple(name for name in engines if self.refusal(name, model.model_id) is None) or engines

    def _local(self) -> tuple[str, ...]:
        return tuple(name for name, listing in self._listings.items() if listing.spec.provider_type == "local")
