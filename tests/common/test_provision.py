"""What the administrator makes for the services, again and again."""

from urllib.parse import urlsplit

import asyncpg
import pytest

from common.provision import provision_roles
from common.provision.__main__ import Settings, provision
from embedded.endpoints import Endpoints

ODD = 'it\'s $1 %I \\ "odd"'


def _url(servers: Endpoints, database: str) -> str:
    return urlsplit(servers.administrator.database_url)._replace(path=f"/{database}").geturl()


async def test_a_service_enters_with_its_present_password_and_sees_its_own_schema_alone(servers: Endpoints) -> None:
    url = _url(servers, "made-anew")
    await provision_roles(url, {"one": ODD, "other": "b"})
    connection = await asyncpg.connect(url, user="one", password=ODD)
    await connection.execute("CREATE TABLE kept (n int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("CREATE TABLE other.taken (n int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("CREATE TABLE public.taken (n int)")
    await connection.close()
    await provision_roles(url, {"one": "new", "other": "b"})
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url, user="one", password=ODD)
    connection = await asyncpg.connect(url, user="one", password="new")
    assert await connection.fetchval("SELECT count(*) FROM kept") == 0
    await connection.close()


async def test_all_of_it_is_made_from_the_environment_and_may_be_made_again(
    servers: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in servers.administrator.environment().items():
        monkeypatch.setenv(name, value)
    for service, access in servers.services.items():
        password = urlsplit(access.database_url).password
        monkeypatch.setenv(f"PLATFORM_ROLE_PASSWORDS__{service.upper()}", password or "")
    await provision(Settings())
    monkeypatch.delenv("PLATFORM_ROLE_PASSWORDS__GATEWAY")
    with pytest.raises(ValueError, match="a password for each of gateway"):
        Settings()
