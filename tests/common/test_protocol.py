"""NATS's protocol as bytes, however they arrive and whatever headers hold."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.bus.protocol import Control, Parser, ProtocolError, publish_frame

HEAD = b"NATS/1.0\r\nFrame: final\r\n\r\n"
ARRIVING = (
    b'INFO {"max_payload":1}\r\n'
    b"MSG a.b 1 3\r\n\r\nx\r\n"
    b"PING\r\n"
    b"MSG a.b 22 inbox.1 0\r\n\r\n"
    b"HMSG a 3 %d %d\r\n%sdata\r\n"
    b"HMSG a 3 inbox.2 %d %d\r\n%s\r\n"
    b"HMSG a 3 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"
    b"-ERR 'Slow Consumer'\r\n"
) % (len(HEAD), len(HEAD) + 4, HEAD, len(HEAD), len(HEAD), HEAD)
HEADERS = st.dictionaries(st.sampled_from(("A", "B", "C")), st.text(st.characters(exclude_categories=["Cs"])))


def read(parts: list[bytes]) -> list[object]:
    parser = Parser()
    found: list[object] = []
    for part in parts:
        for item in parser.feed(part):
            if isinstance(item, Control):
                found.append(item)
            else:
                number, message = item
                found.append((number, message.subject, message.reply, dict(message.headers), message.data))
    return found


WHOLE = read([ARRIVING])


def test_messages_and_controls_are_told_apart() -> None:
    assert read([ARRIVING]) == [
        Control("INFO", b'{"max_payload":1}'),
        (1, "a.b", "", {}, b"\r\nx"),
        Control("PING", b""),
        (22, "a.b", "inbox.1", {}, b""),
        (3, "a", "", {"Frame": "final"}, b"data"),
        (3, "a", "inbox.2", {"Frame": "final"}, b""),
        (3, "a", "", {"Status": "503"}, b""),
        Control("-ERR", b"'Slow Consumer'"),
    ]


def test_it_does_not_matter_where_the_bytes_are_cut() -> None:
    assert read([ARRIVING[i : i + 1] for i in range(len(ARRIVING))]) == WHOLE
    for cut in range(1, len(ARRIVING)):
        assert read([ARRIVING[:cut], ARRIVING[cut:]]) == WHOLE


@given(st.lists(st.integers(0, len(ARRIVING)), max_size=6).map(sorted))
@settings(max_examples=100, deadline=None)
def test_it_does_not_matter_into_how_many_parts_they_are_cut(cuts: list[int]) -> None:
    edges = [0, *cuts, len(ARRIVING)]
    assert read([ARRIVING[a:b] for a, b in pairwise(edges)]) == WHOLE


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n", b"MSG a 1 many\r\n", b"x" * (1024 * 1024 + 1)])
def test_what_is_not_the_protocol_is_refused(garbage: bytes) -> None:
    with pytest.raises((ProtocolError, ValueError)):
        read([garbage])


@given(HEADERS, st.binary(max_size=20))
@settings(max_examples=200, deadline=None)
def test_no_header_value_adds_a_header_or_shifts_the_payload(headers: dict[str, str], payload: bytes) -> None:
    frame = publish_frame("a", payload, "inbox", headers)
    [(_, _, _, seen, data)] = read([frame.replace(b"PUB a", b"MSG a 1", 1)])  # type: ignore[misc]
    assert data == payload
    assert set(seen) == set(headers)
