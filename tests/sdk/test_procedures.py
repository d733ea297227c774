"""What calls are made of, without any network: events, retries, streams that are taken up again, files."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from llm_platform import errors
from llm_platform.core.answering import answer
from llm_platform.core.effects import (
    Answer,
    Closed,
    Dial,
    Do,
    Effect,
    Ended,
    Hear,
    Open,
    Read,
    Request,
    Send,
    Sleep,
    begin,
    fail,
    resume,
)
from llm_platform.core.following import follow, watch
from llm_platform.core.resumable import send
from llm_platform.core.retrying import IDEMPOTENCY_HEADER, Retries, exchange
from llm_platform.core.server_sent import SILENCE, EventReader
from llm_platform.core.transfers import Source, fetch, unpack

LOST = errors.ConnectionFailed("lost")
UNREACHED = errors.NotSent("unreached")
GOOD = Answer(200, {}, b"{}")


class World:
    """Does what procedures want by a script: of each kind of effect, what it comes to, one after another."""

    def __init__(self, **script: Iterable[Any]) -> None:
        self._script = {name.capitalize(): list(results) for name, results in script.items()}
        self.done: list[Effect[Any]] = []

    def run(self, procedure: Any) -> tuple[list[Any], Any]:
        """What it yielded and what it came to."""
        items: list[Any] = []
        wanted = begin(procedure)
        while not isinstance(wanted, Ended):
            if not isinstance(wanted, Effect):
                items.append(wanted)
                wanted = resume(procedure, None)
                continue
            self.done.append(wanted)
            result = self._perform(wanted)
            wanted = fail(procedure, result) if isinstance(result, Exception) else resume(procedure, result)
        return items, wanted.value

    def of(self, kind: type[Effect[Any]]) -> list[Any]:
        return [effect for effect in self.done if isinstance(effect, kind)]

    def _perform(self, effect: Effect[Any]) -> Any:
        match effect:
            case Do(work):
                return work()
            case Sleep():
                return None
            case _:
                return self._script[type(effect).__name__].pop(0)


# Events


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_read_wherever_the_bytes_are_cut(size: int) -> None:
    sent = (
        ': a comment\r\nretry: 2000\r\n\r\nid: 7\r\ndata: {"a":\r\ndata: "ö"}\r\n\r\n'
        "event: end\ndata:x\n\nid: 8\rdata: last\r\rdata: unfinished"
    ).encode()
    reader = EventReader()
    events = [event for place in range(0, len(sent), size) for event in reader.feed(sent[place : place + size])]
    assert [(event.event, event.data, event.id) for event in events] == [
        ("message", '{"a":\n"ö"}', "7"),
        ("end", "x", "7"),
        ("message", "last", "8"),
    ]


# Retries


def test_what_makes_something_is_named_once_for_all_attempts() -> None:
    world = World(send=[UNREACHED, Answer(503, {"retry-after": "2"}), GOOD])
    world.run(exchange(Request("POST", "/x", once=True), Retries()))
    keys = {send.request.headers[IDEMPOTENCY_HEADER] for send in world.of(Send)}
    assert len(keys) == 1
    assert world.of(Sleep)[1].seconds >= 2


@pytest.mark.parametrize(
    ("request_", "first", "again"),
    [
        (Request("GET", "/x"), LOST, True),
        (Request("PUT", "/x"), Answer(503, {}), True),
        (Request("GET", "/x"), Answer(500, {}), False),
        (Request("POST", "/x"), UNREACHED, True),
        (Request("POST", "/x"), LOST, False),
        (Request("POST", "/x"), Answer(503, {}), False),
        (Request("POST", "/x"), Answer(429, {"retry-after": "1"}), True),
        (Request("POST", "/x", once=True), LOST, True),
        (Request("GET", "/x"), Answer(429, {"retry-after": "86400"}), False),
        (Request("GET", "/x"), Answer(429, {"x-should-retry": "false"}), False),
        (Request("GET", "/x"), Answer(404, {}), False),
    ],
)
def test_only_what_cannot_be_done_twice_is_sent_again(request_: Request, first: Any, again: bool) -> None:
    world = World(send=[first, GOOD])
    if again:
        assert world.run(exchange(request_, Retries()))[1] is GOOD
    else:
        with pytest.raises(errors.PlatformError):
            world.run(exchange(request_, Retries()))
    assert len(world.of(Send)) == 1 + again


def test_a_redirect_is_no_answer() -> None:
    moved = Answer(301, {"location": "https://platform/x"}, b"<html>Moved</html>")
    with pytest.raises(errors.UnexpectedAnswer, match="https://platform/x"):
        World(open=[moved]).run(fetch(Request("GET", "/x"), Path("nowhere"), Retries(), None))


def test_attempts_and_pauses_are_bounded() -> None:
    world = World(send=[LOST] * 10)
    with pytest.raises(errors.ConnectionFailed):
        world.run(exchange(Request("GET", "/x"), Retries(most=4, first_pause=1.0, longest_pause=3.0)))
    assert len(world.of(Send)) == 5
    assert all(0 <= sleep.seconds <= 3 for sleep in world.of(Sleep))


# Streams


def events(*numbers: int) -> bytes:
    return b"".join(b'id: %d\ndata: {"id": %d}\n\n' % (number, number) for number in numbers)


END = b"event: end\ndata: {}\n\n"


def test_a_stream_goes_on_where_it_broke_off() -> None:
    world = World(
        open=[GOOD, UNREACHED, GOOD, GOOD], read=[events(1, 2) + b"id: 3\nda", LOST, events(3), b"", events(4) + END]
    )
    seen, _ = world.run(follow(Request("GET", "/x"), Retries()))
    assert [event.id for event in seen] == ["1", "2", "3", "4"]
    assert [open_.request.headers.get("Last-Event-ID") for open_ in world.of(Open)] == [None, "2", "2", "3"]


def test_a_stream_that_breaks_for_ever_is_given_up() -> None:
    world = World(open=[GOOD] * 50, read=[LOST] * 50)
    with pytest.raises(errors.ConnectionFailed):
        world.run(follow(Request("GET", "/x"), Retries()))
    assert len(world.of(Open)) == 11


def test_a_stream_that_is_refused_is_not_asked_for_again() -> None:
    world = World(open=[Answer(404, {}, b'{"error": "no"}')])
    with pytest.raises(errors.NotFound):
        world.run(follow(Request("GET", "/x"), Retries()))


def test_a_socket_goes_on_where_it_broke_off_until_that_is_forgotten() -> None:
    heard = [json.dumps({"id": 5}), Closed(4408, "too slow"), json.dumps({"id": 6}), LOST, Closed(4410, "not kept")]
    world = World(dial=[None] * 3, hear=heard)
    seen: list[Any] = []
    with pytest.raises(errors.EventsLost):
        world.run(_noting(watch("/ws", {"run_id": "1"}, Retries()), seen.append))
    assert [message["id"] for message in seen] == [5, 6]
    assert [dial.query.get("last_event_id") for dial in world.of(Dial)] == [None, "5", "6"]


def test_a_socket_outlives_a_proxy_that_misses_the_platform() -> None:
    missing = errors.refusal(502, {}, b"<html>Bad Gateway</html>")
    world = World(dial=[missing, None], hear=[json.dumps({"id": 1, "type": "end"})])
    assert world.run(watch("/ws", {}, Retries()))[0] == [{"id": 1, "type": "end"}]


def _noting(procedure: Any, note: Callable[[Any], None]) -> Any:
    wanted = begin(procedure)
    while not isinstance(wanted, Ended):
        if isinstance(wanted, Effect):
            try:
                wanted = resume(procedure, (yield wanted))
            except errors.PlatformError as error:
                wanted = fail(procedure, error)
        else:
            note(wanted)
            wanted = resume(procedure, None)


def test_a_socket_of_a_key_that_does_not_hold_any_more_stays_closed() -> None:
    world = World(dial=[None], hear=[Closed(4401, "revoked")])
    with pytest.raises(errors.Unauthenticated, match="revoked"):
        world.run(watch("/ws", {}, Retries()))
    assert len(world.of(Hear)) == 1


def test_a_chat_that_cannot_begin_was_not_broken_off() -> None:
    with pytest.raises(errors.NotSent, match="unreached"):
        World(open=[UNREACHED] * 2, sleep=[None]).run(answer("/x", {}, Retries(most=1), json.loads))


@pytest.mark.parametrize(
    ("data", "error"), [(b"oops", errors.UnexpectedAnswer), (b'{"error": {"type": "odd"}}', errors.ServerFailed)]
)
def test_what_no_platform_tells_in_a_chat_is_an_error_of_this_client(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        World(open=[GOOD], read=[b"data: " + data + b"\n\n"]).run(answer("/x", {}, Retries(), json.loads))


@pytest.mark.parametrize("rest", [LOST, b""])
def test_a_chat_that_breaks_off_is_an_error_and_not_an_end(rest: Any) -> None:
    world = World(open=[GOOD], read=[b'data: {"n": 1}\n\n', rest])
    seen: list[Any] = []
    with pytest.raises(errors.StreamBroken, match="ask anew"):
        world.run(_noting(answer("/x", {}, Retries(), json.loads), seen.append))
    assert seen == [{"n": 1}]
    assert len(world.of(Open)) == 1, "what has begun is not begun again"


def test_a_chat_that_is_whole_may_lose_its_connection() -> None:
    world = World(open=[GOOD], read=[b'data: {"n": 1}\n\ndata: [DONE]\n\n', LOST])
    assert world.run(answer("/x", {}, Retries(), json.loads))[0] == [{"n": 1}]


def test_a_chat_that_has_not_begun_is_asked_for_again_and_waited_for_while_somebody_is_there() -> None:
    waiting = b": still here\n\n"
    world = World(open=[LOST, GOOD, GOOD], read=[waiting, LOST, waiting[:5], waiting[5:], b"data: [DONE]\n\n", b""])
    assert world.run(answer("/x", {}, Retries(), json.loads))[0] == []
    assert {opened.silence for opened in world.of(Open)} == {SILENCE}
    assert len({opened.request.headers[IDEMPOTENCY_HEADER] for opened in world.of(Open)}) == 1
    with pytest.raises(errors.StreamBroken):
        World(open=[GOOD] * 2, read=[waiting, LOST] * 2).run(answer("/x", {}, Retries(most=1), json.loads))


def test_an_error_within_a_chat_is_raised() -> None:
    world = World(open=[GOOD], read=[b'data: {"error": {"message": "the engine failed", "code": "engine_failed"}}\n\n'])
    with pytest.raises(errors.ServerFailed, match="the engine failed"):
        world.run(answer("/x", {}, Retries(), json.loads))
    assert len(world.of(Read)) == 1


# Files

WHOLE = {"etag": '"a"', "accept-ranges": "bytes", "content-length": "10", "content-type": "application/x-tar"}
PART = {"etag": '"a"', "accept-ranges": "bytes", "content-length": "4"}


def test_a_download_goes_on_at_the_byte_where_it_broke_off(tmp_path: Path) -> None:
    through: list[tuple[int, int | None]] = []
    world = World(open=[Answer(200, WHOLE), Answer(206, PART)], read=[b"012345", LOST, b"6789", b""])
    _, fetched = world.run(
        fetch(Request("GET", "/x"), tmp_path, Retries(), lambda done, total: through.append((done, total)))
    )
    assert fetched.path.read_bytes() == b"0123456789"
    assert through == [(6, 10), (10, 10)]
    asked = world.of(Open)[1].request.headers
    assert (asked["Range"], asked["If-Range"]) == ("bytes=6-", '"a"')


@pytest.mark.parametrize("has_length", [True, False])
def test_a_download_of_which_all_has_come_but_its_end_is_whole(has_length: bool, tmp_path: Path) -> None:
    head = {name: value for name, value in WHOLE.items() if has_length or name != "content-length"}
    world = World(
        open=[Answer(200, head), Answer(416, {"content-range": "bytes */10"}, b"no more")], read=[b"0123456789", LOST]
    )
    _, fetched = world.run(fetch(Request("GET", "/x"), tmp_path, Retries(), None))
    assert (fetched.path.read_bytes(), fetched.media) == (b"0123456789", "application/x-tar")
    assert len(world.of(Open)) == (1 if has_length else 2), "what is known to be whole is not asked for again"


def test_a_download_that_has_become_shorter_is_refused(tmp_path: Path) -> None:
    world = World(
        open=[Answer(200, WHOLE), Answer(416, {"content-range": "bytes */3"}, b"no more")], read=[b"012345", LOST]
    )
    with pytest.raises(errors.ApiError, match="no more"):
        world.run(fetch(Request("GET", "/x"), tmp_path, Retries(), None))
    assert not list(tmp_path.iterdir())


def test_a_download_of_something_else_begins_anew(tmp_path: Path) -> None:
    world = World(
        open=[Answer(200, WHOLE), Answer(200, {**WHOLE, "content-length": "3"})], read=[b"012345", LOST, b"abc", b""]
    )
    _, fetched = world.run(fetch(Request("GET", "/x"), tmp_path, Retries(), None))
    assert fetched.path.read_bytes() == b"abc"


def test_a_download_that_cannot_go_on_leaves_nothing_behind(tmp_path: Path) -> None:
    world = World(open=[Answer(200, {"content-length": "10"})], read=[b"0123", LOST])
    with pytest.raises(errors.ConnectionFailed):
        world.run(fetch(Request("GET", "/x"), tmp_path, Retries(), None))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.gguf", "größe.gguf"),
        ("attachment; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("attachment; filename*=UTF-8''..", "download"),
        ("", "download"),
    ],
)
def test_a_download_names_a_file_and_no_folder(disposition: str, name: str, tmp_path: Path) -> None:
    world = World(open=[Answer(200, {"content-disposition": disposition})], read=[b"x", b""])
    assert world.run(fetch(Request("GET", "/x"), tmp_path, Retries(), None))[1].name == name


def test_an_archive_that_would_leave_its_folder_is_refused(tmp_path: Path) -> None:
    import io  # noqa: PLC0415 - this test alone
    import tarfile  # noqa: PLC0415 - this test alone

    archive = tmp_path / "bad.tar"
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo("folder/../../../escaped")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(errors.UnexpectedAnswer):
        unpack(archive, tmp_path / "into")
    assert not (tmp_path.parent / "escaped").exists()


def test_a_large_upload_goes_on_at_the_byte_where_it_broke_off(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"0123456789")
    through: list[tuple[int, int | None]] = []
    source = Source(tmp_path / "rows.csv", "r\u00f6ws.csv", lambda done, total: through.append((done, total)))
    state = b'{"upload_id": "u1", "offset": %d, "status": "receiving"}'
    conflict = Answer(409, {}, b'{"error": "CONFLICT", "message": "7 bytes are there", "metadata": {}}')
    entered = Answer(204, {"location": "/api/v1/datasets/ds_1"})
    world = World(
        send=[
            Answer(201, {}, state % 0),
            LOST,
            Answer(200, {}, state % 4),
            conflict,
            Answer(200, {}, state % 7),
            entered,
        ]
    )
    assert world.run(send(source, {"format": "csv"}, Retries()))[1] == "ds_1"
    patches = [effect.request for effect in world.of(Send) if effect.request.method == "PATCH"]
    assert [patch.headers["Upload-Offset"] for patch in patches] == ["0", "4", "7"]
    assert b"".join(patches[-1].body.content()) == b"789"  # type: ignore[union-attr, operator]
    assert patches[-1].body is not None
    assert patches[-1].body.length == 3
    assert through == [(10, 10)]
    metadata = world.of(Send)[0].request.headers["Upload-Metadata"]
    assert [b64decode(pair.split()[1]).decode() for pair in metadata.split(",")] == ["r\u00f6ws.csv", "csv"]


@pytest.mark.parametrize(
    ("told", "expected"),
    [(b'"dataset_id": "ds_2"', "ds_2"), (b'"error": "line 3 has 2 fields"', "line 3 has 2 fields")],
)
def test_of_an_upload_whose_last_answer_was_lost_the_outcome_is_asked(
    told: bytes, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_bytes(b"0123456789")
    state = b'{"upload_id": "u1", "offset": %d, "status": "%s", %s}'
    stored = Answer(200, {}, state % (10, b"stored", b'"dataset_id": null'))
    # The registry was away longer than anybody would come back for.
    looks = [Answer(200, {}, state % (0, b"receiving", b'"error": null')), Answer(503, {}), *[stored] * 30]
    world = World(send=[*looks, Answer(200, {}, state % (10, b"entered", told))])
    try:
        outcome = world.run(send(Source(tmp_path / "rows.csv", "rows.csv"), {}, Retries()))[1]
    except errors.InvalidRequest as error:
        outcome = error.message
    assert outcome == expected
    assert [effect.request.method for effect in world.of(Send)] == ["POST", "PATCH"] + ["GET"] * 31


def test_an_upload_that_is_never_entered_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"0123456789")
    state = Answer(201, {}, b'{"upload_id": "u1", "offset": 10, "status": "stored"}')
    world = World(send=[state, LOST, *[state] * 1000])
    with pytest.raises(errors.TimedOut, match=r"Entering rows\.csv goes on"):
        world.run(send(Source(tmp_path / "rows.csv", "rows.csv"), {}, Retries()))
    assert sum(sleep.seconds for sleep in world.of(Sleep)) > 2 * (180 + 30), "longer than two sweeps are apart"
