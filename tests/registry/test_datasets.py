"""Data sets over the bus: entered once, found, listed and looked into."""

import asyncio
import gzip
import os
import re
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from importlib import resources
from pathlib import Path

import orjson
import polars as pl
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from common.bus import Bus, Handlers
from common.database import Database
from common.datafiles.limits import Limits
from common.objects import Objects, S3Path
from common.service import Service, running
from common.settings import ServiceSettings
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import FIND_JOBS_OF_DATASET, FindJobsOfDataset, JobOfDataset, JobsOfDataset
from contracts.registry import (
    COUNT_TOKENS,
    DELETE_DATASET,
    GET_DATASET,
    GET_DATASET_LINEAGE,
    LIST_DATASETS,
    PREVIEW_DATASET,
    REGISTER_DATASET,
    REGISTER_MODEL,
    CountTokens,
    DeleteDataset,
    GetDataset,
    ListDatasets,
    PreviewDataset,
)
from registry.main import build
from registry.settings import Settings
from tests.registry.conftest import Access, Enter, Export, Upload

pytestmark = pytest.mark.usefixtures("service")
CSV = "text,label\nhello,1\nhi,2\n"


async def refused(entering: asyncio.Future[object] | object) -> Refused:
    with pytest.raises(Refused) as refusal:
        await entering  # type: ignore[misc]
    return refusal.value


async def test_an_upload_becomes_a_data_set(upload: Upload, gateway: Bus) -> None:
    request = upload(CSV, "training_data.csv")
    dataset = await gateway.ask(REGISTER_DATASET, request)
    assert (dataset.dataset_id, dataset.filename, dataset.format) == (request.dataset_id, "training_data.csv", "csv")
    assert (dataset.rows, dataset.columns, dataset.size_bytes) == (2, ["text", "label"], len(CSV))
    assert dataset.analysis.text_column == "text"
    assert await gateway.ask(GET_DATASET, GetDataset(dataset_id=request.dataset_id)) == dataset


async def test_a_repeated_registration_returns_the_same(upload: Upload, gateway: Bus) -> None:
    request = upload(CSV)
    first = await gateway.ask(REGISTER_DATASET, request)
    assert await gateway.ask(REGISTER_DATASET, request) == first


async def test_registrations_of_the_same_upload_at_once_enter_it_once(upload: Upload, gateway: Bus) -> None:
    request = upload(CSV)
    entered = await asyncio.gather(*(gateway.ask(REGISTER_DATASET, request) for _ in range(4)))
    assert all(dataset == entered[0] for dataset in entered)


async def test_another_object_under_the_same_id_is_a_conflict(upload: Upload, gateway: Bus) -> None:
    request = upload(CSV)
    await gateway.ask(REGISTER_DATASET, request)
    for change in ({"sha256": "0" * 64}, {"size_bytes": 1}, {"filename": "other.csv"}):
        refusal = await refused(gateway.ask(REGISTER_DATASET, request.model_copy(update=change)))
        assert refusal.code is RefusalCode.CONFLICT


@pytest.mark.parametrize(
    ("data", "filename", "field"),
    [
        (b"", "a.csv", "file"),
        (b"text,label\n", "a.csv", "file"),
        (b"text,label\na\n", "a.csv", "file"),
        (b'{"a": 1}\n{"a"', "a.jsonl", "file"),
        (b"\x1f\x8b\x08\0", "a.csv.gz", "file"),
        (b"text\n\xff\n", "a.csv", "file"),
    ],
)
async def test_what_is_no_data_set_is_refused_and_not_entered(
    upload: Upload, gateway: Bus, data: bytes, filename: str, field: str
) -> None:
    request = upload(data, filename)
    refusal = await refused(gateway.ask(REGISTER_DATASET, request))
    assert refusal.code is RefusalCode.DATASET_INVALID
    assert refusal.metadata["errors"] == [{"field": field, "message": refusal.message}]
    missing = await refused(gateway.ask(GET_DATASET, GetDataset(dataset_id=request.dataset_id)))
    assert missing.code is RefusalCode.NOT_FOUND


