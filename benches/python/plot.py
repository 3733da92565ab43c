"""Draws docs/speed.svg from the first table of docs/performance.md.

    python3 benches/python/plot.py            # writes the plot
    python3 benches/python/plot.py --check    # exits with 1 if the plot does not match the table
"""

import pathlib
import re
import sys
from html import escape

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "speed.svg"

WIDTH, LABELS, RIGHT = 820, 330, 150
TOP, ROW, BAR = 64, 28, 16


def rows():
    """Yields the subject, the nanoseconds per event and the ratio of each row of the table."""
    text = TABLE.read_text(encoding="utf-8")
    table = text.split("<!-- plot -->", 1)[1].split("<!-- end -->", 1)[0]
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) > 1 and re.fullmatch(r"[\d,]+", cells[1]):
            yield cells[0].replace("`", ""), int(cells[1].replace(",", "")), cells[3]


def plot():
    """Returns the plot as SVG."""
    data = list(rows())
    longest = max(value for _, value, _ in data)
    height = TOP + ROW * len(data) + 34
    scale = (WIDTH - LABELS - RIGHT) / longest
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' role="img" aria-labelledby="title">',
        '<title id="title">Nanoseconds per event, decoding event-stream frames to chat events</title>',
        "<style>",
        "text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#24292f}",
        ".head{font-size:15px;font-weight:600}.note{fill:#57606a}.own{font-weight:600}",
        ".bar{fill:#afb8c1}.bar.own{fill:#0969da}",
        "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}.bar{fill:#656c76}.bar.own{fill:#4493f8}}",
        "</style>",
        '<text class="head" x="0" y="18">Time per event, decoding event-stream frames to chat events</text>',
        '<text class="note" x="0" y="40">nanoseconds, less is better; one process, the same bytes, no I/O</text>',
    ]
    for index, (name, value, ratio) in enumerate(data):
        y = TOP + ROW * index
        kind = " own" if index == 0 else ""
        times = "" if index == 0 else f"  ({ratio})"
        out.append(f'<text class="label{kind}" x="{LABELS - 10}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        out.append(f'<rect class="bar{kind}" x="{LABELS}" y="{y}" width="{value * scale:.1f}" height="{BAR}" rx="2"/>')
        out.append(f'<text class="{kind.strip()}" x="{LABELS + value * scale + 8:.1f}" y="{y + 13}">{value:,}{times}</text>')
    out.append(f'<text class="note" x="0" y="{height - 8}">workload “openai”; versions and machine in docs/performance.md</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    """Writes the plot, or checks it."""
    svg = plot()
    if "--check" in sys.argv[1:]:
        if not PLOT.exists() or PLOT.read_text(encoding="utf-8") != svg:
            sys.exit("docs/speed.svg does not match docs/performance.md: run `python3 benches/python/plot.py`")
    else:
        PLOT.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
