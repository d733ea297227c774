"""How ports are chosen."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.errors import PortTaken
from embedded.ports import GRPC_OFFSET, HIGHEST, LOWEST, PortRequest, choose


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_free_ports_lie_below_those_of_outgoing_connections(tmp_path: Path):
    chosen = choose([PortRequest(name) for name in "abcdef"], tmp_path / "ports.json")
    assert len(set(chosen.values())) == 6
    assert all(LOWEST <= port <= HIGHEST for port in chosen.values())


def test_the_next_start_finds_the_same_ports(tmp_path: Path):
    requests = [PortRequest(name, with_grpc=True) for name in "abc"]
    assert choose(requests, tmp_path / "ports.json") == choose(requests, tmp_path / "ports.json")


def test_a_remembered_port_that_is_taken_meanwhile_is_replaced(tmp_path: Path):
    first = choose([PortRequest("a"), PortRequest("b")], tmp_path / "ports.json")
    with socket.create_server(("127.0.0.1", first["a"])):
        second = choose([PortRequest("a"), PortRequest("b")], tmp_path / "ports.json")
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]


def test_a_demanded_port_that_is_taken_is_an_error_that_names_the_setting(tmp_path: Path, taken: int):
    with pytest.raises(PortTaken, match=f"port {taken} for gateway is taken.*PLATFORM_PORT="):
        choose([PortRequest("gateway", taken, variable="PLATFORM_PORT")], tmp_path / "ports.json")


def test_a_port_cannot_be_demanded_twice(tmp_path: Path, taken: int):
    with pytest.raises(PortTaken):
        choose([PortRequest("a", LOWEST), PortRequest("b", LOWEST)], tmp_path / "ports.json")


def test_a_preferred_port_gives_way_when_it_is_taken(tmp_path: Path, taken: int):
    chosen = choose([PortRequest("a", preferred=taken)], tmp_path / "ports.json")
    assert chosen["a"] != taken


def test_a_port_with_grpc_needs_its_companion_free_as_well(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 15_000 + GRPC_OFFSET)):
        assert choose([PortRequest("a", preferred=15_000)], tmp_path / "1.json")["a"] == 15_000
        assert choose([PortRequest("a", preferred=15_000, with_grpc=True)], tmp_path / "2.json")["a"] != 15_000


def test_a_port_keeps_off_the_companions_of_others_and_off_nothing_else(tmp_path: Path):
    with pytest.raises(PortTaken):
        choose([PortRequest("a", 20_050), PortRequest("b", 10_050, with_grpc=True)], tmp_path / "ports.json")
    assert choose([PortRequest("a", 10_050), PortRequest("b", 20_050)], tmp_path / "ports.json")["b"] == 20_050


def test_a_damaged_memory_is_forgotten(tmp_path: Path):
    (tmp_path / "ports.json").write_text("[broken")
    assert choose([PortRequest("a")], tmp_path / "ports.json")
