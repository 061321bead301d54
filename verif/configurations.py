"""Parameter sets to verify: few that together cover every pair of option values, and random ones.

The options and their values come from the parameter objects' own metadata, so that a new format, profile or
option is covered as soon as it is built. Values that exclude one another are found by asking the constructor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from mxdot.golden import profiles
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.mac import MacParameters
from mxdot.rtl.parameters import Parameters

UNITS: dict[str, type[Parameters]] = {"dot": DotParameters, "mac": MacParameters}

# Values for options that are numbers: small units, which both simulators build and run in seconds.
NUMBERS: dict[str, tuple[Any, ...]] = {
    "lanes": (1, 2, 4, 8),
    "contexts": (1, 2, 4),
    "max_blocks": (None, 5, 64),
}
BEATS = (1, 2, 3, 4)  # `block` is lanes times one of these
# Shallow, by clock, and deep: options that belong together. A depth asked for needs a clock that it reaches.
DEPTHS: dict[str, dict[str, int]] = {
    "150 MHz": {"mhz": 150},
    "60 MHz": {"mhz": 60},
    "1 stage": {"mhz": 1, "stages": 1},
    "4 stages": {"mhz": 1, "stages": 4},
}

# Run-time formats, three and two of them.
MIXES = (("e4m3", "e5m2", "e2m1"), ("e2m3", "e3m2"))

GROUPS = (12,)  # more beats, where a profile adds in groups: several, and a short last one
FIXED_LANES = (8, 32)  # where the profile fixes the block

TRIES = 4000  # draws before a profile is given up: one may not suit the unit at all

Pairs = set[tuple[tuple[str, Any], tuple[str, Any]]]


def values(unit: str) -> dict[str, tuple[Any, ...]]:
    """Options of a unit and the values to try; one without choices keeps its default."""
    found: dict[str, tuple[Any, ...]] = {}
    for field in dataclasses.fields(UNITS[unit]):
        choices = field.metadata.get("choices")
        if not field.init:
            continue
        if field.name in NUMBERS:
            found[field.name] = NUMBERS[field.name]
        elif isinstance(field.default, bool):
            found[field.name] = (False, True)
        elif choices and field.name in ("a_format", "b_format"):
            found[field.name] = tuple((choice,) for choice in choices)
            found[field.name] += tuple(mix for mix in MIXES if _accepts(unit, field.name, mix))
        elif choices and field.name != "target":
            found[field.name] = tuple(choices)
    if "lanes" in found:
        found["beats"] = BEATS
    return found | {"depth": tuple(DEPTHS)}


def _accepts(unit: str, option: str, value: Any) -> bool:
    try:
        UNITS[unit](**{option: value})
    except ValueError:
        return False
    return True


def parameters(unit: str, chosen: dict[str, Any]) -> Parameters | None:
    """The parameter object of a choice; None where the unit refuses it."""
    options = {name: value for name, value in chosen.items() if name not in ("beats", "depth")}
    options |= DEPTHS[chosen["depth"]]
    if "beats" in chosen:
        options["block"] = chosen["lanes"] * chosen["beats"]
    try:
        return UNITS[unit](**options)
    except ValueError:
        return None


def _suited(options: dict[str, tuple[Any, ...]], profile: str) -> dict[str, tuple[Any, ...]]:
    """The options with the one profile, and the formats, scales and blocks that suit its row."""
    row = profiles.get(profile)
    suited = options | {"profile": (profile,)}
    for side in ("a_format", "b_format"):
        suited[side] = tuple(some for some in options[side] if set(some) <= set(row.elements))
    if "scale" in options:
        suited["scale"] = tuple(scale for scale in options["scale"] if scale in row.scales)
    if "lanes" in options and isinstance(row.kind, profiles.Fused | profiles.Interleaved | profiles.Promoted):
        suited["beats"] = BEATS + GROUPS
        if row.block is not None:
            suited |= {"lanes": FIXED_LANES, "beats": tuple(row.block // lanes for lanes in FIXED_LANES)}
    return suited


def random(unit: str, seed: int) -> Iterator[tuple[Parameters, dict[str, Any]]]:
    """Endless random parameter sets that the unit accepts, with the choice that gave each.

    The profile is drawn first and then kept for some tries: otherwise those that accept little would be rare.
    """
    rng, options = np.random.default_rng([seed, 0x726E64]), values(unit)
    names = list(options["profile"])
    while True:
        profile = names[int(rng.integers(len(names)))]
        suited = _suited(options, profile)
        for _ in range(TRIES):
            chosen = {name: some[int(rng.integers(len(some)))] for name, some in suited.items()}
            made = parameters(unit, chosen)
            if made is not None:
                yield made, chosen
                break
        else:
            names.remove(profile)


def pairs(chosen: dict[str, Any]) -> Pairs:
    """Every pair of option values of a choice, but for the two element formats with each other."""
    found = combinations(sorted(chosen.items()), 2)
    return {(x, y) for x, y in found if (x[0], y[0]) != ("a_format", "b_format")}


def pairwise(unit: str, seed: int = 0, samples: int = 3000) -> list[Parameters]:
    """Parameter sets that cover every pair of option values seen in `samples` random ones, greedily few.

    Not every a_format with every b_format: that alone takes 81 sets, and the exhaustive runs have them all.
    """
    source = random(unit, seed)
    pool = [next(source) for _ in range(samples)]
    found = [pairs(chosen) for _, chosen in pool]
    number = {pair: index for index, pair in enumerate(sorted(set().union(*found), key=repr))}
    covers = np.zeros((samples, len(number)), np.float32)
    for row, some in zip(covers, found, strict=True):
        row[[number[pair] for pair in some]] = 1
    missing, picked = np.ones(len(number), np.float32), []
    while missing.any():
        best = int(np.argmax(covers @ missing))
        missing *= 1 - covers[best]
        picked.append(pool[best][0])
    return picked
