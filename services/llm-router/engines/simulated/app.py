"""The web application of a simulated engine."""

from aiohttp import web

from engines.load import LoadCollector
from engines.server import application, metrics_endpoint
from engines.simulated.engine import SimulatedEngine
from engines.simulated.kobold_routes import KoboldRoutes
from engines.simulated.openai_routes import OpenAIRoutes
from engines.simulated.settings import SimulatedSettings


def build(settings: SimulatedSettings) -> web.Application:
    engine = SimulatedEngine(settings)
    collector = LoadCollector(lambda: [(settings.model, engine.load)])
    return application(
        [
            web.get("/metrics", metrics_endpoint(collector)),
            *OpenAIRoutes(engine).table(),
            *KoboldRoutes(engine).table(),
        ]
    )
