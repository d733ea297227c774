"""The client of the LLM Platform.

from llm_platform import Client

client = Client(base_url="http://localhost:8000/api/v1")
dataset = client.datasets.upload("training_data.csv")
"""

from llm_platform.client import AsyncClient, Client
from llm_platform.core.retrying import Retries
from llm_platform.errors import (
    ApiError,
    ChecksumMismatch,
    Conflict,
    ConnectionFailed,
    DeadlinePassed,
    EngineFailed,
    EventsLost,
    Forbidden,
    InvalidRequest,
    JobFailed,
    NotConfigured,
    NotFound,
    NotSent,
    NotThereYet,
    PlatformError,
    QuotaExhausted,
    RateLimited,
    ServerFailed,
    StreamBroken,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
)

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "AsyncClient",
    "ChecksumMismatch",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "DeadlinePassed",
    "EngineFailed",
    "EventsLost",
    "Forbidden",
    "InvalidRequest",
    "JobFailed",
    "NotConfigured",
    "NotFound",
    "NotSent",
    "NotThereYet",
    "PlatformError",
    "QuotaExhausted",
    "RateLimited",
    "Retries",
    "ServerFailed",
    "StreamBroken",
    "TimedOut",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
]
