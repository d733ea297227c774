"""Requests that schemathesis makes up from our own API description, right and wrong ones, against a whole platform.

No answer may be a 5xx, have an undocumented status or media type, or a body unlike its schema; no route may take a
method that is not described, or a stranger where the description asks for a key.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from embedded.platform import FREE_PORTS, Platform

_NO_LIMITS = {
    "PLATFORM_USER_REQUESTS_PER_MINUTE": "0",
    "PLATFORM_ADDRESS_REQUESTS_PER_MINUTE": "0",
    "PLATFORM_TESTS_PER_MINUTE": "0",
    "PLATFORM_EXECUTIONS_PER_DAY": "0",
    "PLATFORM_LOGINS_PER_MINUTE": "0",
}
"""One caller makes all requests; what the limits do has tests of its own."""

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "ignored_auth",
)

_LEFT_OUT: Mapping[str, str] = {
    "get_api_v1_logs_stream_run_id": "goes on for as long as its run does",
    "get_api_runs_run_id_events": "goes on for as long as its run does",
    "get_ws": "is answered over a WebSocket",
    "post_api_v1_llm_config": "would point the platform at engines out in the world",
    "post_api_v1_llm_engines": "would point the platform at engines out in the world",
    "put_api_v1_llm_engines_engine_id": "would point the platform at engines out in the world",
    "post_api_llm_instances": "would point the platform at engines out in the world",
    "put_api_llm_instances_port": "would point the platform at engines out in the world",
}
"""Operations that are not tried, and why."""

_CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


def fuzz(*options: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """A run on a platform of its own; `options` are schemathesis's. Its status is 0 when nothing was found."""
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-") as folder,
        Platform(Path(folder) / "data", {**FREE_PORTS, **_NO_LIMITS}) as platform,
    ):
        return subprocess.run(
            _command(platform, options),
            cwd=folder,
            env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(Path(folder) / "examples")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout,
        )


def _command(platform: Platform, options: tuple[str, ...]) -> list[str]:
    return [
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={_CONFIGURATION}",
        "run",
        f"{platform.url}/openapi.json",
        f"--header=Authorization: Bearer {platform.admin_key}",
        f"--checks={','.join(_CHECKS)}",
        "--phases=examples,coverage,fuzzing",
        "--continue-on-failure",
        "--request-timeout=60",
        "--warnings=off",
        *(f"--exclude-operation-id={name}" for name in _LEFT_OUT),
        *options,
    ]
