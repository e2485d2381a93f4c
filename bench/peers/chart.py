"""The chart of a comparison: for each headline a bar, how many times better or worse nexus is than the best peer.

The scale is logarithmic with the peer at its middle. Colours follow the reader's light or dark setting.
"""

import html
import math

import report

_ROW = 22
_LEFT = 400
_HALF = 230
_TOP = 58
_DECADES = 2

_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .note { fill: #57606a; font-size: 12px }
  .better { fill: #1a7f37 }
  .worse { fill: #cf222e }
  line { stroke: #d0d7de }
  .peer { stroke: #57606a }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .note { fill: #9198a1 }
    .better { fill: #3fb950 }
    .worse { fill: #f85149 }
    line { stroke: #3d444d }
    .peer { stroke: #9198a1 }
  }
"""


def _offset(ratio):
    """Pixels right of the middle; what is beyond the scale ends at its edge."""
    decades = -_DECADES if ratio == 0 else _DECADES if math.isinf(ratio) else math.log10(ratio)
    return max(-1.0, min(1.0, decades / _DECADES)) * _HALF


def svg(measures, results, caption):
    """The whole file."""
    bars = list(report.ratios([measure for measure in measures if measure.headline], results))
    middle = _LEFT + _HALF
    width, height = _LEFT + 2 * _HALF + 190, _TOP + _ROW * len(bars) + 16
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
             f'aria-label="nexus against the best peer"><style>{_STYLE}</style>',
             f'<text class="note" x="8" y="18">{html.escape(caption)}</text>']
    for decade in range(-_DECADES, _DECADES + 1):
        x = middle + decade * _HALF / _DECADES
        name = "the best peer" if decade == 0 else f"{10 ** decade:g} x" if decade > 0 else f"1/{10 ** -decade:g}"
        lines.append(f'<line class="{"peer" if decade == 0 else "grid"}" x1="{x:.0f}" x2="{x:.0f}" y1="{_TOP - 8}" '
                     f'y2="{height - 8}"/><text class="note" x="{x:.0f}" y="{_TOP - 14}" text-anchor="middle">{name}</text>')
    for index, (measure, workload, peer, ratio) in enumerate(bars):
        y = _TOP + index * _ROW
        offset = _offset(ratio)
        lines.append(f'<text x="{_LEFT - 10}" y="{y + 14}" text-anchor="end">'
                     f'{html.escape(measure.full_title)}, {html.escape(workload)}</text>')
        lines.append(f'<rect class="{"better" if ratio >= 1 else "worse"}" x="{middle + min(offset, 0):.1f}" y="{y}" '
                     f'width="{max(abs(offset), 1):.1f}" height="{_ROW - 6}" rx="2"/>')
        lines.append(f'<text class="note" x="{_LEFT + 2 * _HALF + 10}" y="{y + 14}">'
                     f'{report.number(ratio)} x {html.escape(peer)}</text>')
    return "\n".join(lines + ["</svg>"]) + "\n"
