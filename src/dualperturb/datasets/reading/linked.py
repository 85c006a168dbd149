"""The refusal of links to folders in a raw folder: DVC does not follow them, and so misses changes there."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from dualperturb.errors import UserError

_BY_COMMAND = {"imagenet10": ("train", "val", "test", "masks"), "folder": ("train", "val", "test", "masks")}


def refuse_linked_folders(raw: Path, dataset: str) -> None:
    """Raise UserError for the first link to a folder below `raw`, with the command that links its files.

    `raw` itself may be a link, as DVC follows that one. Hidden folders are not read and not looked into.
    """
    for folder, names, _ in os.walk(raw):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in names:
            path = Path(folder, name)
            if path.is_symlink():
                raise UserError(
                    f"{path}: a link to the folder {path.readlink()}, in which DVC sees no change; link its "
                    f"files one by one: {_command(path, raw, dataset)}"
                )


def _command(path: Path, raw: Path, dataset: str) -> str:
    top, *below = path.relative_to(raw).parts
    if top not in _BY_COMMAND.get(dataset, ()):
        place = shlex.quote(str(path))
        return f"rm {place} && cp -r --symbolic-link {shlex.quote(str(path.resolve()))} {place}"
    target = path.resolve()
    root = shlex.quote(str(target.parent)) if not below and target.name == top else "DIR"
    return f"dualperturb data link {dataset} --root {root}" + (
        "" if root != "DIR" else ", where DIR holds train/ and val/"
    )
