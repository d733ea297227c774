"""What answers by default, and what a change of the configuration means."""

from dataclasses import replace

import pytest

from contracts.base import Refused
from contracts.router import UpdateConfig
from llm_router.domain.configuration import Change, Default, Selection, change, default_of
from llm_router.domain.engines import EngineSpec

LOCAL = EngineSpec(id=1, name="local", provider_type="local", api_base="http://127.0.0.1:5000/v1")
SMALL = EngineSpec(id=2, name="small", provider_type="simulated", api_base="http://127.0.0.1:5001/v1")
MEDIUM = EngineSpec(id=3, name="medium", provider_type="simulated", api_base="http://127.0.0.1:5002/v1")
HOSTED = EngineSpec(
    id=4, name="configured", provider_type="openai", api_base="https://llm.example/v1", token="sk-1", guarded=True
)
ENGINES = [LOCAL, SMALL, MEDIUM]
MODELS = {"local": ["base"], "small": ["simulated-small"], "medium": ["simulated-medium"]}


def planned(request: UpdateConfig, *, hosted: EngineSpec | None = None, admin: bool = False) -> Change:
    engines = [*ENGINES, hosted] if hosted is not None else ENGINES
    selection = Selection("configured" if hosted is not None else None, revision=3)
    return change(request, selection, default_of(selection, engines, MODELS), engines, admin=admin)


class TestDefault:
    def test_at_first_it_is_the_first_simulated_engine_and_its_model(self) -> None:
        assert default_of(Selection(), ENGINES, MODELS) == Default(SMALL, "simulated-small", pinned=False)

    def test_without_a_simulated_engine_it_is_the_first(self) -> None:
        assert default_of(Selection(), [LOCAL], MODELS) == Default(LOCAL, "base", pinned=False)

    def test_without_engines_there_is_none(self) -> None:
        assert default_of(Selection(model="m"), [], {}) is None

    def test_a_chosen_model_brings_the_engine_that_serves_it(self) -> None:
        assert default_of(Selection(model="base"), ENGINES, MODELS) == Default(LOCAL, "base", pinned=False)

    def test_a_chosen_engine_stays_whatever_the_model(self) -> None:
        chosen = default_of(Selection("medium", "base"), ENGINES, MODELS)
        assert chosen == Default(MEDIUM, "base", pinned=True)

    def test_a_chosen_engine_that_is_gone_gives_way(self) -> None:
        assert default_of(Selection("gone"), ENGINES, MODELS) == Default(SMALL, "simulated-small", pinned=False)

    def test_an_engine_that_lists_nothing_yet_has_no_model(self) -> None:
        found = default_of(Selection(), ENGINES, {})
        assert found is not None
        assert found.config().model_name == ""
        assert found.config().api_base == SMALL.api_base


class TestChange:
    def test_a_model_alone_leaves_the_engine_to_the_platform(self) -> None:
        assert planned(UpdateConfig(model_name="base")) == Change(Selection(None, "base", 4))

    def test_the_address_of_a_declared_engine_means_that_engine(self) -> None:
        assert planned(UpdateConfig(api_base="http://127.0.0.1:5002/")).selection.engine == "medium"
        assert planned(UpdateConfig(api_base="http://127.0.0.1:5002/v1")).configured is None

    def test_the_type_of_a_declared_engine_means_that_engine(self) -> None:
        assert planned(UpdateConfig(provider_type="local")).selection.engine == "local"

    def test_a_provider_with_a_token_is_a_new_engine(self) -> None:
        made = planned(UpdateConfig(provider_type="openai", model_name="gpt-4", auth_token="sk-2"))
        assert made.selection == Selection("configured", "gpt-4", 4)
        assert made.configured is not None
        assert made.configured.api_base == "https://api.openai.com/v1"
        assert made.configured.token == "sk-2"
        assert made.to_check == "https://api.openai.com/v1"

    def test_an_address_alone_is_taken_for_an_openai_api(self) -> None:
        made = planned(UpdateConfig(api_base="https://llm.example/v1"))
        assert made.configured is not None
        assert made.configured.provider_type == "openai"

    def test_an_administrator_vouches_for_the_address(self) -> None:
        made = planned(UpdateConfig(api_base="http://10.0.0.1/v1"), admin=True)
        assert made.to_check is None
        assert made.configured is not None
        assert not made.configured.guarded

    def test_a_new_token_keeps_the_address(self) -> None:
        made = planned(UpdateConfig(auth_token="sk-2"), hosted=HOSTED)
        assert made.configured is not None
        assert made.configured.api_base == HOSTED.api_base
        assert made.configured.token == "sk-2"

    def test_a_new_path_on_the_same_host_keeps_the_token(self) -> None:
        made = planned(UpdateConfig(api_base="https://llm.example/v2"), hosted=HOSTED)
        assert made.configured is not None
        assert made.configured.token == "sk-1"

    def test_a_token_never_follows_to_another_host(self) -> None:
        made = planned(UpdateConfig(api_base="https://evil.example/v1"), hosted=HOSTED)
        assert made.configured is not None
        assert made.configured.token is None

    def test_a_token_never_follows_to_plain_http(self) -> None:
        made = planned(UpdateConfig(api_base="http://llm.example/v1"), hosted=HOSTED)
        assert made.configured is not None
        assert made.configured.token is None

    def test_what_an_administrator_vouched_for_stays_so_only_at_that_address(self) -> None:
        vouched = replace(HOSTED, guarded=False, api_base="http://10.0.0.1/v1")
        same = planned(UpdateConfig(auth_token="sk-2"), hosted=vouched)
        moved = planned(UpdateConfig(api_base="http://10.0.0.1/admin"), hosted=vouched)
        assert same.to_check is None
        assert moved.to_check == "http://10.0.0.1/admin"

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (UpdateConfig(provider_type="koboldai"), "api_base"),
            (UpdateConfig(provider_type="vllm"), "api_base"),
            (UpdateConfig(api_base="ftp://x"), "api_base"),
        ],
    )
    def test_what_cannot_work_is_refused_by_field(self, request_: UpdateConfig, field: str) -> None:
        with pytest.raises(Refused) as caught:
            planned(request_)
        assert caught.value.metadata["errors"][0]["field"] == field

    def test_tokens_show_in_no_text(self) -> None:
        made = planned(UpdateConfig(provider_type="openai", auth_token="sk-secret"))
        assert "sk-secret" not in repr(made)
        assert "sk-1" not in repr(HOSTED)
