"""Drawings of a study page as inline SVG: windows to scale, the work of a block, the roofline of a card."""

from collections.abc import Sequence
from math import log10

from markupsafe import Markup, escape

from ..engines.peaks import Peak
from .kernels import Axis

PLANE, BAR = 130, 260


def svg(width: float, height: float, label: str, body: str, kind: str = "") -> Markup:
    """One picture with a text alternative; the body is markup."""
    return Markup(
        f'<svg class="drawing {kind}" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" '
        f'aria-label="{escape(label)}">{body}</svg>'
    )


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{kind}"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def windows(image: int, start: int, size: int, stride: int, outputs: int, picture: str = "") -> Markup:
    """Input, three of its windows, and the output, to one scale.

    `image` is the pixels of a side of the input; `start` is the first row and column of the first window, negative
    where there is padding; `size`, `stride`, `outputs` are the side of a window, the steps between windows, the outputs
    of a side. `picture` is the data address of the photograph that the network read.
    """
    end = max(image, start + (outputs - 1) * stride + size)
    low = min(0, start)
    scale = 230 / (end - low)
    left = 8 - low * scale
    side = image * scale
    body = _rect(left + low * scale, left + low * scale, (end - low) * scale, (end - low) * scale, "frame")
    if picture:
        body += (
            f'<image href="{escape(picture)}" x="{left:.1f}" y="{left:.1f}" width="{side:.1f}" height="{side:.1f}"/>'
        )
    body += _rect(left, left, side, side, "image" if not picture else "framed")
    out = left + end * scale + 60
    body += _rect(out, left, outputs * scale, outputs * scale, "image")
    for k, (y, x) in enumerate(dict.fromkeys([(0, 0), (0, min(1, outputs - 1)), (outputs - 1, outputs - 1)])):
        column, row = (left + (start + at * stride) * scale for at in (x, y))
        body += _rect(column, row, size * scale, size * scale, f"window w{k}")
        body += _rect(out + x * scale, left + y * scale, max(scale, 2), max(scale, 2), f"window w{k} full")
    bottom = left + end * scale + 16
    body += _text(left, bottom, f"input {image} × {image}") + _text(out, bottom, f"output {outputs} × {outputs}")
    beyond = end - image
    facts = [f"windows {size} × {size}", f"every {stride}", f"{-start} of padding" if start < 0 else "",
             f"the last {beyond} beyond the edge count as nothing" if beyond > 0 else ""]  # fmt: skip
    words = ", ".join(filter(None, facts))
    body += _text(left, bottom + 16, words, "soft")
    return svg(
        max(out + outputs * scale + 8, left + 6 * len(words) + 8),  # a letter of this size is at most 6 wide
        bottom + 24,
        f"input {image} by {image}, {words}; output {outputs} by {outputs}",
        body,
    )


def block(axes: Sequence[Axis], threads: int) -> Markup:
    """What one block computes: a plane for rows and columns, a bar to scale for every other axis."""
    plane = {axis.name: axis for axis in axes if axis.name in ("rows", "columns")}
    bars = [axis for axis in axes if axis.name not in plane]
    body, left = "", 6
    if len(plane) == 2:
        rows, columns = plane["rows"], plane["columns"]
        scale = PLANE / max(rows.whole, columns.whole)
        body += _rect(left, 6, columns.whole * scale, rows.whole * scale, "image")
        body += _rect(left, 6, max(3, columns.size * scale), max(3, rows.size * scale), "window w0 full")
        body += _text(left, PLANE + 22, f"{rows.size} × {columns.size} of {rows.whole} × {columns.whole} places")
        left += PLANE + 60
    for k, axis in enumerate(bars):
        top = 24 + 44 * k
        body += _text(
            left,
            top - 6,
            f"{min(axis.size, axis.whole):,} of {axis.whole:,} {axis.name}"
            + (f": {axis.blocks:,} blocks" if axis.blocks > 1 else ""),
        )
        body += _rect(left, top, BAR, 12, "image")
        body += _rect(left, top, max(3, BAR * min(1, axis.size / axis.whole)), 12, "window w0 full")
        if 1 < axis.blocks <= 48:
            step = BAR * axis.size / axis.whole
            body += "".join(f'<path class="tick" d="M{left + step * n:.1f} {top}v12"/>' for n in range(1, axis.blocks))
    height = max(PLANE + 30 if len(plane) == 2 else 0, 30 + 44 * len(bars))
    words = ", ".join(f"{min(axis.size, axis.whole)} of {axis.whole} {axis.name}" for axis in axes)
    return svg(left + BAR + 10, height, f"one block of {threads} threads has {words}", body)


def roofline(peak: Peak, points: Sequence[tuple[str, float, float | None]]) -> Markup:
    """The roofline of a card, and points under it.

    ``points``: name, operations for each byte, operations per second that were measured.
    """
    width, height, left, bottom = 460, 210, 46, 176

    def at(intensity: float) -> float:
        return left + (log10(max(intensity, 0.05)) + 1.4) / 4.4 * (width - left - 10)

    def up(rate: float) -> float:
        return bottom - (log10(max(rate, 1e8)) - 8) / 5 * (bottom - 10)

    ridge = peak.flops / peak.bandwidth
    foot = f"M{at(0.05):.1f} {up(0.05 * peak.bandwidth):.1f}"
    body = f'<path class="roof" d="{foot}L{at(ridge):.1f} {up(peak.flops):.1f}H{width - 10}"/>'
    for power in range(-1, 4):
        body += _text(at(10.0**power), bottom + 14, f"{10.0**power:g}", "soft", "end" if power == 3 else "middle")
    for power in range(9, 13):
        body += _text(left - 4, up(10.0**power) + 4, f"{10 ** (power - 9):,}", "soft", "end")
    for k, (name, intensity, measured) in enumerate(points):
        model = min(peak.flops, intensity * peak.bandwidth)
        body += f'<circle cx="{at(intensity):.1f}" cy="{up(model):.1f}" r="4" class="model w{k}"/>'
        if measured:
            body += f'<circle cx="{at(intensity):.1f}" cy="{up(measured):.1f}" r="4" class="here w{k}"/>'
        body += _text(width - 12, bottom - 8 - 14 * (len(points) - 1 - k), name, f"w{k} name", "end")
    body += _text(left, height - 2, "operations for each byte (GFLOP/s upwards)", "soft")
    words = "; ".join(f"{name}: {intensity:.3g} operations for each byte" for name, intensity, _ in points)
    return svg(width, height, f"roofline of a {peak.name}, a model. {words}", body)
