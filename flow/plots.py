"""Plots of `mxdot study`, each as PNG and as SVG; the same figures give the same SVG bytes."""

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mxdot.flow.files import write_atomic


def write(folder: Path, study: Mapping[str, Any]) -> list[Path]:
    """Write NAME-formats and NAME-accumulation for every tensor, .png and .svg; returns the paths."""
    paths = []
    for tensor in study["tensors"]:
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in tensor["name"])
        paths += save(folder / f"{name}-formats", _formats(tensor["name"], tensor["formats"]))
        if tensor["errors"]:
            paths += save(folder / f"{name}-accumulation", _errors(tensor["name"], tensor["errors"]))
    return paths


def _formats(name: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    """SNR as bars: a group a format, a bar a rule."""
    axes = _axes(f"{name}: SNR of quantised values", "", "SNR in dB")
    formats = list(dict.fromkeys(row["format"] for row in rows))
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    for row in rows:
        if row["snr_db"] is None:
            continue
        group = [r for r in rules if any(o["format"] == row["format"] and o["rule"] == r for o in rows)]
        width = 0.8 / len(group)
        x = formats.index(row["format"]) + (group.index(row["rule"]) - (len(group) - 1) / 2) * width
        color = f"C{rules.index(row['rule'])}"
        axes.bar(x, row["snr_db"], width, color=color, label=row["rule"])
    axes.set_xticks(np.arange(len(formats)), formats)
    _legend(axes)
    return axes.get_figure(root=True)  # type: ignore[return-value]


def _errors(name: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    """The error of each profile over K, both axes logarithmic; lengths without an error are left out."""
    axes = _axes(f"{name}: error of the sum against exact", "K, products in the sum", "RMS error / RMS sum")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    names = dict.fromkeys(row["profile"] for row in rows)
    for profile, marker in zip(names, cycle("os^vDx+*"), strict=False):  # curves lie upon each other
        points = [(row["k"], row["rms"]) for row in rows if row["profile"] == profile and row["rms"] > 0]
        if points:
            axes.plot(
                *zip(*points, strict=True), marker=marker, markersize=5, fillstyle="none", label=profile
            )
    _legend(axes)
    return axes.get_figure(root=True)  # type: ignore[return-value]


def _axes(title: str, x: str, y: str) -> Axes:
    axes = Figure(figsize=(8, 4.5), layout="constrained").add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return axes


def _legend(axes: Axes) -> None:
    """One entry a label, outside, where it hides nothing."""
    entries = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if entries:
        axes.legend(entries.values(), entries.keys(), loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def save(stem: Path, figure: Figure, kinds: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write STEM.png and STEM.svg, or those of them that are in ``kinds``; returns the paths."""
    paths = []
    for kind in kinds:
        options: dict[str, Any] = {"dpi": 150} if kind == "png" else {"metadata": {"Date": None}}
        path = stem.with_name(f"{stem.name}.{kind}")
        buffer = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "mxdot"}):
            figure.savefig(buffer, format=kind, **options)
        write_atomic(path, buffer.getvalue())
        paths.append(path)
    return paths
