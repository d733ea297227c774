"""People who log in, for administrators."""

from typing import Unpack

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at
from llm_platform.schemas import answers, requests

_BASE = "/api/v1/users"


class Users(Family[R]):
    """`client.users`"""

    @operation
    def create(self, **fields: Unpack[requests.NewUser]) -> Steps[answers.User]:
        """Lets a person in."""
        return self._post(_BASE, answers.User, fields)

    @flow
    def list(self, *, limit: int | None = None) -> Flow[answers.User]:
        """Users."""
        return self._pages(_BASE, answers.UserPage, lambda page: page.items, limit)

    @operation
    def get(self, user_id: str) -> Steps[answers.User]:
        """One user."""
        return self._get(at(_BASE, user_id), answers.User)

    @operation
    def update(self, user_id: str, **fields: Unpack[requests.ChangedUser]) -> Steps[answers.User]:
        """Changes a user; a new password, another role or `disabled` ends all sessions."""
        return self._ask("PATCH", at(_BASE, user_id), answers.User, json=fields)

    @operation
    def delete(self, user_id: str) -> Steps[answers.User]:
        """Removes a user with all sessions."""
        return self._delete(at(_BASE, user_id), answers.User)
