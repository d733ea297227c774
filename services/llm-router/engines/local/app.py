"""The web application of the local engine."""

from collections.abc import AsyncIterator

import torch
from aiohttp import web
from huggingface_hub.utils.tqdm import disable_progress_bars
from transformers.utils import logging as transformers_logging

from engines.load import LoadCollector
from engines.local.engine import LocalEngine
from engines.local.routes import LocalRoutes
from engines.local.settings import LocalSettings
from engines.server import application, metrics_endpoint

ENGINE = web.AppKey("engine", LocalEngine)


def build(settings: LocalSettings) -> web.Application:
    torch.set_num_threads(settings.threads)
    # The log is JSON, a line for each event.
    transformers_logging.disable_progress_bar()
    disable_progress_bars()
    engine = LocalEngine(settings)
    collector = LoadCollector(lambda: list(engine.loads.items()))
    app = application([web.get("/metrics", metrics_endpoint(collector)), *LocalRoutes(engine).table()])

    app[ENGINE] = engine

    async def lifetime(_app: web.Application) -> AsyncIterator[None]:
        yield
        await engine.close()

    app.cleanup_ctx.append(lifetime)
    return app
