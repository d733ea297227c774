"""What the router has measured, over all replicas (document D's metrics)."""

from contracts.base import Message, Rpc


class GetRouterMetrics(Message):
    """`window` in seconds: rates and averages are of the completions that began within it."""

    window: float = 300.0


class RouterMetrics(Message):
    """From the recorded interactions, which come in a moment after each completion.

    `tokens_per_second` is how fast engines make tokens, `average_response_time` in seconds is of completions that
    succeeded; both are None when there was none within the window. `total_requests` and `cost` (USD, None where no
    price is known) are of all that was ever recorded.
    """

    tokens_per_second: float | None
    average_response_time: float | None
    total_requests: int
    cost: float | None


GET_ROUTER_METRICS = Rpc("router.v1.metrics.get", GetRouterMetrics, RouterMetrics)
