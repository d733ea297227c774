"""API keys, for administrators."""

from typing import Unpack

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at
from llm_platform.schemas import answers, requests

_BASE = "/api/v1/keys"


class Keys(Family[R]):
    """`client.keys`"""

    @operation
    def create(self, **fields: Unpack[requests.NewApiKey]) -> Steps[answers.CreatedApiKey]:
        """Makes a key. The answer is the only one that ever holds it."""
        return self._post(_BASE, answers.CreatedApiKey, fields)

    @flow
    def list(self, *, limit: int | None = None, **filters: Unpack[requests.KeysQuery]) -> Flow[answers.ApiKey]:
        """Keys, without their secrets."""
        return self._pages(_BASE, answers.ApiKeyPage, lambda page: page.items, limit, **filters)

    @operation
    def get(self, key_id: str) -> Steps[answers.ApiKey]:
        """A key's options."""
        return self._get(at(_BASE, key_id), answers.ApiKey)

    @operation
    def replace(self, key_id: str, **fields: Unpack[requests.ReplacedApiKey]) -> Steps[answers.ApiKey]:
        """Replaces all of a key's options: what is left out gets its default."""
        return self._put(at(_BASE, key_id), answers.ApiKey, fields)

    @operation
    def update(self, key_id: str, **fields: Unpack[requests.ChangedApiKey]) -> Steps[answers.ApiKey]:
        """Changes some of a key's options."""
        return self._ask("PATCH", at(_BASE, key_id), answers.ApiKey, json=fields)

    @operation
    def revoke(self, key_id: str) -> Steps[answers.ApiKey]:
        """Ends a key."""
        return self._delete(at(_BASE, key_id), answers.ApiKey)
