"""How busy an engine is, counted with plain integers on the event loop and read when Prometheus asks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass
class Load:
    """The work of one model. `running` and `waiting` are requests of this moment, the rest are totals."""

    running: int = 0
    waiting: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0

    def count(self, prompt_tokens: int, generation_tokens: int) -> None:
        """Adds one request that was answered to its end."""
        self.requests += 1
        self.prompt_tokens += prompt_tokens
        self.generation_tokens += generation_tokens


class LoadCollector(Collector):
    """The load of each model under vLLM's metric names, so that one dashboard and one router read all engines."""

    def __init__(self, loads: Callable[[], Iterable[tuple[str, Load]]]) -> None:
        self._loads = loads

    def collect(self) -> Iterator[Metric]:
        label = ["model_name"]
        running = GaugeMetricFamily("vllm:num_requests_running", "Requests being generated", labels=label)
        waiting = GaugeMetricFamily("vllm:num_requests_waiting", "Requests waiting for their turn", labels=label)
        requests = CounterMetricFamily("vllm:request_success", "Requests answered to their end", labels=label)
        prompt = CounterMetricFamily("vllm:prompt_tokens", "Tokens read", labels=label)
        generation = CounterMetricFamily("vllm:generation_tokens", "Tokens generated", labels=label)
        for name, load in self._loads():
            running.add_metric([name], load.running)
            waiting.add_metric([name], load.waiting)
            requests.add_metric([name], load.requests)
            prompt.add_metric([name], load.prompt_tokens)
            generation.add_metric([name], load.generation_tokens)
        yield from (running, waiting, requests, prompt, generation)
