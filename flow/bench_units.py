"""What `make bench` measures: every unit by name, its options, and the figures of others beside it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Unit:
    """One unit to place.

    key: its name in the results file and for --only. groups: the tables and plots it belongs to; those of
    group "goals" are placed with all seeds, the others with one. target_mhz: the clock the placer is asked
    for (None: a fifth more than the unit is cut for). peer: the best other unit of this kind. quick: part of
    the subset that takes minutes.
    """

    key: str
    title: str
    groups: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    unit: str = "dot"
    target_mhz: float | None = None
    peer: str | None = None
    quick: bool = False


@dataclass(frozen=True)
class Peer:
    """Another project's unit, measured with this flow: COMB (or LUT4, marked), FF, MHz, kMAC/s a cell."""

    title: str
    does: str
    comb: str
    ff: int | None
    mhz: float | None
    rate: float | None
    ands: int | None


PEERS = {
    "mx-dotp": Peer(
        "mx-dotp, e4m3, K = 32",
        "exact, two e8m0, FP32 addend, one rounding; valid only",
        "11,733",
        1254,
        26.0,
        71,
        32730,
    ),
    "mxdotp-32": Peer(
        "PULP MXDOTP-32, e4m3 only",
        "the same, valid/ready, 5 rounding modes",
        "14,334",
        3055,
        30.0,
        67,
        36085,
    ),
    "mx-for-fpga": Peer(
        "MX-for-FPGA dot_fp, e4m3, K = 32",
        "sum within a block only: no scales, no FP32",
        "14,120",
        556,
        36.0,
        82,
        21420,
    ),
    "mx-dotp-8": Peer("mx-dotp, e4m3, K = 8", "as mx-dotp", "4,516", 530, 25.9, 46, 11539),
    "mx-dotp-e2m1": Peer("mx-dotp, e2m1, K = 32", "as mx-dotp", "3,577", 761, 31.1, 278, 8681),
    "mx-dotp-e5m2": Peer("mx-dotp, e5m2, K = 32", "as mx-dotp", "14,055 LUT4", None, None, None, 49840),
    "mx-dotp-int8": Peer("mx-dotp, int8, K = 32", "as mx-dotp", "8,464 LUT4", None, None, None, 25301),
    "leuven": Peer(
        "KU Leuven hybrid MX MAC, 4 FP8 a cycle",
        "FP32-like accumulator, truncates; no NaN, no Inf",
        "4,785",
        160,
        16.7,
        14,
        10761,
    ),
    "cvfpu": Peer(
        "cvfpu fpnew_fma_multi, FP8 · FP8 + FP32",
        "one fused multiply-add a cycle",
        "2,854",
        209,
        35.5,
        12,
        5608,
    ),
    "ttihp": Peer(
        "ttihp-fp8-mul, e4m3", "bit-serial protocol, 32 pairs in 41 cycles", "2,299", 83, 32.6, 11, 5001
    ),
}
"""All have fewer flip-flops than COMB; AIG ANDs from `synth -flatten; abc -g AND`."""


def pair(name: str) -> dict[str, Any]:
    """The same element format on both sides."""
    return {"a_format": (name,), "b_format": (name,)}


