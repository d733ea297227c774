"""How lines of many processes become one readable log."""

import io
import json

import pytest

from embedded.log import Entry, Log, parse_json, parse_nats, parse_postgres, parse_seaweedfs, parse_vllm


def rendered(name: str, entry: Entry, *, colour: bool = False, debug: bool = False) -> str:
    stream = io.StringIO()
    Log(stream, colour=colour, debug=debug).write(name, entry)
    return stream.getvalue()


def entry_of(**values: object) -> Entry:
    entry = parse_json(json.dumps(values))
    assert entry is not None
    return entry


def test_a_json_line_shows_name_level_event_and_values():
    entry = entry_of(event="request_finished", level="info", status=200, path="/v1/models", service="gateway")
    line = rendered("gateway", entry)
    assert line.split()[1:] == ["gateway", "info", "request_finished", "status=200", "path=/v1/models"]


def test_values_with_spaces_or_control_characters_are_quoted():
    assert rendered("a", entry_of(event="e", why="no such\nthing")).rstrip().endswith(r'why="no such\nthing"')


def test_a_trace_follows_on_lines_of_its_own_that_bear_the_name():
    lines = rendered("registry", entry_of(event="crashed", level="error", exception="Traceback:\n  boom")).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["registry", "registry"]
    assert lines[2].endswith("  boom")


@pytest.mark.parametrize("line", ["plain words", "[1, 2]", "3", '{"broken'])
def test_a_line_that_is_no_json_object_is_left_as_it_is(line):
    assert parse_json(line) is None


@pytest.mark.parametrize("values", [{"event": 1, "level": None, "timestamp": "yesterday"}, {}])
def test_odd_values_do_not_break_the_log(values):
    assert rendered("a", entry_of(**values))


def test_routine_lines_of_servers_show_in_debug_only():
    entry = parse_postgres("LOG:  database system is ready to accept connections")
    assert entry is not None
    assert rendered("postgres", entry) == ""
    assert "ready to accept" in rendered("postgres", entry, debug=True)


@pytest.mark.parametrize(
    ("parse", "line", "level", "text"),
    [
        (parse_nats, "[7] 2026/11/20 21:20:15.336078 [ERR] disk full", "error", "disk full"),
        (parse_nats, "[7] 2026/11/20 21:20:15.336078 [INF]", "debug", ""),
        (parse_postgres, 'ERROR:  relation "x" does not exist', "error", 'relation "x" does not exist'),
        (parse_postgres, "FATAL:  the database system is starting up", "debug", "the database system is starting up"),
        (parse_seaweedfs, "W1120 21:20:15.336078 worker.go:180 stream ended", "warning", "worker.go:180 stream ended"),
    ],
)
def test_each_server_has_its_own_form(parse, line, level, text):
    assert parse(line) == Entry(text, level)


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ("INFO 11-21 08:27:49 [model.py:1752] Using max model len 1024", "debug", "Using max model len 1024"),
        ("WARNING 11-21 08:27:49 [cpu.py:144] Downcasting torch.float32", "debug", "Downcasting torch.float32"),
        (
            "(EngineCore_DP0 pid=3441) ERROR 11-21 08:28:14 [core.py:866] ValueError: no LoRA",
            "error",
            "ValueError: no LoRA",
        ),
        ("(APIServer pid=1569) INFO 11-21 08:27:49 [api_utils.py:347]", "debug", ""),
        ("(APIServer pid=1569) INFO:     Application startup complete.", "debug", "Application startup complete."),
        ("  warnings.warn(", "debug", "  warnings.warn("),
    ],
)
def test_vllm_shows_its_errors_and_tells_the_rest_to_those_who_want_to_see_all(line, level, text):
    assert parse_vllm(line) == Entry(text, level)


def test_what_prepares_vllm_speaks_as_services_do():
    assert parse_vllm('{"event": "base_model_made", "seconds": 28}') == Entry(
        "base_model_made", details={"seconds": 28}
    )


def test_a_panic_of_a_server_is_shown_as_it_is():
    assert parse_seaweedfs("panic: runtime error: index out of range") is None


def test_each_process_has_a_colour_of_its_own():
    stream = io.StringIO()
    log = Log(stream, colour=True)
    log.write("gateway", Entry("a"))
    log.write("registry", Entry("b"))
    assert "\x1b[36mgateway" in stream.getvalue()
    assert "\x1b[32mregistry" in stream.getvalue()


def test_without_colour_there_are_no_escape_sequences():
    assert "\x1b" not in rendered("gateway", Entry("a", "error"))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_cannot_be_written_as_it_is_does_not_silence_the_log(encoding: str):
    written = io.BytesIO()
    log = Log(io.TextIOWrapper(written, encoding=encoding), colour=False)
    for event in ("half of a sign: \ud83d", "Zoë", "the next"):
        log.write("gateway", entry_of(event=event))
    assert b"\\ud83d" in written.getvalue()
    assert b"the next" in written.getvalue()


def test_a_reader_that_went_away_does_not_stop_the_platform():
    stream = io.StringIO()
    log = Log(stream, colour=False)
    stream.close()
    log.say("still here")
