"""Names and the addresses behind them."""

import pytest

from contracts.base import Refused
from llm_router.engine.addresses import public_addresses, refuse_private


@pytest.mark.parametrize(
    "api_base",
    [
        "http://127.0.0.1/v1",
        "http://169.254.169.254/v1",
        "http://[::1]/v1",
        "http://localhost:8000/v1",
        "http://2130706433/v1",
    ],
)
async def test_private_hosts_are_refused_by_address_and_by_name(api_base: str) -> None:
    with pytest.raises(Refused) as caught:
        await refuse_private(api_base)
    assert caught.value.metadata["errors"][0]["field"] == "api_base"


async def test_a_public_address_passes() -> None:
    await refuse_private("https://1.1.1.1/v1")


async def test_a_name_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(Refused, match="not known"):
        await refuse_private("https://nothing.invalid/v1")


async def test_a_name_that_came_to_mean_a_private_address_is_not_resolved() -> None:
    with pytest.raises(OSError, match="no public address"):
        await public_addresses("localhost", 80)
