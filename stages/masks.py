"""Masks and log densities of one data set: data/masks/DATASET; summary and sheet in reports/masks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dualperturb.core.images import SPLITS, ImageSet, load_foreground, load_names, load_split
from dualperturb.datasets.reading.linked import refuse_linked_folders
from dualperturb.errors import UserError
from dualperturb.files import replacing, write_json
from dualperturb.masks.files import MaskFiles, find_masks
from dualperturb.params.masks import Masks
from dualperturb.progress import counting
from stages.common import MASK_SUMMARIES, MASKS, PREPARED, RAW, device, params, run, saliency, timed

if TYPE_CHECKING:
    from torch import Tensor

    from dualperturb.masks.splits import OwnMasks
    from dualperturb.saliency import SaliencyModel
    from dualperturb.saliency.segmentation import SegmentedMasks

WORDS = ("download", "uniform")  # accepted in place of the path of a file


def main(dataset: str) -> None:
    from dualperturb.masks.splits import write_masks

    chosen = params(dataset)
    chosen.of(dataset).check_test_images(dataset, len(load_split(PREPARED / dataset, "test")))
    settings = chosen.of(dataset).masks
    refuse_linked_folders(RAW / dataset, dataset)
    splits = {split: load_split(PREPARED / dataset, split) for split in SPLITS}
    warn_of_unseen_files(dataset, settings)
    # Models are built once and freed with the process, which ends with the stage.
    model, summary = saliency(settings.model), {}
    own = own_masks(dataset, splits, settings, model)
    with timed(dataset, "masks"), replacing(MASKS / dataset) as folder:
        for split, data in splits.items():
            with counting(f"{dataset} {split} masks") as progress:
                summary[split] = write_masks(
                    folder,
                    split,
                    data,
                    model,
                    own=own[split],
                    threshold=settings.threshold,
                    batch_size=settings.batch_size,
                    device=device(),
                    progress=progress,
                )
            summary[split] |= counted(dataset, split, own[split])
            print(share_line(dataset, split, summary[split]))
    write_sheet(dataset, splits["test"])
    write_json(
        MASK_SUMMARIES / f"{dataset}.json",
        {"source": settings.source, "model": settings.model.name, **summary},
    )


def share_line(dataset: str, split: str, summary: Mapping[str, Any]) -> str:
    """The line by which a reader notices masks that are inverted or of the wrong label."""
    return (
        f"{dataset} {split}: the foreground is {summary['foreground_fraction_mean']:.1%} of the pixels; "
        f"{summary['empty']} masks empty, {summary['full']} full"
    )


def write_sheet(dataset: str, data: ImageSet) -> None:
    """Some test images with the outlines of their masks: reports/masks/DATASET.png."""
    from dualperturb.masks.summary import mask_sheet

    with replacing(MASK_SUMMARIES / f"{dataset}.png") as temporary:
        mask_sheet(data, load_foreground(MASKS / dataset, "test")).save(temporary, format="PNG")


def warn_of_unseen_files(dataset: str, settings: Masks) -> None:
    """Name the files of a model outside the data set's raw folder: DVC does not notice when they change."""
    model = settings.model
    named = [model.file, *(name for name in (model.weights, model.centre_bias) if name not in WORDS)]
    if settings.source == "segmentation" and settings.segmentation.weights not in WORDS:
        named.append(settings.segmentation.weights)
    watched = Path(os.path.abspath(RAW / dataset))
    for name in filter(None, named):
        if not Path(os.path.abspath(name)).is_relative_to(watched):
            print(
                f"{dataset}: DVC does not notice when {name} changes: keep it in {RAW / dataset}, or run "
                f"dvc repro -f masks@{dataset} after a change"
            )


def own_masks(
    dataset: str, splits: Mapping[str, ImageSet], settings: Masks, model: SaliencyModel
) -> dict[str, OwnMasks | None]:
    """The masks that `DATASET.masks.source` names, or None where the saliency model's are computed."""
    if settings.source == "saliency":
        return dict.fromkeys(splits)
    if settings.source == "segmentation":
        return {**segmented_masks(dataset, splits, settings, model)}
    if settings.source == "dataset":
        return {split: brought_masks(dataset, data) for split, data in splits.items()}
    assert settings.files is not None
    folder = RAW / dataset / settings.files.folder
    return {
        split: find_masks(
            folder, split, load_names(PREPARED / dataset, split), len(data), data.side, settings.files
        )
        for split, data in splits.items()
    }


def brought_masks(dataset: str, data: ImageSet) -> OwnMasks:
    if data.foreground is None:
        raise UserError(
            f"{dataset}.masks.source: found dataset, but this data set brings no masks; accepted: "
            "saliency, files or segmentation"
        )
    return data.foreground


def segmented_masks(
    dataset: str, splits: Mapping[str, ImageSet], settings: Masks, model: SaliencyModel
) -> dict[str, SegmentedMasks]:
    from dualperturb.saliency import foreground_mask
    from dualperturb.saliency import segmentation as by

    chosen, key = settings.segmentation, f"{dataset}.masks.segmentation"
    wanted = {split: by.wanted_categories(data, chosen, key) for split, data in splits.items()}
    network = by.segmentation_network(chosen).to(device())

    def salient(images: Tensor) -> Tensor:
        return foreground_mask(model(images), settings.threshold)

    fallback = by.middle_box if chosen.fallback == "center" else salient
    return {
        split: by.SegmentedMasks(data, network, wanted[split], chosen.side, fallback, device())
        for split, data in splits.items()
    }


def counted(dataset: str, split: str, own: OwnMasks | None) -> dict[str, Any]:
    """Prints and returns what went wrong with masks that no saliency model made.

    From files: how many are missing and how many files belong to no image; from a segmentation network: the
    images in which it found no such object.
    """
    missed = sorted(getattr(own, "not_found", ()))
    if missed:
        print(f"{dataset} {split}: no object found in {len(missed)} images, which got the fallback")
    if hasattr(own, "not_found"):
        return {"not_found": len(missed), "not_found_first": missed[:20]}
    if not isinstance(own, MaskFiles):
        return {}
    if own.missing or own.unused:
        print(f"{dataset} {split}: {own.missing} masks missing and filled, {own.unused} files of no image")
    return {"missing": own.missing, "unused": own.unused}


if __name__ == "__main__":
    run(main)