def _goals() -> Iterator[Unit]:
    """The best design for each goal: the clock asked for is part of the design."""
    fast: dict[str, Any] = {"target": "ecp5"}
    yield Unit("e4m3-ecp5", "e4m3, 32 lanes, `ecp5`", ("goals",), fast, target_mhz=230, peer="mx-dotp")
    yield Unit("e4m3", "e4m3, 32 lanes, `generic`", ("goals",), target_mhz=230, peer="mx-dotp")
    for name, quick, peer, mhz in (
        ("e5m2", False, "mx-dotp-e5m2", None),
        ("e2m1", True, "mx-dotp-e2m1", 188),
        ("int8", False, "mx-dotp-int8", 198),
    ):
        yield Unit(
            f"{name}-ecp5",
            f"{name}, 32 lanes, `ecp5`",
            ("goals",),
            fast | pair(name) | {"mhz": mhz},
            target_mhz=230,
            peer=peer,
            quick=quick,
        )
    for name in ("int8", "e4m3"):
        blocks = {"target": "ecp5-dsp"} | pair(name)
        yield Unit(f"{name}-dsp", f"{name}, 32 lanes, `ecp5-dsp`", ("goals",), blocks, target_mhz=230)
    yield Unit(
        "e4m3-8-ecp5",
        "e4m3, 8 lanes, block 32, `ecp5`",
        ("goals",),
        fast | {"lanes": 8},
        target_mhz=230,
        peer="mx-dotp-8",
    )
    yield Unit(
        "e4m3-accumulating", "e4m3, 32 lanes, accumulating, `ecp5`", ("goals",), fast | {"accumulate": True}
    )
    yield Unit(
        "mac",
        "FP8 MAC, one stage",
        ("goals",),
        {"mhz": 25},
        "mac",
        peer="cvfpu",
        quick=True,
    )
    yield Unit(
        "mac-contexts",
        "FP8 MAC, 16 contexts",
        ("goals",),
        {"target": "ecp5", "mhz": 160, "contexts": 16},
        "mac",
        target_mhz=220,
        peer="cvfpu",
        quick=True,
    )


def _sweeps() -> Iterator[Unit]:
    """How cost and clock move with lanes, format and depth; everything else as by default."""
    for lanes in (4, 8, 16, 32, 64, 128):
        groups: tuple[str, ...] = ("lanes",)
        options: dict[str, Any] = {"lanes": lanes, "block": max(lanes, 32)}
        if lanes == 32:
            groups += ("formats", "depth")
        if lanes == 8:
            groups += ("profiles", "choice")
        yield Unit(f"lanes-{lanes}", f"e4m3, {lanes} lanes", groups, options, quick=lanes <= 8)
    for name in ("e5m2", "e3m2", "e2m3", "e2m1", "int8"):
        yield Unit(f"format-{name}", f"{name}, 32 lanes", ("formats",), pair(name), quick=name == "e2m1")
    for mhz in (30, 60, 90, 120, 150, 165, 185):
        yield Unit(f"depth-{mhz}", f"e4m3, 32 lanes, cut for {mhz} MHz", ("depth",), {"mhz": mhz})


def _choices() -> Iterator[Unit]:
    """A unit for three formats chosen at run time, and a unit for each."""
    for names in (("e5m2",), ("e2m1",), ("e4m3", "e5m2", "e2m1")):
        options: dict[str, Any] = {"a_format": names, "b_format": names, "lanes": 8, "block": 32}
        title = f"{names[0]}, 8 lanes" if len(names) == 1 else "all three on a port, 8 lanes"
        yield Unit("choice-" + "-".join(names), title, ("choice",), options)


def _profiles() -> Iterator[Unit]:
    """Each profile with 8 lanes, so that it places quickly; the blocks are what the profile takes."""
    eight: dict[str, Any] = {"lanes": 8, "block": 32}
    rows: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("fp32-unscaled", "`fp32`, no scales", {"scale": None}),
        ("fp32-accumulating", "`fp32`, accumulating", {"accumulate": True}),
        ("exact", "`exact`, accumulating", {"profile": "exact", "accumulate": True}),
        ("hopper", "`hopper`", {"profile": "hopper", "scale": None}),
        ("ada", "`ada`", {"profile": "ada", "scale": None}),
        ("blackwell", "`blackwell`", {"profile": "blackwell"}),
        ("blackwell-mma", "`blackwell-mma`", {"profile": "blackwell-mma", "scale": None}),
        ("cdna3", "`cdna3`, e4m3fnuz", {"profile": "cdna3", "scale": None} | pair("e4m3fnuz")),
        ("deepseek", "`deepseek`, block 128", {"profile": "deepseek", "block": 128}),
    )
    for key, title, options in rows:
        yield Unit(f"profile-{key}", title, ("profiles",), eight | options, quick=key == "hopper")


UNITS = (*_goals(), *_sweeps(), *_choices(), *_profiles())
