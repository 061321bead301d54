"""Layout of a layered drawing: an order in each row with few crossings, places that keep lines short.

A row is a list of node names; an edge joins nodes of neighbouring rows. Deterministic.
"""

from collections.abc import Iterable, Mapping, Sequence

SWEEPS = 12
GAP = 14.0


def place(
    rows: Sequence[Sequence[str]], edges: Iterable[tuple[str, str]], width: Mapping[str, float]
) -> dict[str, float]:
    """Node -> x of its middle; the leftmost edge of all nodes is 0.

    Order by barycentres, rows swept down and up in turn (Sugiyama, 1981); then every row is moved towards its
    neighbours' mean, as near as the nodes' widths allow.
    """
    up: dict[str, list[str]] = {}
    down: dict[str, list[str]] = {}
    for a, b in edges:
        down.setdefault(a, []).append(b)
        up.setdefault(b, []).append(a)
    ordered = [list(row) for row in rows]
    x: dict[str, float] = {}
    for row in ordered:
        _pack(row, width, x)
    for sweep in range(SWEEPS):
        for row in ordered if sweep % 2 == 0 else ordered[::-1]:
            near = up if sweep % 2 == 0 else down
            wish = {n: _mean([x[o] for o in near.get(n, [])], x[n]) for n in row}
            row.sort(key=lambda n, wish=wish: wish[n])  # type: ignore[misc]  # a stable order on a tie
            _pack(row, width, x)
            _settle(row, wish, width, x)
    for sweep in range(SWEEPS):
        for row in ordered if sweep % 2 == 0 else ordered[::-1]:
            wish = {n: _mean([x[o] for o in (*up.get(n, []), *down.get(n, []))], x[n]) for n in row}
            _settle(row, wish, width, x)
    left = min(x[n] - width[n] / 2 for n in x)
    return {name: at - left for name, at in x.items()}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _pack(row: Sequence[str], width: Mapping[str, float], x: dict[str, float]) -> None:
    """Side by side, the row's middle at 0."""
    at = -sum(width[n] + GAP for n in row) / 2
    for name in row:
        x[name] = at + (width[name] + GAP) / 2
        at += width[name] + GAP


def _settle(
    row: Sequence[str], wish: Mapping[str, float], width: Mapping[str, float], x: dict[str, float]
) -> None:
    """Least squares of x - wish with the order and the gaps kept: pools of neighbours that touch."""
    offset, at = [], 0.0
    for before, name in zip([None, *row], row, strict=False):
        at += (width[before] + width[name]) / 2 + GAP if before is not None else 0.0
        offset.append(at)
    pools: list[tuple[float, int]] = []
    for name, shift in zip(row, offset, strict=True):
        mean, size = wish[name] - shift, 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        pools.append((mean, size))
    flat = [mean for mean, size in pools for _ in range(size)]
    for name, shift, base in zip(row, offset, flat, strict=True):
        x[name] = base + shift
