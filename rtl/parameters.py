"""What all units have in common: their options, checked when made, and the pipeline that comes of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any, ClassVar, NoReturn

from amaranth.hdl import Shape, unsigned
from mxdot.golden import formats
from mxdot.golden.formats import ResultFormat
from mxdot.golden.profiles import PROFILES, Exact, Fused, Interleaved, Promoted
from mxdot.rtl.collect import Batches
from mxdot.rtl.decode import Formats, lane_width
from mxdot.rtl.pipeline import Pipeline, Plan, Step, cuts, cuts_for_stages
from mxdot.rtl.targets import TARGETS, Target

ELEMENT_FORMATS = tuple(formats.ELEMENTS)
PROFILE_NAMES = tuple(PROFILES)
MAX_BLOCK = 4096
DEFAULT_CLOCKS = ", ".join(f"{target.mhz} for {name}" for name, target in TARGETS.items())
DEFAULT_BLOCKS, MOST_BLOCKS = 1024, 1 << 20


def option(default: Any, text: str, **metadata: Any) -> Any:
    """A field of a parameter object: ``choices`` (allowed), ``metavar`` and ``flag`` for the command line."""
    return field(default=default, metadata={"help": text, **metadata})


def refuse(message: str) -> NoReturn:
    """One line that names the value and what is allowed."""
    raise ValueError(message)


def _check_list(name: str, value: tuple[str, ...]) -> None:
    """Formats to choose from at run time: each once, and int8, which has no exponent, only alone."""
    words = f"{name} must be one format, or several that differ and are not int8"
    if not value or len(set(value)) != len(value) or (len(value) > 1 and "int8" in value):
        refuse(f"{words}, not {','.join(value)!r}")


def check_power_of_two(name: str, value: int, most: int) -> None:
    """Refuses what is not a power of two from 1 to ``most``."""
    if value < 1 or value > most or value & (value - 1):
        refuse(f"{name} must be a power of two from 1 to {most}, not {value}")


@dataclass(frozen=True)
class Parameters(ABC):
    """Every option of a unit; a unit that has no choice in one pins it (``init=False``).

    Making one checks it: ValueError, or TypeError for a wrong type, with one line.
    """

    unit: ClassVar[str]

    a_format: tuple[str, ...] = option(("e4m3",), "element format of a", choices=ELEMENT_FORMATS)
    b_format: tuple[str, ...] = option(("e4m3",), "element format of b", choices=ELEMENT_FORMATS)
    block: int = option(32, "elements that share a scale: a multiple of lanes up to 4096", metavar="K")
    scale: str | None = option("e8m0", "format of the block scales", choices=(*formats.SCALES, None))
    lanes: int = option(32, "products a cycle: a power of two from 1 to 128", metavar="L")
    profile: str = option("fp32", "what rounding and accumulation do", choices=PROFILE_NAMES)
    out: str = option("fp32", "format of the result", choices=tuple(formats.RESULTS))
    accumulate: bool = option(False, "keep the sum inside until a block is marked last")
    contexts: int = option(1, "independent sums that may interleave (with --accumulate)", metavar="N")
    max_blocks: int | None = option(
        None, f"blocks that a sum of profile exact can hold: {DEFAULT_BLOCKS} if not given", metavar="N"
    )
    addend: bool = option(True, "an FP32 addend c on the input", flag="--addend/--no-addend")
    target: str = option("generic", "device to write Verilog for", choices=tuple(TARGETS))
    mhz: int | None = option(
        None, f"clock to cut for: {DEFAULT_CLOCKS}; or what the slowest step allows", metavar="MHZ"
    )
    stages: int | None = option(None, "logic stages instead of a clock", metavar="N")

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in ("a_format", "b_format") and isinstance(value, str):
                value = tuple(value.split(","))
            if isinstance(value, list):
                value = tuple(value)
            object.__setattr__(self, f.name, value)
            self._check_field(f.name, value, f.default, f.metadata.get("choices"))
        for name, value in (("mhz", self.mhz), ("stages", self.stages)):
            if value is not None and value < 1:
                refuse(f"{name} must be at least 1, not {value}")
        self._check_together()

    def _check_together(self) -> None:
        check_power_of_two("lanes", self.lanes, 128)
        if self.block < 1 or self.block % self.lanes or self.block > MAX_BLOCK:
            refuse(f"block must be a multiple of lanes ({self.lanes}) up to {MAX_BLOCK}, not {self.block}")
        check_power_of_two("contexts", self.contexts, 16)
        if self.contexts != 1 and not self.accumulate:
            refuse(f"contexts must be 1 without --accumulate, not {self.contexts}")
        self._check_profile()
        kept = isinstance(PROFILES[self.profile].kind, Exact) and self.accumulate
        if self.max_blocks is not None and not kept:
            refuse(f"max_blocks is for profile exact with --accumulate, not {self.max_blocks}")
        if kept and self.max_blocks is None:
            object.__setattr__(self, "max_blocks", DEFAULT_BLOCKS)
        if kept and self.max_blocks not in range(1, MOST_BLOCKS + 1):
            refuse(f"max_blocks must be from 1 to {MOST_BLOCKS}, not {self.max_blocks}")

    def _check_profile(self) -> None:
        """What the profile accepts, and the lengths that its groups allow."""
        profile = PROFILES[self.profile]
        of = f"for profile {self.profile}"
        if self.unit == "mac" and not profile.mac:
            names = ", ".join(name for name in PROFILE_NAMES if PROFILES[name].mac)
            refuse(f"profile must be one of {names} for the mac, not {self.profile!r}")
        for name, formats_of in (("a_format", self.a_format), ("b_format", self.b_format)):
            for one in formats_of:
                if one not in profile.elements:
                    refuse(f"{name} must be one of {', '.join(profile.elements)} {of}, not {one!r}")
        if self.scale not in profile.scales:
            allowed = ", ".join(s or "none" for s in profile.scales if s != "fp32")
            refuse(f"scale must be one of {allowed} {of}, not {self.scale or 'none'!r}")
        if profile.block not in (None, self.block):
            refuse(f"block must be {profile.block} {of}, not {self.block}")

    @staticmethod
    def _check_field(name: str, value: Any, default: Any, choices: tuple[Any, ...] | None) -> None:
        if choices:
            for one in value if isinstance(value, tuple) else (value,):
                if one not in choices:
                    allowed = ", ".join("none" if c is None else str(c) for c in choices)
                    refuse(f"{name} must be one of {allowed}, not {one!r}")
            if isinstance(default, tuple):
                _check_list(name, value)
        elif isinstance(default, bool):
            if not isinstance(value, bool):
                raise TypeError(f"{name} must be true or false, not {value!r}")
        elif not (value is None and default is None) and (
            not isinstance(value, int) or isinstance(value, bool)
        ):
            raise TypeError(f"{name} must be a whole number, not {value!r}")

    def inputs(self) -> dict[str, Shape]:
        """Fields of the input stream, in the order of the ports."""
        a, b = self.elements
        found = {"a": unsigned(lane_width(a) * self.lanes), "b": unsigned(lane_width(b) * self.lanes)}
        if self.scale:
            found |= {"a_scale": unsigned(8), "b_scale": unsigned(8)}
        if self.addend:
            found["c"] = unsigned(32)
        for side, choice in (("a", a), ("b", b)):
            if len(choice) > 1:
                found[f"{side}_format"] = unsigned((len(choice) - 1).bit_length())
        if self.accumulate:
            found["last"] = unsigned(1)
        if self.contexts > 1:
            found["context"] = unsigned((self.contexts - 1).bit_length())
        return found

    def outputs(self) -> dict[str, str]:
        """Fields of the output stream and the values they carry."""
        return {"result": "result"} | ({"context": "context"} if self.contexts > 1 else {})

    @abstractmethod
    def steps(self) -> list[Step]:
        """The steps from the input stream's fields to ``result``."""

    @property
    def elements(self) -> tuple[Formats, Formats]:
        """The element formats of a and b."""
        a, b = (tuple(formats.element(name) for name in names) for names in (self.a_format, self.b_format))
        return a, b

    @property
    def beats(self) -> int:
        """Input beats a block."""
        return self.block // self.lanes

    @property
    def batches(self) -> Batches | None:
        """What the groups of a tensor core's profile work on; None in the others, which have no groups."""
        kind = PROFILES[self.profile].kind
        inner = PROFILES[kind.inner].kind if isinstance(kind, Promoted) else kind
        if not isinstance(inner, Fused | Interleaved):
            return None
        return Batches(self.block, self.lanes, inner.group, self.accumulate and inner is kind)

    @property
    def piece(self) -> int:
        """Products after which the unit may have to wait: those of a block, or a part of it."""
        batches = self.batches
        return self.block if batches is None else batches.piece

    @property
    def device(self) -> Target:
        """The target, with the clock asked for where there is one."""
        target = TARGETS[self.target]
        return target if self.mhz is None else replace(target, mhz=self.mhz)

    @property
    def nan_code(self) -> int:
        """The one NaN that the profile gives."""
        return PROFILES[self.profile].nan_code(self.result)

    @property
    def result(self) -> ResultFormat:
        """The format of the result."""
        return formats.result(self.out)

    def cut(self, plan: Plan) -> list[int]:
        """Where registers stand: for ``stages`` if given, and then check ``mhz``; else for ``mhz``; without
        either for the target's clock, or what the slowest step allows."""
        clock = self.device.clock
        if self.stages is None:
            period = self.device.usable(self.device.mhz)
            slowest = max(step.delay for step in plan.steps)
            return cuts(plan, period if self.mhz else max(period, slowest), clock)
        at = cuts_for_stages(plan, self.stages)
        longest = max(plan.path(start, stop) for start, stop in pairwise([*at, len(plan.steps)]))
        if self.mhz is not None and longest > self.device.usable(self.mhz):
            enough = len(cuts(plan, self.device.usable(self.mhz), clock))
            refuse(
                f"{self.mhz} MHz is out of reach with {self.stages} stages;"
                f" try --stages {enough} or --mhz {int(clock(longest))}"
            )
        return at

    def build(self) -> Pipeline:
        """The unit as an Amaranth component. ValueError where the clock or the depth cannot be had."""
        beats, waiting = self.piece // self.lanes, self.device.waiting
        return Pipeline(self.steps(), self.inputs(), self.outputs(), self.cut, beats, waiting)

    def as_dict(self) -> dict[str, Any]:
        """Every option by name, as the manifest holds it."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    def options(self) -> list[str]:
        """The canonical command-line options that give these parameters."""
        words: list[str] = []
        for f in (f for f in fields(self) if f.init):
            value, flag = getattr(self, f.name), "--" + f.name.replace("_", "-")
            if isinstance(value, bool):
                if value != f.default:
                    words.append(flag if value else f"--no-{flag[2:]}")
            elif value is not None or f.metadata.get("choices"):
                words += [
                    flag,
                    ",".join(value) if isinstance(value, tuple) else "none" if value is None else str(value),
                ]
        return words


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
