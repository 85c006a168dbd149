"""Saliency models against MS-COCO's instance masks, as a table in Markdown.

    python benchmarks/saliency.py --coco DIR [--model NAME[:KEY=VALUE,...] ...]

DIR holds `annotations/instances_{train,val}2017.json` and the image folders that are there. Used are all
images of which the union of the instance masks covers 8 to 75 % at 128x128 pixels. Fixations are no object
masks, so the numbers rank the models roughly. Needs the extra `coco` (pycocotools).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dualperturb.core.classifiers.networks import build_network
from dualperturb.errors import UserError
from dualperturb.params.masks import SaliencyParams
from dualperturb.saliency import foreground_mask, foreground_score, saliency_model

SIDE = 128
SMALLEST, LARGEST = 0.08, 0.75  # share of the image that the union of the masks may cover
BATCH = 16
REPEATS = 7  # of a timed batch; the fastest counts


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--coco", type=Path, required=True)
    arguments.add_argument("--model", action="append", help="default: builtin and center")
    given = arguments.parse_args()
    try:
        images, unions = coco_images(given.coco)
        chosen = [parsed(text) for text in given.model or ["builtin", "center"]]
        rows = [row(model, images, unions) for model in chosen]
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"{len(images)} images at {SIDE}x{SIDE}, the masks cover {100 * unions.float().mean():.0f} %\n")
    print("| model | foreground | IoU | precision | clean foreground score | cost in ResNet-18 forwards |")
    print("| --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows))


def parsed(text: str) -> SaliencyParams:
    """`deepgaze:variant=I,weights=PATH` -> parameters. Raises UserError."""
    name, _, options = text.partition(":")
    pairs = dict(option.partition("=")[::2] for option in options.split(",") if option)
    try:
        typed = {key: int(value) if value.isdigit() else value for key, value in pairs.items()}
        return SaliencyParams.model_validate({"name": name, **typed})
    except ValueError as error:
        raise UserError(f"--model: {text}: {' '.join(str(error).split())[:200]}") from error


def coco_images(folder: Path) -> tuple[Tensor, Tensor]:
    """Images (N, 3, 128, 128) in [0, 1] and the union of their instance masks, bool (N, 1, 128, 128)."""
    pairs = [pair for split in ("train2017", "val2017") for pair in _split(folder, split)]
    if not pairs:
        raise UserError(f"--coco: {folder}: no image there has masks that cover 8 to 75 % of it")
    images, unions = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
    return torch.from_numpy(images).float() / 255, torch.from_numpy(unions)[:, None]


def _split(folder: Path, split: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    annotations = folder / "annotations" / f"instances_{split}.json"
    if not annotations.is_file():
        raise UserError(f"--coco: {annotations} not found; accepted: a folder as MS-COCO 2017 is published")
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(annotations))
    for key in sorted(coco.imgs):
        path = folder / split / coco.imgs[key]["file_name"]
        masks = [coco.annToMask(entry) for entry in coco.imgToAnns[key]]
        if not masks or not path.is_file():
            continue
        union = Image.fromarray(255 * np.max(masks, axis=0)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        foreground = np.asarray(union) > 0
        if SMALLEST <= foreground.mean() <= LARGEST:
            pixels = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            yield np.asarray(pixels).transpose(2, 0, 1), foreground


def row(chosen: SaliencyParams, images: Tensor, unions: Tensor) -> str:
    """One model's line: means over the images."""
    model = saliency_model(chosen.name, **chosen.options)
    with torch.no_grad():
        densities = torch.cat([model(images[i : i + BATCH]) for i in range(0, len(images), BATCH)])
    found = foreground_mask(densities)
    both, either = ((found & unions).sum((1, 2, 3)), (found | unions).sum((1, 2, 3)))
    precision = both / found.sum((1, 2, 3)).clamp(min=1)
    cost = seconds(model, images[:BATCH]) / seconds(build_network("resnet18", 1000).eval(), images[:BATCH])
    score = foreground_score(densities, found).mean()
    measured = f"{found.float().mean():.2f} | {(both / either).mean():.3f} | {precision.mean():.3f}"
    return f"| {chosen.name} | {measured} | {score:.2f} | {cost:.4f} |"


@torch.no_grad()
def seconds(function: Callable[[Tensor], Tensor], images: Tensor) -> float:
    """The fastest of some runs on one batch, on one thread, after a first that is not counted."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    taken = []
    for _ in range(REPEATS + 1):
        begun = time.perf_counter()
        function(images)
        taken.append(time.perf_counter() - begun)
    torch.set_num_threads(threads)
    return min(taken[1:])


if __name__ == "__main__":
    main()
