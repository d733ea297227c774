"""What is said of engines as the instances of document C. The engines themselves are in `store.engines`."""

from common.database import Connection
from contracts.instances import InstanceConfig


async def list_configs(connection: Connection) -> dict[int, InstanceConfig]:
    """Those that are said, by the engine's id."""
    rows = await connection.fetch("SELECT id, temperature, max_length FROM engines WHERE temperature IS NOT NULL")
    return {row["id"]: InstanceConfig(temperature=row["temperature"], max_length=row["max_length"]) for row in rows}


async def write_config(connection: Connection, engine_id: int, config: InstanceConfig) -> None:
    sql = "UPDATE engines SET temperature = $2, max_length = $3, updated_at = clock_timestamp() WHERE id = $1"
    await connection.execute(sql, engine_id, config.temperature, config.max_length)
