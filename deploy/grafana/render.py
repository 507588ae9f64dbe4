#!/usr/bin/env python3
"""Draws a dashboard's panels from Prometheus' data, for documents: `render.py panels.json picture.png [title …]`.

It is not Grafana and does not look like it; queries, titles, units and names of series are the dashboard's own. `panels.json` is written
by `make soak`. Needs matplotlib. Titles choose panels; without any, all that have data are drawn.
"""

import json
import math
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

COLUMNS, SERIES_MAX = 3, 8
BACK, PAPER, INK, GRID = "#f4f5f7", "#ffffff", "#24292f", "#e3e6ea"
COLOURS = ["#3274d9", "#e0752d", "#37872d", "#c4162a", "#8f3bb8", "#0a9396", "#b5890b", "#6b7280"]


def shown(value, unit):
    if unit in ("bytes", "Bps"):
        for step in ("B", "KiB", "MiB", "GiB", "TiB"):
            if abs(value) < 1024 or step == "TiB":
                return f"{value:.3g} {step}" + ("/s" if unit == "Bps" else "")
            value /= 1024
    if unit == "s":
        if abs(value) >= 172_800:
            return f"{value / 86_400:.3g} d"
        if abs(value) >= 7200:
            return f"{value / 3600:.3g} h"
        return f"{value:.3g} s" if abs(value) >= 1 or value == 0 else f"{value * 1000:.3g} ms"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if abs(value) >= 10_000:
        return f"{value / 1000:.3g} k"
    return f"{value:.3g}" + ("/s" if unit in ("rowsps", "ops") else "")


def points(series, begin):
    for at, value in series["values"]:
        number = float(value)
        yield (float(at) - begin) / 60, number if math.isfinite(number) else math.nan


def main(source, target, *titles):
    with open(source, encoding="utf-8") as file:
        content = json.load(file)
    panels = [p for p in content["panels"] if any(v for s in p["series"] for v in s["values"])]
    # One number says less than a line.
    panels = [p for p in panels if p["title"] in titles] if titles else [p for p in panels if p["title"] != "Servers"]
    rows = -(-len(panels) // COLUMNS)
    pyplot.rcParams.update({"font.size": 7, "font.family": "DejaVu Sans", "text.color": INK, "axes.labelcolor": INK,
                            "xtick.color": INK, "ytick.color": INK})
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(13, 2.25 * rows), facecolor=BACK, squeeze=False)
    for place, panel in zip(axes.flat, panels):
        place.set_facecolor(PAPER)
        place.set_title(panel["title"], loc="left", fontsize=8.5, fontweight="bold")
        ranked = sorted(panel["series"], key=lambda s: -max((abs(y) for _, y in points(s, 0) if not math.isnan(y)), default=0))
        for colour, series in zip(COLOURS, ranked[:SERIES_MAX]):
            xs, ys = zip(*points(series, content["from"])) if series["values"] else ((), ())
            place.plot(xs, ys, color=colour, linewidth=1.1, label=series["name"] or panel["title"])
        if len(ranked) > 1:
            place.legend(fontsize=5.8, frameon=False, ncols=min(4, len(ranked)), loc="upper center", bbox_to_anchor=(0.5, -0.12))
        low, high = place.get_ylim()
        place.set_ylim(min(0, low), high if high > 0 else 1)
        place.yaxis.set_major_locator(pyplot.MaxNLocator(4))
        place.yaxis.set_major_formatter(lambda value, _, unit=panel["unit"]: shown(value, unit))
        place.xaxis.set_major_formatter(lambda value, _: f"{value:g} min")
        place.grid(color=GRID, linewidth=0.6)
        for side in place.spines.values():
            side.set_color(GRID)
        place.tick_params(length=0)
    for place in list(axes.flat)[len(panels):]:
        place.set_visible(False)
    figure.tight_layout(pad=1.2, h_pad=1.6)
    figure.savefig(target, dpi=70, facecolor=BACK)


if __name__ == "__main__":
    main(*sys.argv[1:])
