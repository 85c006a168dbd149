from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dualperturb.core.images import ImageSet, load_foreground, load_split, write_meta, write_split
from dualperturb.errors import UserError
from dualperturb.masks import splits as masks
from dualperturb.masks.splits import write_masks
from dualperturb.masks.summary import mask_sheet, summarise
from dualperturb.saliency import foreground_mask, foreground_score
from dualperturb.saliency.builtin import BuiltinSaliency

SIDE, COUNT = 16, 7


def image_set() -> ImageSet:
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 3, SIDE, SIDE), dtype=np.uint8)
    return ImageSet(images, np.zeros(COUNT, dtype=np.int64), ("a",))


def constant(images: Tensor) -> Tensor:
    """No pixel stands out: a uniform density."""
    return torch.full(images[:, 0].shape, -float(np.log(SIDE * SIDE)))


def write(folder: Path, data: ImageSet, saliency: Any, **changes: Any) -> dict[str, Any]:
    arguments = {"own": None, "threshold": "log", "batch_size": 3, **changes}
    defaults = {"device": torch.device("cpu"), "progress": lambda *_: None}
    return write_masks(folder, "test", data, saliency, **{**defaults, **arguments})


def densities(folder: Path) -> np.ndarray:
    loaded: np.ndarray = np.load(folder / "test.log_density.npy", allow_pickle=False)
    return loaded


def test_masks_and_densities_are_the_models(tmp_path: Path) -> None:
    data, saliency = image_set(), BuiltinSaliency()
    summary = write(tmp_path, data, saliency)
    log_density = saliency(torch.from_numpy(data.images).float() / 255)
    expected = foreground_mask(log_density)
    masks = load_foreground(tmp_path, "test")
    assert masks.dtype == np.bool_ and np.array_equal(masks, expected.numpy())
    assert np.allclose(densities(tmp_path), log_density.numpy(), atol=0.01)
    shares = expected.numpy().mean(axis=(1, 2, 3))
    scores = foreground_score(log_density, expected).numpy()
    assert summary == {
        **{"count": COUNT, "empty": 0, "empty_first": [], "full": 0, "full_first": []},
        "foreground_fraction_mean": pytest.approx(shares.mean(), abs=1e-4),
        "foreground_fraction_min": pytest.approx(shares.min(), abs=1e-4),
        "foreground_fraction_max": pytest.approx(shares.max(), abs=1e-4),
        "foreground_fraction_percentiles": {
            f"{percentile:02d}": pytest.approx(np.percentile(shares, percentile), abs=1e-4)
            for percentile in (5, 25, 50, 75, 95)
        },
        "clean_foreground_score_mean": pytest.approx(scores.mean(), abs=1e-4),
    }


def test_the_model_is_shown_pixels_from_zero_to_one(tmp_path: Path) -> None:
    data, shown = image_set(), []
    model = BuiltinSaliency()
    model.register_forward_pre_hook(lambda _, given: shown.append(given[0].clone()))
    write(tmp_path, data, model)
    assert torch.equal(torch.cat(shown), torch.from_numpy(data.images).float() / 255)


def test_the_other_threshold_is_on_the_density_itself(tmp_path: Path) -> None:
    data, saliency = image_set(), BuiltinSaliency()
    write(tmp_path, data, saliency, threshold="density")
    log_density = saliency(torch.from_numpy(data.images).float() / 255)
    masks = load_foreground(tmp_path, "test")
    assert np.array_equal(masks, foreground_mask(log_density, "density").numpy())
    assert not np.array_equal(masks, foreground_mask(log_density, "log").numpy())


def test_densities_of_half_precision_still_sum_to_one(tmp_path: Path) -> None:
    write(tmp_path, image_set(), BuiltinSaliency())
    stored = densities(tmp_path)
    assert stored.dtype == np.float16 and stored.shape == (COUNT, SIDE, SIDE)
    assert np.exp(stored.astype(np.float64)).sum(axis=(1, 2)) == pytest.approx(np.ones(COUNT), abs=2e-3)


@pytest.mark.parametrize("threshold", ["log", "density"])
def test_a_constant_density_gives_empty_masks_which_are_counted(tmp_path: Path, threshold: str) -> None:
    summary = write(tmp_path, image_set(), constant, threshold=threshold)
    assert not load_foreground(tmp_path, "test").any()
    assert (summary["empty"], summary["full"], summary["count"]) == (COUNT, 0, COUNT)
    assert summary["foreground_fraction_max"] == summary["clean_foreground_score_mean"] == 0


@pytest.mark.parametrize("kind", ["density", "scores", "nan"])
def test_a_map_that_is_no_log_density_is_refused(tmp_path: Path, kind: str) -> None:
    def model(images: Tensor) -> Tensor:
        log_density = constant(images)
        return {"density": log_density.exp(), "scores": log_density + 1, "nan": log_density * np.nan}[kind]

    with pytest.raises(UserError, match=r"^saliency model: found a map that sums to .* after exp; accepted"):
        write(tmp_path, image_set(), model)


