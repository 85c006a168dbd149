"""Writing files so that a reader never meets a half-written one."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dualperturb.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`, else it is removed.

    What is written at the temporary path may be a file or a folder; it is on the same file system, so that
    the final rename is atomic for a file. A folder that stands at `path` is removed just before the rename.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    temporary = holder / path.name
    try:
        yield temporary
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys (stable bytes), atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index, atomically."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV. Raises UserError if it is absent, empty or no table."""
    import pandas as pd

    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{path}: cannot be read as a table ({error}); make it with: dvc repro") from error
