"""The router's Prometheus metrics. Labels are names of engines and of models that are served, never a caller's text."""

from dataclasses import dataclass
from functools import cache

from common.telemetry import SECONDS, Counter, Gauge, Histogram

UNKNOWN = "unknown"
"""Label of a model that nobody serves, and of an engine when none was reached."""

COMPLETIONS = Counter("router_completions_total", "Completions that ended", ["model", "engine", "outcome"])
DURATION = Histogram("router_completion_seconds", "Time of a completion, waiting included", ["engine"], buckets=SECONDS)
FIRST_TOKEN = Histogram(
    "router_first_token_seconds", "Time to the first token of a stream", ["engine"], buckets=SECONDS
)
COST = Counter("router_cost_usd_total", "What completions cost", ["model", "engine"])
TOKENS = Counter("router_tokens_total", "Tokens that completions used", ["model", "engine", "kind"])
RETRIES = Counter("router_retries_total", "Attempts that failed and were made again", ["engine", "type"])
FALLBACKS = Counter("router_fallbacks_total", "Failures after which another model was asked", ["model", "type"])
OUTSTANDING = Gauge("router_outstanding_requests", "Requests that an engine is working on", ["engine"])
ENGINE_UP = Gauge("router_engine_up", "Whether an engine answers its health check", ["engine"])
QUEUE_LENGTH = Gauge("router_queue_length", "Requests that wait for an engine")
QUEUE_SECONDS = Histogram("router_queue_seconds", "Time that requests waited for an engine", buckets=SECONDS)
PENDING = Gauge("router_interactions_pending", "Interactions that JetStream has not taken yet")
SPILLED = Counter("router_interactions_spilled_total", "Interactions that went to the log instead of JetStream")


@dataclass(frozen=True)
class Meters:
    """What the completions of one model on one engine are counted by, looked up once."""

    completed: Counter
    seconds: Histogram
    first_token_seconds: Histogram
    input_tokens: Counter
    output_tokens: Counter


@cache
def meters(model: str, engine: str) -> Meters:
    return Meters(
        COMPLETIONS.labels(model, engine, "completed"),
        DURATION.labels(engine),
        FIRST_TOKEN.labels(engine),
        TOKENS.labels(model, engine, "input"),
        TOKENS.labels(model, engine, "output"),
    )