def test_masks_of_ones_own_are_used_as_they_are(tmp_path: Path) -> None:
    own = np.random.default_rng(1).random((COUNT, 1, SIDE, SIDE)) < 0.3
    own[2], own[4], own[5] = True, False, True
    summary = write(tmp_path, image_set(), constant, own=own)
    assert np.array_equal(load_foreground(tmp_path, "test"), own)
    assert (summary["empty"], summary["full"]) == (1, 2)
    assert (summary["empty_first"], summary["full_first"]) == ([4], [2, 5])
    assert summary["foreground_fraction_min"] == 0 and summary["foreground_fraction_max"] == 1
    # Under a uniform density a foreground's score is its share of the image.
    assert summary["clean_foreground_score_mean"] == pytest.approx(own.mean(), abs=1e-4)
    assert np.allclose(densities(tmp_path), -np.log(SIDE * SIDE), atol=0.01)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_model_runs_in_half_precision_on_a_gpu_only(tmp_path: Path, device: str) -> None:
    if not getattr(torch, device).is_available():
        pytest.skip("no GPU")
    seen: list[torch.dtype] = []

    def model(images: Tensor) -> Tensor:
        product = images @ images.transpose(2, 3)
        seen.append(product.dtype)
        return product.mean(1).flatten(1).log_softmax(1).reshape(images[:, 0].shape)

    write(tmp_path, image_set(), model, device=torch.device(device))
    assert set(seen) == {torch.float16 if device == "cuda" else torch.float32}
    assert densities(tmp_path).dtype == np.float16


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_masks_do_not_depend_on_the_batch_size(tmp_path: Path, batch_size: int) -> None:
    write(tmp_path / "three", image_set(), BuiltinSaliency())
    write(tmp_path / "other", image_set(), BuiltinSaliency(), batch_size=batch_size)
    three, other = (load_foreground(tmp_path / name, "test") for name in ("three", "other"))
    assert (three != other).mean() < 1e-3
    assert np.allclose(densities(tmp_path / "three"), densities(tmp_path / "other"), atol=0.01)


@pytest.mark.parametrize("where", ["model", "file"])
def test_a_batch_that_waits_is_kept_when_memory_runs_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    model, write_rows, calls = BuiltinSaliency(), masks._Rows.write, []

    def counted(caller: str) -> None:
        calls.append(caller)
        if caller == where and calls.count(caller) == 2:
            raise MemoryError

    def saliency(images: Tensor) -> Any:
        counted("model")
        return model(images)

    def rows(*given: Any) -> None:
        counted("file")
        write_rows(*given)

    expected = write(tmp_path / "expected", image_set(), model, batch_size=2)
    monkeypatch.setattr(masks._Rows, "write", rows)
    assert write(tmp_path / "found", image_set(), saliency, batch_size=2) == expected
    assert calls.count("model") > 4
    for file in (tmp_path / "expected").iterdir():
        assert (tmp_path / "found" / file.name).read_bytes() == file.read_bytes()


def test_of_many_empty_masks_the_first_twenty_are_named() -> None:
    fractions = np.zeros(50)
    fractions[3] = 0.25
    summary = summarise(fractions, np.zeros(50))
    assert summary["empty"] == 49 and summary["empty_first"] == [0, 1, 2, *range(4, 21)]
    assert json.loads(json.dumps(summary)) == summary


def test_the_sheet_outlines_the_masks_that_were_made() -> None:
    own, made = (np.zeros((COUNT, 1, SIDE, SIDE), dtype=np.bool_) for _ in range(2))
    own[:, :, :3, :3] = made[:, :, 8:12, 8:12] = True
    data = dataclasses.replace(image_set(), images=np.zeros_like(image_set().images), foreground=own)
    sheet = np.array(mask_sheet(data, made))
    rows, columns = np.nonzero((sheet == (255, 0, 255)).all(axis=2))
    tile = 112 // SIDE  # pixels of the sheet a pixel of an image; the first tile begins at (4, 150)
    first = columns < 150 + 112
    assert (rows.min(), rows.max()) == (4 + 8 * tile, 4 + 12 * tile - 1)
    assert (columns[first].min(), columns[first].max()) == (150 + 8 * tile, 150 + 12 * tile - 1)
    assert np.array_equal(sheet, np.array(mask_sheet(data, made)))


def test_progress_counts_up_to_all_images(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write(tmp_path, image_set(), constant, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 7), (6, 7), (7, 7)]


def test_a_prepared_folder_open_for_reading_brings_no_warning(tmp_path: Path) -> None:
    source = image_set()
    rows = [(image, 0, np.ones((1, SIDE, SIDE), dtype=np.bool_)) for image in source.images]
    entry = write_split(tmp_path, "test", SIDE, rows)
    write_meta(tmp_path, class_names=["a"], splits={"test": entry})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load_split(tmp_path, "test")
        write(tmp_path / "masks", data, constant, own=data.foreground)
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("content", [None, b"", b"no array"])
def test_absent_or_damaged_masks_are_one_line(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "test.foreground.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"test\.foreground\.npy: cannot be read .*compute the masks first"):
        load_foreground(tmp_path, "test")
