"""The losses of a training as an SVG image, drawn without a library: it is two lines, a grid and some words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from math import ceil, floor, isfinite, log10

_WIDTH, _HEIGHT = 720, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 40, 48
MOST_POINTS = 500
_TRAINING, _HELD_OUT = "#2563eb", "#dc2626"


@dataclass(frozen=True)
class Point:
    """Losses in nats a token after an optimizer step: on what was learnt, and on the rows that were held out."""

    step: int
    loss: float | None = None
    eval_loss: float | None = None

    def with_losses(self, loss: float | None, eval_loss: float | None) -> "Point":
        return replace(
            self,
            loss=loss if loss is not None and isfinite(loss) else self.loss,
            eval_loss=eval_loss if eval_loss is not None and isfinite(eval_loss) else self.eval_loss,
        )

    @property
    def is_told(self) -> bool:
        return self.loss is not None or self.eval_loss is not None


def thinned(points: Sequence[Point]) -> list[Point]:
    """No more points than a plot shows, the first, the last and all measurements of held-out rows among them."""
    every = ceil(len(points) / MOST_POINTS) or 1
    last = len(points) - 1
    return [
        point
        for index, point in enumerate(points)
        if index % every == 0 or index == last or point.eval_loss is not None
    ]


def plot(points: Sequence[Point], title: str) -> str:
    """An SVG image of at least one point."""
    losses = [loss for point in points for loss in (point.loss, point.eval_loss) if loss is not None]
    ticks = _ticks(min(losses), max(losses))
    scale = _Scale(points[0].step, points[-1].step, ticks[0], ticks[-1])
    lines = [
        (_TRAINING, "training loss", [(point.step, point.loss) for point in points if point.loss is not None]),
        (_HELD_OUT, "held-out loss", [(p.step, p.eval_loss) for p in points if p.eval_loss is not None]),
    ]
    drawn = [(colour, name, curve) for colour, name, curve in lines if curve]
    marks = dict.fromkeys((points[0].step, points[len(points) // 2].step, points[-1].step))
    body = [
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_WIDTH / 2, 22, title, anchor="middle", size=15),
        *(_grid(scale, tick) for tick in ticks),
        *(_step(scale, step) for step in marks),
        _text(_WIDTH / 2, _HEIGHT - 10, "optimizer step", anchor="middle"),
        *(_curve(scale, colour, curve) for colour, _, curve in drawn),
        *(_legend(index, colour, name) for index, (colour, name, _) in enumerate(drawn)),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">'
    return "\n".join([head, f"<title>{escape(title)}: loss by step</title>", *body, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Scale:
    first: int
    last: int
    low: float
    high: float

    def x(self, step: float) -> float:
        share = (step - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, loss: float) -> float:
        return round(_HEIGHT - _BOTTOM - (loss - self.low) / (self.high - self.low) * (_HEIGHT - _TOP - _BOTTOM), 1)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers around the range, four to nine of them."""
    span = max(high - low, abs(high) * 1e-3, 1e-6)
    unit = 10 ** floor(log10(span))
    step = next(unit * part for part in (0.1, 0.2, 0.5, 1, 2) if span / (unit * part) <= 6)
    first, last = floor(low / step), ceil(high / step)
    return [round(index * step, 10) for index in range(first, max(last, first + 1) + 1)]


def _grid(scale: _Scale, tick: float) -> str:
    y = scale.y(tick)
    line = f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#e5e7eb"/>'
    return line + _text(_LEFT - 8, y + 4, f"{tick:g}", anchor="end")


def _step(scale: _Scale, step: int) -> str:
    return _text(scale.x(step), _HEIGHT - _BOTTOM + 18, str(step), anchor="middle")


def _curve(scale: _Scale, colour: str, curve: Sequence[tuple[int, float]]) -> str:
    places = [(scale.x(step), scale.y(loss)) for step, loss in curve]
    if len(places) == 1:
        return f'<circle cx="{places[0][0]}" cy="{places[0][1]}" r="3" fill="{colour}"/>'
    line = " ".join(f"{x},{y}" for x, y in places)
    return f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _legend(index: int, colour: str, name: str) -> str:
    x, y = _WIDTH - _RIGHT - 120, _TOP + 8 + 18 * index
    return f'<rect x="{x}" y="{y - 8}" width="12" height="3" fill="{colour}"/>' + _text(x + 18, y - 3, name)


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="#374151">{escape(text)}</text>'
