"""Settings that make no sense."""

import json
import os
import subprocess
import sys


def test_a_setting_that_makes_no_sense_is_named_and_a_password_never_shown() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "gateway.main"],
        env={**os.environ, "PLATFORM_ADMIN_PASSWORD": "hunter2", "PLATFORM_PORT": "many"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    told = json.loads(ended.stdout)
    assert told["event"] == "settings_invalid"
    assert "at least 12 characters" in told["PLATFORM_ADMIN_PASSWORD"]
    assert "integer" in told["PLATFORM_PORT"]
    assert "hunter2" not in ended.stdout + ended.stderr
