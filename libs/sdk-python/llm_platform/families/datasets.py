"""Data sets (document E)."""

from pathlib import Path
from typing import Unpack

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Request, Steps
from llm_platform.core.requests import at, read
from llm_platform.core.retrying import exchange
from llm_platform.core.transfers import FileName, Progress, Source
from llm_platform.errors import ChecksumMismatch
from llm_platform.schemas import answers, requests

_BASE = "/api/v1/datasets"


class Datasets(Family[R]):
    """`client.datasets`"""

    @operation
    def upload(
        self,
        file: FileName,
        *,
        format: str | None = None,  # noqa: A002 - document E's name
        filename: str | None = None,
        progress: Progress | None = None,
    ) -> Steps[answers.Dataset]:
        """Uploads a file (CSV, TSV, JSON, JSONL, Parquet or TXT), and has it checked and summed up.

        Its SHA-256 is compared with that of what arrived: raises `ChecksumMismatch`. The same content under the same
        name is one data set, so what was cut off may be sent again.
        """
        source = Source(Path(file), filename or Path(file).name, progress)
        body = source.form({} if format is None else {"format": format})
        request = Request("POST", _BASE + "/upload", body=body, once=True)
        dataset = read((yield from exchange(request, self._runner.retries)).body, answers.Dataset)
        if dataset.sha256 != source.sha256:
            raise ChecksumMismatch(f"{source.name} arrived as something else: {dataset.dataset_id} must not be used")
        return dataset

    @flow
    def list(self, *, limit: int | None = None, **filters: Unpack[requests.DatasetsQuery]) -> Flow[answers.Dataset]:
        """Data sets, newest first."""
        return self._pages(_BASE, answers.DatasetPage, lambda page: page.items, limit, **filters)

    @operation
    def get(self, dataset_id: str) -> Steps[answers.Dataset]:
        """One data set."""
        return self._get(at(_BASE, dataset_id), answers.Dataset)

    @operation
    def delete(self, dataset_id: str, **how: Unpack[requests.DeleteDatasetsQuery]) -> Steps[answers.DatasetDeleted]:
        """Deletes a data set; `force` even if a running job or a model needs it."""
        return self._delete(at(_BASE, dataset_id), answers.DatasetDeleted, **how)

    @operation
    def lineage(self, dataset_id: str) -> Steps[answers.DatasetLineage]:
        """What was made of it, and the other versions of its name."""
        return self._get(at(_BASE, dataset_id, "lineage"), answers.DatasetLineage)

    @operation
    def preview(self, dataset_id: str, *, limit: int = 10, offset: int = 0) -> Steps[answers.DatasetPreview]:
        """Some of its rows, at most 100."""
        return self._get(at(_BASE, dataset_id, "preview"), answers.DatasetPreview, limit=limit, offset=offset)
