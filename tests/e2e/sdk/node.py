"""Node with the SDK for JavaScript, built and installed as its users would."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.platform import Platform

PACKAGE = Path(__file__).parents[3] / "libs/sdk-js"
ROWS = "question,answer\nWhat is it?,A test.\nAnd this?,Another one.\n"
_BIN = Path(sys.executable).parent
"""Node is here too, as a wheel."""
_SCRIPTS = Path(__file__).parent / "javascript"

# Document E, "JavaScript SDK (Example)".
EXAMPLE = """\
import { LLMPlatformClient } from '@llm-platform/sdk';

const client = new LLMPlatformClient({
  baseUrl: 'http://localhost:8000/api/v1'
});

// Upload dataset
const dataset = await client.datasets.upload(file);

// Submit job
const job = await client.jobs.create({
  pipelineConfig: { ... }
});

// Stream logs (SSE)
const eventSource = client.logs.stream(job.runId);
eventSource.onmessage = (event) => {
  const log = JSON.parse(event.data);
  console.log(`[${log.level}] ${log.message}`);
};
"""
_PIPELINE = """{
    nodes: [
      { agentName: 'dataset', agentClass: 'DatasetAgent', config: { datasetId: dataset.datasetId } },
      { agentName: 'validation', agentClass: 'ValidationAgent', config: {} },
    ],
    edges: [{ fromAgent: 'dataset', toAgent: 'validation' }],
  }"""


def example(url: str) -> str:
    """The example, its blanks filled in, and the file that it uploads."""
    file = f"const file = new File([{json.dumps(ROWS)}], 'training_data.csv');\n"
    return file + EXAMPLE.replace("http://localhost:8000", url).replace("{ ... }", _PIPELINE)


def build() -> Path:
    if not (PACKAGE / "node_modules/.package-lock.json").exists():
        npm("ci", "--no-audit", "--no-fund")
    npm("run", "build")
    return PACKAGE


def npm(*command: str) -> str:
    return _output([_BIN / "npm", *command], PACKAGE, {})


@dataclass(frozen=True)
class Node:
    """A folder in which the package is installed, and whose key it uses."""

    folder: Path
    platform: Platform

    @classmethod
    def with_package(cls, package: Path, folder: Path, platform: Platform) -> "Node":
        (folder / "node_modules/@llm-platform").mkdir(parents=True)
        (folder / "node_modules/@llm-platform/sdk").symlink_to(package)
        for script in _SCRIPTS.iterdir():
            shutil.copy(script, folder)
        return cls(folder, platform)

    def run(self, *arguments: str | Path) -> list[str]:
        """The lines that a script writes."""
        access = {"LLM_PLATFORM_URL": self.platform.url, "LLM_PLATFORM_API_KEY": self.platform.admin_key}
        return _output([_BIN / "node", *arguments], self.folder, access).splitlines()

    def heard(self, url: str, what: str, of: str = "") -> list[Any]:
        """What `cut.mjs` hears over the way at `url`."""
        return [json.loads(line) for line in self.run("cut.mjs", url, what, of)]


def _output(command: list[str | Path], folder: Path, environment: dict[str, str]) -> str:
    path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
