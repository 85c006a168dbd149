"""Reading the arrays that pictures are drawn from."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from dualperturb.errors import REMAKE, UserError


def read_examples(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of Fig. 1 and 2, a file each. Raises what `read_arrays` raises."""
    return {name: read_arrays(folder / f"{name}.npz") for name in ("dual", "noise")}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, by name. Raises `UserError` if it is absent, broken or holds objects."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error}); {REMAKE}") from error
