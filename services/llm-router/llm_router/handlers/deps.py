"""What the handlers need, and the table they are registered in."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from common.bus import Bus, Handlers
from common.database import Database
from common.outbox import OutboxRelay
from contracts.instances import InstanceConfig
from llm_router.domain.catalogue import Catalogue
from llm_router.engine.completions import Completions
from llm_router.engine.models import Models
from llm_router.engine.pool import EnginePool
from llm_router.engine.prices import PriceList
from llm_router.engine.serving import Serving
from llm_router.engine.tokens import TokenVault
from llm_router.store.engines import EngineRow
from llm_router.store.models import ModelNumber


@dataclass(frozen=True)
class Deps:
    """Made once by `main`. `engines` are those this replica has read last, by id, disabled ones too; `numbers` are the

    lasting numbers of models that it has seen given; `days` those that are known to have a partition. Interactions are
    kept for `retention_days`, or for ever where that is None.
    """

    bus: Bus
    database: Database
    relay: OutboxRelay
    catalogue: Catalogue
    pool: EnginePool
    models: Models
    serving: Serving
    completions: Completions
    vault: TokenVault
    prices: PriceList
    retention_days: int | None
    keep_seconds: float
    """How long a completion is kept under its idempotency key."""
    making_seconds: float
    """How long a replica that makes such a completion may be silent before another makes it."""
    engines: dict[int, EngineRow] = field(default_factory=dict)
    declared_configs: Mapping[str, InstanceConfig] = field(default_factory=dict)
    """What the environment says of declared engines as instances, by name."""
    numbers: dict[str, ModelNumber] = field(default_factory=dict)
    days: set[date] = field(default_factory=set)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    keeping: set["asyncio.Task[Any]"] = field(default_factory=set)
    """Completions that are being made or kept, whether anybody waits for them or not."""
    abandoned: set["asyncio.Task[Any]"] = field(default_factory=set)
    """Those of them that are being made though their callers have left."""


HANDLERS = Handlers[Deps]()
