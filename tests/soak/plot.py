"""Memory over time as an SVG: one panel for each process, each with a scale of its own that begins at zero."""

from collections.abc import Iterable
from html import escape

from tests.soak.memory import Trace

_WIDTH, _HEIGHT, _COLUMNS = 360, 150, 3
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 28, 24
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.faint{fill:#777;font-size:11px}"
    "polyline{fill:none;stroke:#2563eb;stroke-width:1.5}.grows{stroke:#dc2626}.axis{stroke:#ccc}"
)


def svg(traces: Iterable[Trace]) -> str:
    panels = [_panel(trace) for trace in traces if len(trace.moments) > 1]
    rows = -(-len(panels) // _COLUMNS)
    width, height = _COLUMNS * _WIDTH, rows * _HEIGHT
    placed = "".join(
        f'<g transform="translate({index % _COLUMNS * _WIDTH} {index // _COLUMNS * _HEIGHT})">{panel}</g>'
        for index, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{placed}</svg>\n'
    )


def _panel(trace: Trace) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    longest, most = trace.moments[-1] or 1.0, max(trace.private) * 1.15 or 1.0
    points = " ".join(
        f"{_LEFT + (right - _LEFT) * moment / longest:.1f},{bottom - (bottom - _TOP) * held / most:.1f}"
        for moment, held in zip(trace.moments, trace.private, strict=True)
    )
    kind = "" if trace.bounded else ' class="grows"'
    return (
        f'<text x="{_LEFT}" y="18">{escape(trace.name)}</text>'
        f'<text x="{right}" y="18" text-anchor="end" class="faint">{trace.growth_per_hour:+.1f} MiB/h at the end</text>'
        f'<path class="axis" fill="none" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>'
        f'<text x="{_LEFT - 6}" y="{_TOP + 8}" text-anchor="end" class="faint">{most:.0f} MiB</text>'
        f'<text x="{_LEFT - 6}" y="{bottom}" text-anchor="end" class="faint">0</text>'
        f'<text x="{right}" y="{bottom + 16}" text-anchor="end" class="faint">{longest / 60:.1f} min</text>'
        f'<polyline{kind} points="{points}"/>'
    )
