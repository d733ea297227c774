"""What a refused request must not leave behind: rows of jobs, data sets and models, and objects."""

from collections.abc import Mapping

from common.database import Database
from common.objects import Objects, S3Path
from contracts.topology import ARTIFACTS_BUCKET, DATASETS_BUCKET
from embedded.endpoints import USERS, Endpoints
from embedded.platform import Platform
from embedded.secrets import Secrets

_TABLES = {"orchestrator": ("runs", "steps", "job_steering"), "registry": ("datasets", "models")}


async def kept(platform: Platform) -> tuple[Mapping[str, int], frozenset[str]]:
    """How many rows each table has, and every object there is."""
    found = Endpoints.of(platform.ports(), Secrets.load(platform.data_dir, USERS))
    rows: dict[str, int] = {}
    for schema, tables in _TABLES.items():
        database = await Database.connect(found[schema].database_url, schema, size=1)
        async with database.connection() as connection:
            for table in tables:
                rows[table] = await connection.fetchval(f"SELECT count(*) FROM {table}")
        await database.close()
    access = found["gateway"]
    objects = Objects(access.s3_endpoint, access.s3_access_key, access.s3_secret_key)
    buckets = (ARTIFACTS_BUCKET, DATASETS_BUCKET)
    return rows, frozenset(str(info.path) for bucket in buckets for info in objects.list(S3Path(bucket, "")))
