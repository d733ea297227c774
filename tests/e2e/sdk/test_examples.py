"""Document E's Python example as it is written, and what documentation prints: run against the whole platform."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedded.platform import Platform
from llm_platform import Client
from tests.e2e.sdk.conftest import Example

pytestmark = pytest.mark.e2e


def test_the_example_of_document_e_runs_as_it_is_written(example: Example) -> None:
    assert example.lines[0].startswith("Dataset ID: ds_")
    assert any(line.startswith("[METRIC] ") for line in example.lines), example.lines
    files = {path.name for path in (example.folder / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= files
    assert not [name for name in files if name.startswith(".")], "nothing is left of the download"


def test_several_files_are_not_kept_under_the_name_of_one(example: Example, sdk: Client, tmp_path: Path) -> None:
    model_id = sdk.jobs.get(f"job_{example.run_id}").model_id
    assert model_id is not None
    with pytest.raises(ValueError, match=r"files as adapter: adapter_config\.json"):
        sdk.models.download(model_id, tmp_path / "model.gguf")
    assert not list(tmp_path.iterdir())


def test_the_example_of_the_documentation_runs(platform: Platform) -> None:
    script = Path(__file__).parents[3] / "libs/sdk-python/examples/tour.py"
    environment = {**os.environ, "LLM_PLATFORM_URL": platform.url, "LLM_PLATFORM_API_KEY": platform.admin_key}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "404 NOT_FOUND" in done.stdout
