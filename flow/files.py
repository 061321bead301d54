"""Files are written whole or not at all; what can be computed again lives under one build folder."""

import os
import tempfile
from pathlib import Path


def build_folder() -> Path:
    """Where caches lie: `build/` in the working directory, or the folder named by MXDOT_BUILD."""
    return Path(os.environ.get("MXDOT_BUILD", "build"))


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write `data` to `path` by way of a file beside it and a rename; makes missing parent folders.

    Raises OSError where the folder cannot be made or written; nothing half-written stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = data.encode() if isinstance(data, str) else data
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(raw)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(beside, 0o666 & ~umask)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
