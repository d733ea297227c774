"""What the handlers need, and the table they are registered in."""

from dataclasses import dataclass
from pathlib import Path

from common.bus import Bus, Handlers
from common.database import Database
from common.outbox import OutboxRelay
from registry.curves import Curves
from registry.engine.inspector import Inspector
from registry.engine.storage import Storage
from registry.freeing import Freeing


@dataclass(frozen=True)
class Deps:
    """Made once by `main`. `relay` is kicked after a commit that tells something."""

    database: Database
    relay: OutboxRelay
    inspector: Inspector
    storage: Storage
    bus: Bus
    models_dir: Path
    freeing: Freeing
    curves: Curves


HANDLERS = Handlers[Deps]()
