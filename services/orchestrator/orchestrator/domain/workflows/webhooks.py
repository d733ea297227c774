"""Webhooks: the token that their URL holds, the secret that signs what they are sent, and the inputs that it becomes.

Of the token only a digest is kept. The signing secret follows from the token and a salt that is kept: whoever sees the
URL in some log cannot sign, and neither can whoever reads the database.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from contracts.workflow_runs import RunInputs
from contracts.workflows import VARIABLE_NAME, Inputs

BODY = "body"
"""The input that is the whole of what was sent."""
_PREFIX = "hook"
_TOKEN = re.compile(rf"{_PREFIX}_([0-9]{{1,18}})_([A-Za-z0-9_-]{{43}})")
_INPUT_NAME = re.compile(VARIABLE_NAME)
_MOST_INPUTS = 200


@dataclass(frozen=True)
class Secret:
    """What a webhook is known by: `text` for its URL, `digest` and `salt` for the store."""

    text: str = field(repr=False)
    digest: bytes
    salt: bytes | None = field(repr=False)


def mint(*, signed: bool) -> Secret:
    """A new secret of 256 random bits."""
    text = secrets.token_urlsafe(32)
    return Secret(text, _digest(text), secrets.token_bytes(32) if signed else None)


def token(webhook_id: int, secret: Secret) -> str:
    """What the webhook's URL ends with."""
    return f"{_PREFIX}_{webhook_id}_{secret.text}"


def parse(text: str) -> tuple[int, str] | None:
    """The webhook's id and the secret of a token; None when it is none of ours."""
    found = _TOKEN.fullmatch(text)
    return None if found is None else (int(found[1]), found[2])


def opens(secret: str, kept: bytes) -> bool:
    """Whether `secret` is the one that `kept` is the digest of, in a time that tells nothing about it."""
    return hmac.compare_digest(_digest(secret), kept)


def signing_secret(secret: str, salt: bytes | None) -> str | None:
    """None for a webhook that takes what is not signed."""
    return None if salt is None else hmac.new(secret.encode(), salt, hashlib.sha256).hexdigest()


def inputs_of(body: Any, declared: Inputs) -> RunInputs:
    """The inputs of a run that `body` starts: what the workflow declares, or all where it declares none."""
    if not isinstance(body, dict):
        return {} if body is None else {BODY: body}
    if not declared:
        named = {name: value for name, value in body.items() if _INPUT_NAME.fullmatch(name)}
        return dict(list(named.items())[:_MOST_INPUTS])
    given = {name: body[name] for name in declared if name in body}
    return {BODY: body, **given} if BODY in declared else given


def _digest(secret: str) -> bytes:
    # It is as random as the digest is long, so a slow hash would add nothing.
    return hashlib.sha256(secret.encode()).digest()