async def test_a_stated_format_that_does_not_fit_is_refused(upload: Upload, gateway: Bus) -> None:
    refusal = await refused(gateway.ask(REGISTER_DATASET, upload(CSV, "a.csv", "parquet")))
    assert refusal.metadata["errors"][0]["field"] == "format"


async def test_an_object_that_is_gone_or_changed_is_told_as_a_failure_of_the_store(
    upload: Upload, gateway: Bus, objects: Objects
) -> None:
    gone, changed = upload(CSV), upload(CSV)
    objects.remove(S3Path.parse(gone.s3_path))
    objects.put_bytes(S3Path.parse(changed.s3_path), CSV.replace("1", "7").encode())
    for request in (gone, changed, changed.model_copy(update={"size_bytes": 3})):
        assert (await refused(gateway.ask(REGISTER_DATASET, request))).code is RefusalCode.STORAGE_FAILED


@pytest.mark.parametrize(
    "path", ["s3://artifacts/x", "s3://datasets/ds_other0000/x", "file:///etc/passwd", "s3://datasets"]
)
async def test_only_an_object_in_its_own_folder_can_become_a_data_set(upload: Upload, gateway: Bus, path: str) -> None:
    refusal = await refused(gateway.ask(REGISTER_DATASET, upload(CSV).model_copy(update={"s3_path": path})))
    assert (refusal.code, refusal.metadata["errors"][0]["field"]) == (RefusalCode.DATASET_INVALID, "s3_path")


async def test_a_name_with_control_characters_is_refused(upload: Upload, gateway: Bus) -> None:
    refusal = await refused(gateway.ask(REGISTER_DATASET, upload(CSV).model_copy(update={"filename": "a\0.csv"})))
    assert refusal.code is RefusalCode.DATASET_INVALID


async def test_data_sets_are_listed_newest_first_in_pages(enter: Enter, gateway: Bus) -> None:
    entered = [await enter(CSV, f"{number}.csv") for number in range(3)]
    first = await gateway.ask(LIST_DATASETS, ListDatasets(limit=2))
    second = await gateway.ask(LIST_DATASETS, ListDatasets(limit=2, offset=2))
    assert [item.filename for item in first.items + second.items[:1]] == ["2.csv", "1.csv", "0.csv"]
    assert first.items[0] == entered[2]
    assert (first.has_more, first.total == second.total >= 3) == (True, True)
    beyond = await gateway.ask(LIST_DATASETS, ListDatasets(offset=100_000))
    assert (beyond.items, beyond.has_more, beyond.total) == ([], False, first.total)


async def test_a_preview_shows_the_first_rows_in_the_order_of_the_columns(enter: Enter, gateway: Bus) -> None:
    rows = [{"text": f"row {i}", "a": [i], "\u00e4": None} for i in range(200)]
    dataset = await enter("\n".join(orjson.dumps(row).decode() for row in rows), "a.jsonl")
    preview = await gateway.ask(PREVIEW_DATASET, PreviewDataset(dataset_id=dataset.dataset_id, limit=7))
    assert (preview.samples, preview.total_rows) == (rows[:7], 200)
    assert list(preview.samples[0]) == ["text", "a", "ä"]
    full = await gateway.ask(PREVIEW_DATASET, PreviewDataset(dataset_id=dataset.dataset_id, limit=100))
    assert full.samples == rows[:100]


async def test_a_preview_needs_no_object(enter: Enter, gateway: Bus, objects: Objects) -> None:
    dataset = await enter('[{"text": "zero \\u0000 character"}]', "a.json")
    objects.remove(S3Path.parse(dataset.s3_path))
    preview = await gateway.ask(PREVIEW_DATASET, PreviewDataset(dataset_id=dataset.dataset_id))
    assert preview.samples == [{"text": "zero \0 character"}]


