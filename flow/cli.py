"""The `mxdot` command: finds the commands, and turns every error into one line and an exit code.

0 success; 1 a check failed or a tool gave up; 2 bad input, with what to change; 130 Ctrl-C.
"""

import importlib
import os
import sys
from collections.abc import Sequence

import click
from mxdot.flow.errors import CheckFailed
from mxdot.verif.simulators import ToolError, ToolMissing

# In the order of --help. Each is a module of mxdot.flow.commands with a click command named `command`.
COMMANDS = ("run", "generate", "verify", "synth", "quantize", "study", "formats", "profiles")


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        # Imported when asked for: Amaranth and NumPy make --help slow.
        command: click.Command = importlib.import_module(f"mxdot.flow.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f"unknown command {args[0]!r}; known: {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mxdot")
def cli() -> None:
    """Microscaled dot-product hardware: generate it, prove it, place it, run it."""


def main(
    arguments: Sequence[str] | None = None, command: click.Command = cli, name: str | None = "mxdot"
) -> int:
    """Run one command line (default: sys.argv) and return its exit code.

    command: `cli`, or that of a script of its own. The variable MXDOT_TRACEBACK=1 lets errors through as
    Python raises them.
    """
    if os.environ.get("MXDOT_TRACEBACK"):
        return _code(command.main(arguments, prog_name=name, standalone_mode=False))
    try:
        return _code(command.main(arguments, prog_name=name, standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return 2
    except click.ClickException as error:
        return _say(error.format_message(), 2)
    except (CheckFailed, ToolError) as error:
        return _say(str(error), 2 if isinstance(error, ToolMissing) else 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{(error.strerror or str(error)).lower()}", 2)
    except (ValueError, TypeError) as error:
        return _say(str(error), 2)
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted", 130)


def _code(result: object) -> int:
    return result if isinstance(result, int) else 0


def _say(message: str, code: int) -> int:
    """One line; a tool that failed may add its own last lines."""
    print(f"mxdot: {message.strip()}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
