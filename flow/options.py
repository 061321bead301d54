"""A unit's options on the command line: they come from the fields of its parameter object alone."""

import json
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from mxdot.rtl import emit
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.mac import MacParameters
from mxdot.rtl.parameters import Parameters

UNITS: dict[str, type[Parameters]] = {"dot": DotParameters, "mac": MacParameters}

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print only JSON on stdout.")


@dataclass(frozen=True)
class Choice:
    """What the command line says about the unit: name, manifest, options, and where the Verilog goes."""

    unit: str | None
    config: Path | None
    given: dict[str, Any]
    output: Path | None

    def generate(self) -> tuple[Path, dict[str, Any]]:
        """Write the Verilog and its manifest: the Verilog's path, and the manifest."""
        parameters = chosen(self.unit, self.config, self.given)
        path = _verilog_path(self.output, parameters)
        generated = emit.generate(parameters, top=path.stem)
        generated.write(path)
        return path, generated.manifest

    def given_file(self) -> Path | None:
        """The Verilog file that was named in place of a unit, to be taken as it is."""
        if self.unit is None or not self.unit.endswith(".v"):
            return None
        if self.given or self.config or self.output:
            raise click.UsageError(f"{self.unit} is taken as it is: no options of a unit, --config or -o")
        return Path(self.unit)

    def resolve(self) -> tuple[Path, dict[str, Any]]:
        """A file given as it is with the manifest beside it, or else what `generate` writes."""
        path = self.given_file()
        if path is None:
            return self.generate()
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        return path, read_manifest(path.with_suffix(".json"))


def unit_options(files: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds [dot|mac], every option of theirs, --config and -o to a command, which gets `choice: Choice`.

    With `files` an existing FILE.v may stand in place of the unit. Values come from the command line, else
    from --config, else they are the unit's defaults.
    """
    decorators: list[Callable[[Any], Any]] = [
        click.argument("unit", metavar="[dot|mac|FILE.v]" if files else "[dot|mac]", required=False),
        *(_click_option(f) for f in _options().values()),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            metavar="FILE.json",
            help="Take the options from a manifest; those on the command line win.",
        ),
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path),
            metavar="DIR/NAME.v",
            help="The Verilog; NAME is its top module, NAME.json its manifest.  [default: out/UNIT.v]",
        ),
    ]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(unit: str | None, config: Path | None, output: Path | None, **others: Any) -> Any:
            source = click.get_current_context().get_parameter_source
            values = {name: others.pop(name) for name in _options()}
            given = {n: v for n, v in values.items() if source(n) is ParameterSource.COMMANDLINE}
            return function(choice=Choice(unit, config, given, output), **others)

        wrapped: Callable[..., Any] = command
        for add in reversed(decorators):
            wrapped = add(wrapped)
        return wrapped

    return decorate


def chosen(unit: str | None, config: Path | None, given: dict[str, Any]) -> Parameters:
    """The parameter object from a unit's name, a manifest and options, each of which may be absent.

    Raises ValueError with one line for an unknown unit, an option that the unit does not have, a file that is
    no manifest, or whatever the parameter object itself refuses.
    """
    stored: dict[str, Any] = {}
    if config is not None:
        unit, stored = _stored(config, unit)
    unit = unit or "dot"
    if unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r}; known: {', '.join(UNITS)}")
    own = {f.name: f for f in fields(UNITS[unit]) if f.init}
    for name in given:
        if name not in own:
            raise ValueError(f"{unit} has no option {_flag(name)}; it has {', '.join(map(_flag, own))}")
    if "stages" in given or "mhz" in given:  # one of them on the command line replaces both of the manifest
        stored = {name: value for name, value in stored.items() if name not in ("stages", "mhz")}
    return UNITS[unit](**stored | given)


def read_manifest(path: Path) -> dict[str, Any]:
    """A manifest as written by `generate`; ValueError for anything else."""
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        missing = [key for key in ("unit", "top", "parameters", "streams") if key not in manifest]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a manifest of mxdot: {error}") from None
    if missing or not isinstance(manifest["parameters"], dict):
        raise ValueError(f"{path} is not a manifest of mxdot: {', '.join(missing) or 'parameters'} missing")
    return manifest


def _stored(path: Path, unit: str | None) -> tuple[str, dict[str, Any]]:
    """Unit and options of a manifest; what the unit fixes must have its fixed value."""
    manifest = read_manifest(path)
    found, stored = manifest["unit"], dict(manifest["parameters"])
    if found not in UNITS:
        raise ValueError(f"{path} is for the unknown unit {found!r}; known: {', '.join(UNITS)}")
    if unit is not None and unit != found:
        raise ValueError(f"{path} is for {found}, not for {unit}")
    known = {f.name: f for f in fields(UNITS[found])}
    for name in list(stored):
        field = known.get(name)
        if field is not None and field.init:
            continue
        value = stored.pop(name)
        fixed = field.default if field is not None and field.default is not MISSING else None
        if value != fixed:
            raise ValueError(f"{path}: {found} has no option {name!r} with the value {value!r}")
    return found, stored


def _options() -> dict[str, Field[Any]]:
    """Every option of every unit by name, in the order of the fields; a name means the same in all units."""
    return {f.name: f for unit in reversed(UNITS.values()) for f in fields(unit) if f.init}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _click_option(field: Field[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    flag, default, choices = _flag(field.name), field.default, field.metadata.get("choices")
    text = field.metadata["help"]
    if isinstance(default, bool):
        return click.option(f"{flag}/--no-{flag[2:]}", field.name, default=default, help=text)
    shown = _text(default) if default is not None else None
    text += f"  [default: {shown}]" if shown else ""
    if choices:
        names = {_text(c): c for c in choices}
        listed = isinstance(default, tuple)
        value_type: click.ParamType[Any] = _Names(names, listed)
        metavar = "|".join(names)
    else:
        value_type, metavar = click.INT, field.metadata.get("metavar", "N")
    return click.option(flag, field.name, type=value_type, metavar=metavar, default=None, help=text)


class _Names(click.ParamType[Any]):
    """One of the names, or a comma-separated list of them; `none` means None. The unit judges the names."""

    name = "name"

    def __init__(self, names: dict[str, Any], listed: bool) -> None:
        self.names, self.listed = names, listed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if self.listed:
            return tuple(self.names.get(one, one) for one in value.split(","))
        return self.names.get(value, value)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    return "none" if value is None else str(value)


def _verilog_path(output: Path | None, parameters: Parameters) -> Path:
    path = output or Path("out") / f"{parameters.unit}.v"
    if path.suffix != ".v" or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", path.stem):
        raise ValueError(f"-o must end in NAME.v where NAME can be a Verilog module, not {str(path)!r}")
    return path
