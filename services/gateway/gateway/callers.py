"""Callers by their id, as they may call now, for what is done in their name while they are away."""

from pydantic import SecretStr

from common.bus import Handlers
from common.database import Database
from contracts import gateway as contract
from contracts.base import RefusalCode, Refused
from contracts.gateway import GetCaller
from gateway.edge.access import ADMIN, in_name_of
from gateway.keyring import Keyring
from gateway.limits import Caller
from gateway.store import people

CALLERS = Handlers["Callers"]()


class Callers:
    """Finds keys and users by id, and whoever has the admin key of the settings."""

    def __init__(self, admin_key: SecretStr, keyring: Keyring, database: Database) -> None:
        self._has_admin_key = bool(admin_key.get_secret_value())
        self._keyring = keyring
        self._database = database

    async def get(self, caller_id: str) -> Caller:
        """Raises `Refused`: NOT_FOUND for who may not call any more, UNAVAILABLE when the database is away."""
        if caller_id == ADMIN.id and self._has_admin_key:
            return Caller(ADMIN)
        holder = self._keyring.named(caller_id)
        if holder is not None:
            return holder.caller
        async with self._database.connection() as connection:
            user = await people.get_user(connection, caller_id)
        if user is None or user.disabled:
            raise Refused(RefusalCode.NOT_FOUND, "There is no such caller", {"caller_id": caller_id})
        return Caller(in_name_of(user))


@CALLERS.on(contract.GET_CALLER)
async def get_caller(callers: Callers, request: GetCaller) -> contract.Caller:
    principal = (await callers.get(request.caller_id)).principal
    return contract.Caller(
        id=principal.id,
        name=principal.name,
        role=principal.role,
        models=principal.models,
        budget=principal.budget,
    )
