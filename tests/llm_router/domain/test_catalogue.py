"""Where names lead."""

from datetime import UTC, datetime, timedelta

from contracts.router import ProviderType
from llm_router.domain.catalogue import Catalogue
from llm_router.domain.engines import UNKNOWN_CONTEXT, EngineSpec, ModelCard
from llm_router.domain.trained import TrainedModel

MORNING = datetime(2026, 1, 1, tzinfo=UTC)


def spec(name: str, provider: ProviderType = "openai", models: tuple[str, ...] = ()) -> EngineSpec:
    return EngineSpec(id=1, name=name, provider_type=provider, api_base="http://e/v1", models=models)


def trained(
    model_id: str, name: str, base: str = "base", hours: int = 0, adapter: str | None = "s3://a/b"
) -> TrainedModel:
    return TrainedModel(model_id, name, base, MORNING + timedelta(hours=hours), adapter)


def test_a_listed_model_leads_to_every_engine_that_lists_it() -> None:
    catalogue = Catalogue()
    catalogue.put_engine(spec("a"), [ModelCard("m"), ModelCard("n")])
    catalogue.put_engine(spec("b"), [ModelCard("m")])
    route = catalogue.resolve("m")
    assert route is not None
    assert route.engines == ("a", "b")
    assert route.model == "m"
    assert catalogue.resolve("o") is None


def test_a_new_listing_replaces_the_old_one() -> None:
    catalogue = Catalogue()
    catalogue.put_engine(spec("a"), [ModelCard("m")])
    assert catalogue.resolve("m") is not None
    catalogue.put_engine(spec("a"), [ModelCard("n")])
    assert catalogue.resolve("m") is None
    assert catalogue.resolve("n") is not None
    catalogue.remove_engine("a")
    assert catalogue.resolve("n") is None


def test_a_model_of_the_configuration_is_served_though_it_is_not_listed() -> None:
    catalogue = Catalogue()
    catalogue.put_engine(spec("configured", models=("gpt-x",)), [])
    assert catalogue.resolve("gpt-x") is not None


def test_a_trained_model_leads_to_the_engine_of_its_base_by_id_and_by_name() -> None:
    catalogue = Catalogue()
    catalogue.put_engine(spec("v", "vllm"), [ModelCard("base")])
    catalogue.put_engine(spec("o"), [ModelCard("base")])
    catalogue.put_trained(trained("model_1", "helper"))
    by_id, by_name = catalogue.resolve("model_1"), catalogue.resolve("helper")
    assert by_id is not None
    assert by_name is not None
    assert by_id.engines == by_name.engines == ("v",)
    assert by_id.model == by_name.model == "model_1"
    assert by_name.name == "helper"


def test_a_base_that_nobody_lists_is_left_to_a_local_engine() -> None:
    catalogue = Catalogue()
    catalogue.put_engine(spec("v", "vllm"), [ModelCard("other")])
    catalogue.put_engine(spec("l", "local"), [])
    catalogue.put_trained(trained("model_1", "helper", base="team/base"))
    route, base = catalogue.resolve("model_1"), catalogue.resolve("team/base")
    assert route is not None
    assert base is not None
    assert route.engines == base.engines == ("l",)
    assert base.adapter is None


def test_a_name_leads_to_the_newest_model_of_that_name() -> None:
    catalogue = Catalogue()
    catalogue.put_engine(spec("l", "local"), [ModelCard("base")])
    catalogue.put_trained(trained("model_new", "helper", hours=2))
    catalogue.put_trained(trained("model_old", "helper", hours=1))
    route = catalogue.resolve("helper")
    assert route is not None
    assert route.model == "model_new"


def test_a_trained_model_never_takes_the_place_of_a_base() -> None:
    catalogue = Catalogue()
    catalogue.put_engine(spec("l", "local"), [ModelCard("base")])
    catalogue.put_trained(trained("model_1", "base"))
    route = catalogue.resolve("base")
    assert route is not None
    assert route.adapter is None
    by_id = catalogue.resolve("model_1")
    assert by_id is not None
    assert by_id.adapter is not None


