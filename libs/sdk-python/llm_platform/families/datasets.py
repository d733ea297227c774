"""Data sets (document E)."""

from pathlib import Path
from typing import Unpack

from llm_platform.core import resumable
from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Request, Steps
from llm_platform.core.requests import at, read
from llm_platform.core.retrying import exchange
from llm_platform.core.transfers import FileName, Progress, Source
from llm_platform.errors import ApiError, ChecksumMismatch
from llm_platform.schemas import answers, requests

_BASE = "/api/v1/datasets"
_LARGE = 8 * 1024 * 1024


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

        A large one goes on where a connection broke; a small one is sent again, since the same content under the same
        name is one data set. Its SHA-256 is compared with that of what arrived: raises `ChecksumMismatch`.
        """
        source = Source(Path(file), filename or Path(file).name, progress)
        fields = {} if format is None else {"format": format}
        dataset = yield from self._sent(source, fields)
        if dataset.sha256 != source.sha256:
            raise ChecksumMismatch(f"{source.name} arrived as something else: {dataset.dataset_id} must not be used")
        return dataset

    def _sent(self, source: Source, fields: dict[str, str]) -> Steps[answers.Dataset]:
        """A small file in one go, again where that breaks; a large one piece by piece."""
        retries = self._runner.retries
        if source.path.stat().st_size >= _LARGE:
            try:
                dataset_id = yield from resumable.send(source, fields, retries)
            except ApiError as error:
                if not resumable.is_unknown(error):
                    raise
            else:
                source.sha256 = yield from resumable.digest_of(source)
                return (yield from self._get(at(_BASE, dataset_id), answers.Dataset))
        request = Request("POST", _BASE + "/upload", body=source.form(fields), once=True)
        return read((yield from exchange(request, retries)).body, answers.Dataset)

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

    @operation
    def tokens(self, dataset_id: str, base_model: str, *, column: str | None = None) -> Steps[answers.TokenCounts]:
        """How many tokens its text has by a model's tokenizer; of a large one an estimate, which it says."""
        path = at(_BASE, dataset_id, "tokens")
        return self._get(path, answers.TokenCounts, base_model=base_model, column=column)
