"""Plots of `make bench`, drawn from its results file alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mxdot.flow.plots import save

Result = dict[str, Any]


def write(folder: Path, results: Sequence[Result]) -> list[str]:
    """Write the plots for which there are figures; returns their names."""
    found = []
    for name, draw in (("lanes", _lanes), ("formats", _formats), ("depth", _depth), ("parts", _parts)):
        group = "formats" if name == "parts" else name
        chosen = [r for r in results if group in r["groups"]]
        if len(chosen) > 1:
            found += save(folder / f"bench-{name}", draw(chosen), kinds=("svg",))
    return [path.name for path in found]


def _axes(count: int) -> list[Axes]:
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = [figure.add_subplot(1, count, at + 1) for at in range(count)]
    for one in axes:
        one.grid(alpha=0.3)
        one.set_axisbelow(True)
    return axes


def _lanes(results: Sequence[Result]) -> Figure:
    cells, fmax, rate = _axes(3)
    lanes = [r["lanes"] for r in results]
    for kind in ("comb", "ff"):
        cells.plot(lanes, [r[kind] for r in results], marker="o", label=kind.upper())
    cells.set(title="cells", xlabel="lanes", xscale="log", yscale="log")
    fmax.plot(lanes, [r["median_mhz"] for r in results], marker="o", color="C2")
    fmax.axhline(results[0]["asked_mhz"], color="grey", linestyle=":", label="asked")
    fmax.set(title="MHz", xlabel="lanes", xscale="log", ylim=(0, None))
    rate.plot(lanes, [r["kmac_per_second_per_cell"] for r in results], marker="o", color="C3")
    rate.set(title="kMAC/s per cell", xlabel="lanes", xscale="log", ylim=(0, None))
    for one in (cells, fmax, rate):
        one.set_xscale("log", base=2)
        one.set_xticks(lanes, [str(n) for n in lanes])
    cells.set_yscale("log", base=2)
    cells.yaxis.set_major_formatter("{x:,.0f}")
    cells.legend(frameon=False)
    fmax.legend(frameon=False)
    return _figure(cells)


def _formats(results: Sequence[Result]) -> Figure:
    cells, fmax, rate = _axes(3)
    names = [r["title"].split(",")[0] for r in results]
    places = range(len(names))
    for side, kind in ((-0.2, "comb"), (0.2, "ff")):
        cells.bar([p + side for p in places], [r[kind] for r in results], 0.4, label=kind.upper())
    cells.legend(frameon=False)
    fmax.bar(places, [r["median_mhz"] for r in results], color="C2")
    rate.bar(places, [r["kmac_per_second_per_cell"] for r in results], color="C3")
    for axes, title in ((cells, "cells"), (fmax, "MHz"), (rate, "kMAC/s per cell")):
        axes.set_title(title)
        axes.set_xticks(places, names)
    return _figure(cells)


def _depth(results: Sequence[Result]) -> Figure:
    rate, cells = _axes(2)
    rows = sorted(results, key=lambda r: int(r["stages"]))
    stages = [r["stages"] for r in rows]
    rate.plot(stages, [r["kmac_per_second_per_cell"] for r in rows], marker="o", color="C3")
    for r in rows:
        rate.annotate(
            f"{r['median_mhz']:.0f} MHz",
            (r["stages"], r["kmac_per_second_per_cell"]),
            textcoords="offset points",
            xytext=(4, -10),
            fontsize=7,
        )
    rate.set(title="kMAC/s per cell", xlabel="stages", ylim=(0, None))
    for kind in ("comb", "ff"):
        cells.plot(stages, [r[kind] for r in rows], marker="o", label=kind.upper())
    cells.set(title="cells", xlabel="stages", ylim=(0, None))
    cells.legend(frameon=False)
    return _figure(rate)


def _parts(results: Sequence[Result]) -> Figure:
    """Stacked by part, COMB and FF side by side, a bar a format."""
    both = _axes(2)
    parts = list(dict.fromkeys(part for r in results for part in r["cells_by_part"]))
    names = [r["title"].split(",")[0] for r in results]
    for axes, kind in zip(both, ("comb", "ff"), strict=True):
        bottom = [0] * len(names)
        for at, part in enumerate(parts):
            height = [r["cells_by_part"].get(part, {}).get(kind, 0) for r in results]
            axes.bar(names, height, bottom=bottom, label=part, color=f"C{at}")
            bottom = [low + high for low, high in zip(bottom, height, strict=True)]
        axes.set_title(f"{kind.upper()} by part")
    handles, labels = both[0].get_legend_handles_labels()
    figure = _figure(both[0])
    figure.legend(handles[::-1], labels[::-1], loc="outside right center", frameon=False, fontsize=8)
    return figure


def _figure(axes: Axes) -> Figure:
    return axes.get_figure(root=True)  # type: ignore[return-value]
