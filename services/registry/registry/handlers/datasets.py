"""Data sets: entering, finding and looking into them."""

from contracts.base import RefusalCode, Refused
from contracts.registry import (
    GET_DATASET,
    LIST_DATASETS,
    PREVIEW_DATASET,
    REGISTER_DATASET,
    Dataset,
    DatasetPage,
    DatasetPreview,
    GetDataset,
    ListDatasets,
    PreviewDataset,
    RegisterDataset,
)
from registry.domain.uploads import check_upload, confirmed
from registry.handlers.deps import HANDLERS, Deps
from registry.store import datasets


@HANDLERS.on(REGISTER_DATASET)
async def register_dataset(deps: Deps, request: RegisterDataset) -> Dataset:
    check_upload(request)
    async with deps.database.connection() as connection:
        dataset = await datasets.find(connection, request.dataset_id)
    if dataset is None:
        inspection = await deps.inspector.inspect(request)
        async with deps.database.transaction() as connection:
            dataset = await datasets.add(connection, request, inspection)
    return confirmed(dataset, request)


@HANDLERS.on(GET_DATASET)
async def get_dataset(deps: Deps, request: GetDataset) -> Dataset:
    async with deps.database.connection() as connection:
        dataset = await datasets.find(connection, request.dataset_id)
    if dataset is None:
        raise _unknown(request.dataset_id)
    return dataset


@HANDLERS.on(LIST_DATASETS)
async def list_datasets(deps: Deps, request: ListDatasets) -> DatasetPage:
    async with deps.database.connection() as connection:
        items, total = await datasets.newest(connection, request.limit, request.offset)
    return DatasetPage.of(items, total, request)


@HANDLERS.on(PREVIEW_DATASET)
async def preview_dataset(deps: Deps, request: PreviewDataset) -> DatasetPreview:
    async with deps.database.connection() as connection:
        found = await datasets.samples(connection, request.dataset_id)
    if found is None:
        raise _unknown(request.dataset_id)
    samples, rows = found
    return DatasetPreview(dataset_id=request.dataset_id, samples=samples[: request.limit], total_rows=rows)


def _unknown(dataset_id: str) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, f"There is no data set {dataset_id}")