@pytest.mark.parametrize("dataset_id", ["ds_nothere00", "", "zero\0", "'; DROP TABLE datasets; --"])
async def test_an_unknown_data_set_is_told_so(gateway: Bus, dataset_id: str) -> None:
    for question in (
        gateway.ask(GET_DATASET, GetDataset(dataset_id=dataset_id)),
        gateway.ask(PREVIEW_DATASET, PreviewDataset(dataset_id=dataset_id)),
    ):
        assert (await refused(question)).code is RefusalCode.NOT_FOUND


async def test_a_file_of_a_known_name_is_its_next_version_and_the_same_content_the_one_there_is(
    upload: Upload, gateway: Bus
) -> None:
    name = f"{uuid.uuid4().hex}.csv"
    first, second = [await gateway.ask(REGISTER_DATASET, upload(text, name)) for text in (CSV, CSV + "x,3\n")]
    assert (first.version, second.version) == (1, 2)
    again = upload(CSV, name)
    assert await gateway.ask(REGISTER_DATASET, again) == first
    unknown = upload(CSV, name).model_copy(update={"sha256": None})
    assert await gateway.ask(REGISTER_DATASET, unknown) == first
    assert (await gateway.ask(REGISTER_DATASET, upload(CSV, name, "txt"))).version == 3
    listed = await gateway.ask(LIST_DATASETS, ListDatasets(filename=name, sha256=first.sha256.upper(), format="csv"))
    assert listed.items == [first]
    assert (await gateway.ask(LIST_DATASETS, ListDatasets(search=name[3:20].upper()))).total == 3


async def test_versions_that_come_at_once_are_numbered_without_gaps(upload: Upload, gateway: Bus) -> None:
    name = f"{uuid.uuid4().hex}.csv"
    texts = [f"text\nrow {number % 3}\n" for number in range(9)]
    entered = await asyncio.gather(*(gateway.ask(REGISTER_DATASET, upload(text, name)) for text in texts))
    assert sorted({dataset.version for dataset in entered}) == [1, 2, 3]
    assert len({(dataset.version, dataset.sha256) for dataset in entered}) == 3


async def test_the_checksum_of_an_upload_is_found_out_where_it_is_not_told(upload: Upload, gateway: Bus) -> None:
    request = upload(CSV, f"{uuid.uuid4().hex}.csv")
    dataset = await gateway.ask(REGISTER_DATASET, request.model_copy(update={"sha256": None}))
    assert dataset.sha256 == request.sha256


async def test_a_preview_goes_on_behind_the_kept_rows(enter: Enter, gateway: Bus) -> None:
    dataset = await enter(gzip.compress(b"text,n\n" + b"".join(b"row,%d\n" % i for i in range(300))), "many.csv.gz")
    assert (dataset.format, dataset.compression, dataset.rows) == ("csv", "gzip", 300)
    for offset, limit, numbers in ((98, 4, range(98, 102)), (290, 100, range(290, 300)), (300, 1, ())):
        asked = PreviewDataset(dataset_id=dataset.dataset_id, offset=offset, limit=limit)
        page = await gateway.ask(PREVIEW_DATASET, asked)
        assert [row["n"] for row in page.samples] == [str(number) for number in numbers]


async def test_tokens_are_counted_with_the_tokenizer_of_a_model(enter: Enter, gateway: Bus, settings: Settings) -> None:
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    folder = settings.models_dir / "words"
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    dataset = await enter("text,n\none two three,1\n,2\nfour,3\n")
    asked = CountTokens(dataset_id=dataset.dataset_id, base_model="words")
    counted = await gateway.ask(COUNT_TOKENS, asked)
    assert (counted.column, counted.rows_counted, counted.is_estimate) == ("text", 3, False)
    assert (counted.tokens, counted.mean, counted.longest) == (4, 2.0, 3)
    for change in ({"base_model": "../words"}, {"base_model": "none"}, {"column": "nothing"}):
        refusal = await refused(gateway.ask(COUNT_TOKENS, asked.model_copy(update=change)))
        # What no model can be called is refused before anything is asked.
        expected = RefusalCode.INVALID if change == {"base_model": "../words"} else RefusalCode.CONFIG_INVALID
        assert refusal.code is expected