def test_a_summary_never_replaces_what_is_fully_known() -> None:
    catalogue = Catalogue()
    catalogue.put_engine(spec("l", "local"), [])
    catalogue.put_trained(trained("model_1", "helper", adapter=None))
    assert not catalogue.knows_trained("model_1")
    catalogue.put_trained(trained("model_1", "helper"))
    catalogue.put_trained(trained("model_1", "helper", adapter=None))
    assert catalogue.knows_trained("model_1")
    route = catalogue.resolve("helper")
    assert route is not None
    assert route.adapter is not None
    assert route.adapter.adapter == "s3://a/b"


def test_an_engine_holds_an_adapter_until_it_forgets_it() -> None:
    catalogue = Catalogue()
    model = trained("model_1", "helper")
    catalogue.put_engine(spec("l", "local"), [ModelCard("base")])
    catalogue.put_trained(model)
    assert not catalogue.holds("l", "model_1")
    catalogue.adapter_loaded("l", model)
    assert catalogue.holds("l", "model_1")
    catalogue.adapter_lost("l", "model_1")
    assert not catalogue.holds("l", "model_1")
    catalogue.adapter_loaded("gone", model)
    assert not catalogue.holds("gone", "model_1")


def test_the_list_has_models_of_engines_then_trained_ones_by_name_and_by_id() -> None:
    catalogue = Catalogue()
    model = trained("model_1", "helper")
    catalogue.put_engine(spec("l", "local"), [ModelCard("base", max_tokens=256)])
    catalogue.put_trained(model)
    catalogue.adapter_loaded("l", model)
    entries = {entry.name: entry for entry in catalogue.entries()}
    assert list(entries) == ["base", "helper", "model_1"]
    assert entries["helper"].parent == entries["model_1"].parent == "base"
    assert entries["helper"].model_id == "model_1"
    assert entries["helper"].max_tokens == entries["base"].max_tokens == 256
    assert entries["base"].model_id is None


def test_a_trained_model_that_no_engine_can_load_is_listed_without_one() -> None:
    catalogue = Catalogue()
    catalogue.put_trained(trained("model_1", "helper"))
    entry = catalogue.entries()[0]
    assert entry.engines == ()
    assert entry.max_tokens == UNKNOWN_CONTEXT


def test_a_simulated_model_is_known_by_its_engine_or_by_its_card() -> None:
    catalogue = Catalogue()
    catalogue.put_engine(spec("s", "simulated"), [ModelCard("m")])
    catalogue.put_engine(spec("o"), [ModelCard("m", simulated=True), ModelCard("n")])
    assert catalogue.is_simulated("s", "m")
    assert catalogue.is_simulated("o", "m")
    assert not catalogue.is_simulated("o", "n")
    assert not catalogue.is_simulated("nobody", "n")


def test_an_engine_that_refused_an_adapter_is_left_out_unless_all_did() -> None:
    catalogue = Catalogue()
    model = trained("model_1", "helper")
    for name in ("v", "w"):
        catalogue.put_engine(spec(name, "vllm"), [ModelCard("base")])
    catalogue.put_trained(model)

    def engines() -> tuple[str, ...]:
        route = catalogue.resolve("model_1")
        assert route is not None
        return route.engines

    assert engines() == ("v", "w")
    catalogue.adapter_refused("v", model, "no DoRA")
    assert engines() == ("w",)
    catalogue.adapter_refused("w", model, "rank")
    assert engines() == ("v", "w")
    assert catalogue.refusal("v", "model_1") == "no DoRA"
    catalogue.engine_started("w")
    assert engines() == ("w",)
    catalogue.refusal_over("v", "model_1")
    assert engines() == ("v", "w")


def test_adapters_of_an_engine_are_the_trained_models_it_lists_and_no_others() -> None:
    catalogue = Catalogue()
    catalogue.put_trained(trained("model_1", "helper"))
    catalogue.put_engine(
        spec("v", "vllm"), [ModelCard("base"), ModelCard("by-hand", parent="base"), ModelCard("model_1")]
    )
    catalogue.put_engine(spec("w", "vllm"), [ModelCard("base")])
    assert (catalogue.adapters("v"), catalogue.adapters("w")) == (["model_1"], [])
    assert catalogue.loaded_adapters() == {"model_1"}
