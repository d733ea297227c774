"""Which adapters of one engine are in use: what may be unloaded, and in which order."""

from collections import Counter
from collections.abc import Iterable


class AdapterUse:
    """The requests that adapters have now, and the order in which they were last used. In memory, for one engine."""

    def __init__(self) -> None:
        self._requests: Counter[str] = Counter()
        self._order: dict[str, None] = {}
        """Least recently used first."""

    def begin(self, name: str) -> None:
        """A request for the adapter begins."""
        self._requests[name] += 1
        self.touch(name)

    def end(self, name: str) -> None:
        """A request for the adapter ends."""
        self._requests[name] -= 1
        if self._requests[name] <= 0:
            del self._requests[name]
        self.touch(name)

    def touch(self, name: str) -> None:
        """The adapter is now the one used last."""
        self._order.pop(name, None)
        self._order[name] = None

    def forget(self, name: str) -> None:
        self._order.pop(name, None)

    def idle(self, names: Iterable[str]) -> list[str]:
        """Those of `names` without a request, least recently used first; never used ones before all others."""
        rank = {name: place for place, name in enumerate(self._order)}
        return sorted((name for name in names if name not in self._requests), key=lambda name: rank.get(name, -1))