class _Jobs:
    """Stands for the orchestrator, which knows who reads a data set."""

    def __init__(self) -> None:
        self.jobs: list[JobOfDataset] = []


_JOBS = Handlers[_Jobs]()


@_JOBS.on(FIND_JOBS_OF_DATASET)
async def _find(known: _Jobs, request: FindJobsOfDataset) -> JobsOfDataset:
    return JobsOfDataset(jobs=known.jobs)


@pytest.fixture
async def jobs(access: Access) -> AsyncIterator[_Jobs]:
    bus = await Bus.connect(ServiceSettings(**access("orchestrator")), "orchestrator")
    known = _Jobs()
    await bus.serve(_JOBS, known)
    yield known
    await bus.close()


async def test_a_data_set_that_is_needed_is_not_deleted_unless_forced(
    jobs: _Jobs, enter: Enter, export: Export, gateway: Bus, trainer: Bus, objects: Objects
) -> None:
    dataset = await enter(CSV, f"{uuid.uuid4().hex}.csv")
    model = await trainer.ask(REGISTER_MODEL, export(dataset_id=dataset.dataset_id))
    jobs.jobs = [
        JobOfDataset(job_id="job_now", run_id="now", goes_on=True),
        JobOfDataset(job_id="job_then", run_id="then", goes_on=False),
    ]
    lineage = await gateway.ask(GET_DATASET_LINEAGE, GetDataset(dataset_id=dataset.dataset_id))
    assert (lineage.runs, [m.model_id for m in lineage.models]) == (jobs.jobs, [model.model_id])
    assert [version.dataset_id for version in lineage.versions] == [dataset.dataset_id]
    refusal = await refused(gateway.ask(DELETE_DATASET, DeleteDataset(dataset_id=dataset.dataset_id)))
    assert (refusal.code, refusal.metadata) == (
        RefusalCode.CONFLICT,
        {"jobs": ["job_now"], "models": [model.model_id]},
    )
    deleted = await gateway.ask(DELETE_DATASET, DeleteDataset(dataset_id=dataset.dataset_id, force=True))
    assert deleted.freed_bytes == len(CSV)
    assert objects.list(S3Path("datasets", dataset.dataset_id)) == []
    gone = await refused(gateway.ask(GET_DATASET, GetDataset(dataset_id=dataset.dataset_id)))
    assert gone.code is RefusalCode.NOT_FOUND


async def test_a_data_set_that_nobody_needs_is_deleted_and_its_version_not_given_again(
    jobs: _Jobs, enter: Enter, gateway: Bus
) -> None:
    name = f"{uuid.uuid4().hex}.csv"
    first = await enter(CSV, name)
    jobs.jobs = [JobOfDataset(job_id="job_then", run_id="then", goes_on=False)]
    await gateway.ask(DELETE_DATASET, DeleteDataset(dataset_id=first.dataset_id))
    assert (await enter(CSV, name)).version == 2


async def test_the_widest_data_sets_still_fit_into_a_page(enter: Enter, gateway: Bus) -> None:
    limits = Limits()
    room = limits.max_column_names_bytes // limits.max_columns
    header = ",".join(f"{number:0{room}d}" for number in range(limits.max_columns))
    dataset = await enter(f"{header}\n{'x,' * (limits.max_columns - 1)}x\n")
    page = await gateway.ask(LIST_DATASETS, ListDatasets(limit=1))
    assert page.items == [dataset]
    assert 100 * len(page.model_dump_json()) < 8 << 20


async def test_a_large_file_leaves_the_registry_free_to_answer(enter: Enter, upload: Upload, gateway: Bus) -> None:
    known = await enter(CSV)
    line = ("word " * 100).encode() + b",1\n"
    entering = asyncio.create_task(gateway.ask(REGISTER_DATASET, upload(b"text,n\n" + line * 80_000)))
    slowest = 0.0
    while not entering.done():
        asked = time.perf_counter()
        await gateway.ask(GET_DATASET, GetDataset(dataset_id=known.dataset_id))
        slowest = max(slowest, time.perf_counter() - asked)
        await asyncio.sleep(0.01)
    assert ((await entering).rows, (await entering).analysis.duplicate_rows) == (80_000, 79_999)
    assert slowest < 0.5


