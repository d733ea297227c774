"""Data sets: entering, finding, looking into and deleting them."""

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import FIND_JOBS_OF_DATASET, FindJobsOfDataset
from contracts.registry import (
    COUNT_TOKENS,
    DELETE_DATASET,
    GET_DATASET,
    GET_DATASET_LINEAGE,
    LIST_DATASETS,
    PREVIEW_DATASET,
    REGISTER_DATASET,
    CountTokens,
    Dataset,
    DatasetDeleted,
    DatasetLineage,
    DatasetPage,
    DatasetPreview,
    DeleteDataset,
    GetDataset,
    ListDatasets,
    PreviewDataset,
    RegisterDataset,
    TokenCounts,
)
from registry.domain.pages import RowRange
from registry.domain.token_counts import chosen_column, rows_to_count
from registry.domain.uploads import check_unused, check_upload, confirmed, folder_of
from registry.engine.tokenizers import tokenizer_of
from registry.handlers.deps import HANDLERS, Deps
from registry.store import datasets


@HANDLERS.on(REGISTER_DATASET)
async def register_dataset(deps: Deps, request: RegisterDataset) -> Dataset:
    check_upload(request)
    dataset = await _known(deps, request)
    if dataset is None:
        found = await deps.inspector.inspect(request)
        async with deps.database.transaction() as connection:
            dataset = await datasets.add(connection, request, found.inspection, found.sha256)
    return confirmed(dataset, request)


async def _known(deps: Deps, upload: RegisterDataset) -> Dataset | None:
    """The data set of this upload, or of an earlier one of the same name and content: neither need be read again."""
    async with deps.database.connection() as connection:
        dataset = await datasets.find(connection, upload.dataset_id)
        if dataset is None and upload.sha256 is not None:
            dataset = await datasets.same(connection, upload.filename, upload.sha256.lower(), upload.format)
    return dataset


@HANDLERS.on(GET_DATASET)
async def get_dataset(deps: Deps, request: GetDataset) -> Dataset:
    async with deps.database.connection() as connection:
        dataset = await datasets.find(connection, request.dataset_id)
    if dataset is None:
        raise Refused(RefusalCode.NOT_FOUND, f"There is no data set {request.dataset_id}")
    return dataset


@HANDLERS.on(LIST_DATASETS)
async def list_datasets(deps: Deps, request: ListDatasets) -> DatasetPage:
    async with deps.database.connection() as connection:
        items, total = await datasets.newest(connection, request)
    return DatasetPage.of(items, total, request)


@HANDLERS.on(PREVIEW_DATASET)
async def preview_dataset(deps: Deps, request: PreviewDataset) -> DatasetPreview:
    dataset = await get_dataset(deps, GetDataset(dataset_id=request.dataset_id))
    async with deps.database.connection() as connection:
        first, marks = await datasets.samples(connection, request.dataset_id)
    end = min(request.offset + request.limit, dataset.rows)
    rows = first[request.offset : end]
    if len(rows) < end - request.offset:
        wanted = RowRange(skip=request.offset, take=end - request.offset)
        rows = await deps.inspector.read(dataset, marks, wanted)
    return DatasetPreview(dataset_id=request.dataset_id, samples=rows, total_rows=dataset.rows)


@HANDLERS.on(COUNT_TOKENS)
async def count_tokens(deps: Deps, request: CountTokens) -> TokenCounts:
    dataset = await get_dataset(deps, GetDataset(dataset_id=request.dataset_id))
    column = chosen_column(dataset, request.column)
    tokenizer = tokenizer_of(deps.models_dir, request.base_model)
    async with deps.database.connection() as connection:
        _, marks = await datasets.samples(connection, request.dataset_id)
    wanted = rows_to_count(dataset)
    found = await deps.inspector.count(dataset, marks, wanted, column, tokenizer)
    return TokenCounts(
        dataset_id=dataset.dataset_id,
        base_model=request.base_model,
        column=column,
        rows_counted=wanted.take,
        is_estimate=wanted.take < dataset.rows,
        **found.model_dump(exclude={"tokens"}),
        tokens=round(found.tokens / wanted.take * dataset.rows),
    )


@HANDLERS.on(GET_DATASET_LINEAGE)
async def get_dataset_lineage(deps: Deps, request: GetDataset) -> DatasetLineage:
    dataset = await get_dataset(deps, request)
    read = await deps.bus.ask(FIND_JOBS_OF_DATASET, FindJobsOfDataset(dataset_id=dataset.dataset_id))
    async with deps.database.connection() as connection:
        return DatasetLineage(
            dataset_id=dataset.dataset_id,
            filename=dataset.filename,
            version=dataset.version,
            versions=await datasets.versions(connection, dataset.filename),
            runs=read.jobs,
            models=await datasets.models(connection, dataset.dataset_id),
        )


@HANDLERS.on(DELETE_DATASET)
async def delete_dataset(deps: Deps, request: DeleteDataset) -> DatasetDeleted:
    lineage = await get_dataset_lineage(deps, GetDataset(dataset_id=request.dataset_id))
    if not request.force:
        check_unused(lineage)
    path = folder_of(request.dataset_id)
    async with deps.database.transaction() as connection:
        await datasets.delete(connection, request.dataset_id, path)
    return DatasetDeleted(dataset_id=request.dataset_id, freed_bytes=await _free(deps, path))


async def _free(deps: Deps, path: str) -> int:
    try:
        return (await deps.freeing.free([path])).size
    except Refused as refused:
        if refused.code is not RefusalCode.STORAGE_FAILED:
            raise
        return 0  # the sweeper removes it once the store is back
