"""Files are written whole or not at all; what can be computed again lives under one build folder."""

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


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


def read_matrix(path: Path) -> Floats:
    """A float32 matrix with at least one row and column from a .npy file; anything else is a ValueError."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a complete .npy file: {error}") from None
    if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.ndim != 2:
        kind = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise ValueError(f"{path} must hold a float32 matrix, not {kind}")
    if array.size == 0:
        raise ValueError(f"{path} is empty: its shape is {array.shape}")
    return array


def write_matrix(path: Path, array: Floats) -> None:
    """Write a .npy file, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_atomic(path, buffer.getvalue())
