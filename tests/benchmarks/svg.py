"""Bars on a logarithmic scale, as a small SVG that reads well on a light and on a dark page."""

import math
from collections.abc import Mapping
from html import escape

WIDTH, LABEL, ROW, TOP, MARGIN = 720, 230, 26, 40, 90


def bars(title: str, figures: Mapping[str, float], *, highlighted: str) -> str:
    """A horizontal bar for each figure; each decade has a line."""
    low = math.floor(math.log10(min(figures.values())))
    high = math.ceil(math.log10(max(figures.values()) * 1.001))
    scale = (WIDTH - LABEL - MARGIN) / max(high - low, 1)
    height = TOP + ROW * len(figures) + 24

    def place(figure: float) -> float:
        return LABEL + (math.log10(figure) - low) * scale

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="13" fill="#888">',
        f'<text x="0" y="18" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for decade in range(low, high + 1):
        x = place(10.0**decade)
        parts.append(
            f'<path d="M{x:.1f} {TOP - 6}V{height - 20}" stroke="#8884"/>'
            f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{10.0**decade:,g}</text>'
        )
    for row, (name, figure) in enumerate(figures.items()):
        y, end = TOP + row * ROW, place(figure)
        colour = "#2a7de1" if name.startswith(highlighted) else "#9aa5b1"
        shown = f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
        parts.append(
            f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>'
            f'<path d="M{LABEL} {y + 3}H{end:.1f}V{y + 19}H{LABEL}Z" fill="{colour}"/>'
            f'<text x="{end + 6:.1f}" y="{y + 15}">{shown}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])
