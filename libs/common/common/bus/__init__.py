"""The bus: NATS with JetStream behind typed contracts. The only place that imports nats.

`Bus` asks, streams, tells and follows; `Handlers` is what a service answers with. What crosses every call lives here
and nowhere else: deadline, principal, trace, metrics, log context, validation, and refusals told apart from crashes.
"""

from common.bus.bus import Bus
from common.bus.handlers import Handlers
from common.bus.jetstream import Delivered, Forgotten, Pulled, Puller
from common.bus.wire import BusDown

__all__ = ["Bus", "BusDown", "Delivered", "Forgotten", "Handlers", "Pulled", "Puller"]
