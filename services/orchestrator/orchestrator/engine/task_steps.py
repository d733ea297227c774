"""Does one step of a task's plan: asks the router with what the earlier steps found out."""

from typing import Any

from orchestrator.deps import Deps
from orchestrator.domain.records import Claim
from orchestrator.domain.tasks import messages
from orchestrator.engine.completions import chat, complete_for_step


async def do_task_step(deps: Deps, claim: Claim) -> dict[str, Any]:
    """The output of the step: its name, its instruction and its text. Raises the router's `Refused`."""
    options, instruction = claim.options, claim.config["instruction"]
    # Inputs come nearest first; a reader wants them in the order in which they were made.
    asked = messages.of_step(options["system"], options["prompt"], instruction, claim.inputs[::-1])
    reply = await complete_for_step(deps.bus, chat(asked), claim, claim.name)
    return {"name": claim.name, "instruction": instruction, "text": reply.content}
