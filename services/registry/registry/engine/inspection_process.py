"""The process that reads one uploaded file, or some rows of it:
`python -m registry.engine.inspection_process ORDER < file`.

A hostile file can make a parser take all memory or all time there is. Here that ends a process whose memory and
processor time are bounded, not the service. It answers with one `Verdict` as JSON on standard output.
"""

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

from pydantic import Field

from common.datafiles.limits import Limits
from contracts.base import Message, RefusalBody, Refused
from contracts.pipeline import DatasetFormat, invalid_dataset
from contracts.registry import TokenLengths
from registry.domain.inspections import Inspection
from registry.domain.pages import RowRange
from registry.domain.samples import Json


class Order(Message):
    """What to read the file as, and the bounds to do it in. With `rows` only those are read, of a known format; with
    a `tokenizer` the tokens of one `column` of them are counted."""

    filename: str
    format: DatasetFormat | None
    rows: RowRange | None = None
    column: str | None = None
    tokenizer: Path | None = None
    limits: Limits
    memory_bytes: int = Field(ge=1)
    seconds: int = Field(ge=1)


class Verdict(Message):
    """One of them."""

    inspection: Inspection | None = None
    rows: list[Json] | None = None
    tokens: TokenLengths | None = None
    refusal: RefusalBody | None = None


TOO_HUNGRY = "The file takes more memory to read than a data set may"


def main() -> None:
    order = Order.model_validate_json(sys.argv[1])
    _bound(order)
    sys.stdout.write(_verdict(order).model_dump_json())


def _bound(order: Order) -> None:
    os.nice(5)
    with suppress(ValueError, OSError):  # a host may set lower limits, or know none
        resource.setrlimit(resource.RLIMIT_DATA, (order.memory_bytes, order.memory_bytes))
    # The service watches the clock; this ends the process should the service be gone.
    resource.setrlimit(resource.RLIMIT_CPU, (2 * order.seconds, 2 * order.seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _verdict(order: Order) -> Verdict:
    # Imported within the bounds, as polars sets its threads up when it is.
    from common.datafiles.files import DataFile  # noqa: PLC0415
    from registry.engine.inspecting import inspect_file, read_column, read_rows  # noqa: PLC0415

    file = DataFile(sys.stdin.buffer, order.filename, order.limits)
    try:
        if order.rows is not None and order.format is not None:
            if order.tokenizer is not None and order.column is not None:
                from registry.engine.tokens import count  # noqa: PLC0415

                texts = read_column(file, order.format, order.rows, order.column)
                return Verdict(tokens=count(texts, order.tokenizer.read_text()))
            return Verdict(rows=read_rows(file, order.format, order.rows))
        return Verdict(inspection=inspect_file(file, order.format))
    except Refused as refusal:
        return Verdict(refusal=refusal.body())
    except MemoryError:
        return Verdict(refusal=invalid_dataset(TOO_HUNGRY).body())


if __name__ == "__main__":
    main()
