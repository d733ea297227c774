"""Where a caller may point the platform."""

from ipaddress import ip_address

import pytest

from contracts.base import RefusalCode, Refused
from llm_router.domain.addresses import is_public, literal_address, origin, parsed_api_base


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a00:1::1",
        "ff02::1",
    ],
)
def test_private_and_metadata_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        (" https://HOST.example/openai ", "https://host.example/openai"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_a_base_is_brought_to_one_form(given: str, normal: str) -> None:
    assert parsed_api_base(given).geturl() == normal


@pytest.mark.parametrize(
    "api_base",
    [
        "ftp://host/v1",
        "file:///etc/passwd",
        "gopher://host",
        "host/v1",
        "http://",
        "http://user:secret@host/v1",
        "http://host/v1?key=1",
        "http://host/v1#part",
        "http://host:99999/v1",
        "http://host:0/v1",
        "http://[::1/v1",
        f"http://{'a' * 64}.example/v1",
        "http://a..example/v1",
    ],
)
def test_anything_but_a_plain_http_url_is_refused_by_field(api_base: str) -> None:
    with pytest.raises(Refused) as caught:
        parsed_api_base(api_base)
    assert caught.value.code is RefusalCode.INVALID
    assert caught.value.metadata["errors"][0]["field"] == "api_base"


def test_the_origin_is_scheme_host_and_port() -> None:
    assert origin("https://a.example/v1") == origin("https://a.example:443/other")
    assert origin("https://a.example/v1") != origin("http://a.example/v1")
    assert origin("https://a.example/v1") != origin("https://b.example/v1")


def test_a_host_that_is_an_address_is_told_from_a_name() -> None:
    assert literal_address("10.0.0.1") == ip_address("10.0.0.1")
    assert literal_address("fe80::1%eth0") == ip_address("fe80::1")
    assert literal_address("example.org") is None
