"""Masks and log densities of one data set: data/masks/DATASET, their summary reports/masks/DATASET.json."""

from __future__ import annotations

from dualperturb.files import replacing, write_json
from dualperturb.images import SPLITS, load_split
from dualperturb.progress import counting
from stages.common import MASK_SUMMARIES, MASKS, PREPARED, device, params, run, saliency, timed


def main(dataset: str) -> None:
    from dualperturb.masks import write_masks

    chosen = params(dataset)
    chosen.check_test_images(dataset, len(load_split(PREPARED / dataset, "test")))
    settings = chosen.masks[dataset]
    model, summary = saliency(settings.model), {}
    with timed(dataset, "masks"), replacing(MASKS / dataset) as folder:
        for split in SPLITS:
            with counting(f"{dataset} {split} masks") as progress:
                summary[split] = write_masks(
                    folder,
                    split,
                    load_split(PREPARED / dataset, split),
                    model,
                    bring_own=settings.source == "dataset",
                    threshold=settings.threshold,
                    batch_size=settings.batch_size,
                    device=device(),
                    progress=progress,
                )
    write_json(
        MASK_SUMMARIES / f"{dataset}.json", {"source": settings.source, "model": settings.model, **summary}
    )


if __name__ == "__main__":
    run(main)
