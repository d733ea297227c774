"""The HTTP table: every route of the gateway, one row each, one module per family."""

from gateway.routes.llm import LLM
from gateway.routes.openai import OPENAI
from gateway.routes.pipeline import PIPELINE
from gateway.routes.platform import PLATFORM
from gateway.routes.table import Route

ROUTES: tuple[Route, ...] = (*OPENAI, *PIPELINE, *LLM, *PLATFORM)
"""In the order of the API description."""

__all__ = ["ROUTES", "Route"]
