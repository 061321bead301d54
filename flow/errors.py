"""What the command turns into exit code 1; bad input (exit code 2) is ValueError, TypeError and OSError."""


class CheckFailed(RuntimeError):
    """What was computed is wrong: a mismatch, a failed regression."""
