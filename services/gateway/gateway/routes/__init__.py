"""The HTTP table: every route of the gateway, one row each, one module per family."""

from gateway.routes.actions import ACTIONS
from gateway.routes.blocks import BLOCKS
from gateway.routes.content import CONTENT
from gateway.routes.engines import ENGINES
from gateway.routes.instances import INSTANCES
from gateway.routes.interactions import INTERACTIONS
from gateway.routes.llm import LLM
from gateway.routes.openai import OPENAI
from gateway.routes.pages import PAGES
from gateway.routes.payloads import PAYLOADS
from gateway.routes.people import PEOPLE
from gateway.routes.pipeline import PIPELINE
from gateway.routes.platform import PLATFORM
from gateway.routes.posts import POSTS
from gateway.routes.prompts import PROMPTS
from gateway.routes.run_events import RUN_EVENTS
from gateway.routes.runs import RUNS
from gateway.routes.table import Route
from gateway.routes.tasks import TASKS
from gateway.routes.triggers import TRIGGERS
from gateway.routes.workflows import WORKFLOWS

ROUTES: tuple[Route, ...] = (
    *OPENAI,
    *PIPELINE,
    *LLM,
    *ENGINES,
    *INTERACTIONS,
    *PROMPTS,
    *ACTIONS,
    *CONTENT,
    *POSTS,
    *TASKS,
    *BLOCKS,
    *PAYLOADS,
    *WORKFLOWS,
    *TRIGGERS,
    *INSTANCES,
    *RUNS,
    *RUN_EVENTS,
    *PEOPLE,
    *PLATFORM,
    *PAGES,
)
"""In the order of the API description."""

__all__ = ["ROUTES", "Route"]