async def test_a_file_that_expands_without_end_is_refused_and_the_registry_lives_on(
    enter: Enter, settings: Settings, service: Service, tmp_path: Path
) -> None:
    """200 kB of Parquet that are 4 GB of numbers in one row group."""
    await service.stack.aclose()
    bomb = tmp_path / "bomb.parquet"
    zeros = pl.repeat(0, 5_000_000, dtype=pl.Int64, eager=True)
    frame = pl.DataFrame({str(i): zeros for i in range(60)})
    frame.write_parquet(bomb, compression="zstd", row_group_size=5_000_000)
    narrow = settings.model_copy(update={"inspection_memory_bytes": 512 << 20})
    async with running("registry", narrow, build):
        refusal = await refused(enter(bomb.read_bytes(), "bomb.parquet"))
        assert (refusal.code, "memory" in refusal.message) == (RefusalCode.DATASET_INVALID, True)
        assert (await enter(CSV)).rows == 2


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever is inspected takes a minute."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))


@pytest.mark.usefixtures("slow")
async def test_a_file_that_takes_too_long_is_refused(enter: Enter, settings: Settings, service: Service) -> None:
    await service.stack.aclose()
    hurried = settings.model_copy(update={"inspection_seconds": 1})
    async with running("registry", hurried, build):
        refusal = await refused(enter(CSV))
        assert (refusal.code, "more than 1 s" in refusal.message) == (RefusalCode.DATASET_INVALID, True)


async def test_a_file_above_the_bound_is_refused_unread(enter: Enter, settings: Settings, service: Service) -> None:
    await service.stack.aclose()
    async with running("registry", settings.model_copy(update={"max_dataset_bytes": 10}), build):
        assert "larger than 10 bytes" in (await refused(enter(CSV))).message


@pytest.mark.usefixtures("slow")
async def test_a_caller_that_stops_waiting_leaves_neither_process_nor_file(
    upload: Upload, gateway: Bus, settings: Settings
) -> None:
    request = upload(CSV)
    refusal = await refused(gateway.ask(REGISTER_DATASET, request, timeout=1.2))
    assert refusal.code is RefusalCode.TIMEOUT
    await asyncio.sleep(0.3)
    listing = await asyncio.create_subprocess_exec("ps", "-eo", "ppid,args", stdout=asyncio.subprocess.PIPE)
    found, _ = await listing.communicate()
    assert not re.search(rf"^\s*{os.getpid()} .*inspection_process", found.decode(), re.MULTILINE)
    assert list((settings.data_dir / "registry").iterdir()) == []


async def test_replicas_that_start_at_once_migrate_once_and_share_the_work(
    settings: Settings, enter: Enter, service: Service
) -> None:
    await service.stack.aclose()
    database = await Database.connect(settings.database_url.get_secret_value(), "registry", size=1)
    async with database.connection() as connection:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'registry'")
        await connection.execute(f"DROP TABLE {', '.join(table['tablename'] for table in tables)} CASCADE")
    async with AsyncExitStack() as stack:
        replicas = [running("registry", settings, build) for _ in range(3)]
        await asyncio.gather(*(stack.enter_async_context(replica) for replica in replicas))
        entered = await asyncio.gather(*(enter(CSV) for _ in range(6)))
        assert {dataset.rows for dataset in entered} == {2}
    async with database.connection() as connection:
        names = await connection.fetch("SELECT name FROM schema_migrations WHERE name LIKE 'registry/%'")
        files = (resources.files("registry") / "migrations").iterdir()
        assert {row["name"] for row in names} == {f"registry/{file.name}" for file in files}
    await database.close()
