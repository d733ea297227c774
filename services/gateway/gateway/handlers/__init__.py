"""What answers each row of the table: one question over the bus for most, a function of its own for the others."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from gateway.deps import Deps
from gateway.handlers import (
    actions,
    artifacts,
    ask,
    chat,
    definitions,
    downloads,
    executions,
    jobs,
    keys,
    login,
    logs,
    metrics,
    pages,
    responses,
    resumable,
    runs,
    states,
    trial,
    uploads,
    users,
    watching,
    watching_jobs,
    webhooks,
)
from gateway.routes.table import Route, Special

Handler = Callable[[Deps, Route, web.Request], Awaitable[web.StreamResponse]]

_SPECIAL: Mapping[Special, Handler] = {
    Special.LEAD: pages.lead,
    Special.PAGE: pages.page,
    Special.OPENAPI: pages.openapi,
    Special.HEALTH: states.health,
    Special.READY: states.readiness,
    Special.CREATE_KEY: keys.create_key,
    Special.LIST_KEYS: keys.list_keys,
    Special.GET_KEY: keys.get_key,
    Special.REPLACE_KEY: keys.replace_key,
    Special.CHANGE_KEY: keys.change_key,
    Special.REVOKE_KEY: keys.revoke_key,
    Special.CREATE_USER: users.create_user,
    Special.LIST_USERS: users.list_users,
    Special.GET_USER: users.get_user,
    Special.CHANGE_USER: users.change_user,
    Special.REMOVE_USER: users.remove_user,
    Special.LOG_IN: login.log_in,
    Special.LOG_OUT: login.log_out,
    Special.LOG_OUT_EVERYWHERE: login.log_out_everywhere,
    Special.ME: login.who_am_i,
    Special.CHANGE_PASSWORD: login.change_password,
    Special.CHAT: chat.complete_chat,
    Special.TEXT: chat.complete_text,
    Special.EMBEDDINGS: chat.embed,
    Special.RESPONSES: responses.respond_to,
    Special.SERVED_MODEL: chat.get_model,
    Special.TEST_PROMPT: trial.test_prompt,
    Special.LIST_ACTIONS: actions.list_actions,
    Special.NAMED_ACTION: actions.named_action,
    Special.LIST_PROMPTS: actions.list_prompts,
    Special.LIST_BLOCKS: definitions.list_blocks,
    Special.LIST_PAYLOADS: definitions.list_payloads,
    Special.LIST_WORKFLOWS: definitions.list_workflows,
    Special.RUN_STATUS: runs.run_status,
    Special.RUN_RESPONSES: runs.run_responses,
    Special.COMPARE_RUNS: runs.compare_runs,
    Special.UPLOAD_DATASET: uploads.upload_dataset,
    Special.CREATE_UPLOAD: resumable.create_upload,
    Special.GET_UPLOAD: resumable.get_upload,
    Special.APPEND_UPLOAD: resumable.append_upload,
    Special.END_UPLOAD: resumable.end_upload,
    Special.DOWNLOAD_MODEL: downloads.download_model,
    Special.END_JOB: jobs.end_job,
    Special.LIST_ARTIFACTS: artifacts.list_artifacts,
    Special.DOWNLOAD_ARTIFACT: artifacts.download_artifact,
    Special.WATCH_JOB: watching_jobs.watch_job,
    Special.STREAM_LOGS: logs.stream_logs,
    Special.WATCH_RUNS: watching.watch_runs,
    Special.FOLLOW_RUN: watching.follow_run,
    Special.ISSUE_TICKET: watching.issue_ticket,
    Special.CALL_WEBHOOK: webhooks.call_webhook,
    Special.SERVER_METRICS: metrics.server_metrics,
}


def handler_of(route: Route) -> Handler:
    if route.special is not None:
        return _SPECIAL[route.special]
    return ask.ask if route.stream is None else executions.execute


__all__ = ["Handler", "handler_of"]
