from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.errors import UserError
from dualperturb.evaluation.gradients import energy_summary, energy_table, gradient_arrays, gradient_picture
from dualperturb.evaluation.measuring.intervals import mean_interval
from dualperturb.evaluation.measuring.subject import Subject

MakeSubject = Callable[..., Subject]


class Linear(nn.Module):
    """Every logit is a multiple of weight . pixels, so that the gradient's direction is the weight's."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, images: Tensor) -> Tensor:
        score = (images * self.weight).sum((1, 2, 3))
        return torch.stack([score, -score, 2 * score], dim=1)


def weighing(make_subject: MakeSubject, weight: Tensor, indices: list[int] | None = None) -> Subject:
    return replace(make_subject(indices), model=Linear(weight))


def test_the_share_is_the_gradients_energy_inside_the_foreground(make_subject: MakeSubject) -> None:
    subject = make_subject([7, 3, 19])
    table = energy_table(subject, batch_size=2)
    assert table["index"].tolist() == [7, 3, 19]
    assert table["label"].tolist() == subject.data.labels[[7, 3, 19]].tolist()
    for row in table.to_dict("records"):
        pixels = torch.from_numpy(subject.data.images[[row["index"]]]).float().div(255).requires_grad_()
        loss = F.cross_entropy(subject.model(pixels), torch.tensor([row["label"]]))
        (gradient,) = torch.autograd.grad(loss, pixels)
        mask = subject.foreground[row["index"]]
        energy = gradient[0].double().numpy() ** 2
        assert row["share"] == pytest.approx((energy * mask).sum() / energy.sum(), rel=1e-4)
        assert row["foreground_fraction"] == mask.mean()
        assert row["enrichment"] == pytest.approx(row["share"] / mask.mean())
        assert not row["zero_gradient"]


def test_a_gradient_of_equal_size_everywhere_is_enriched_nowhere(make_subject: MakeSubject) -> None:
    table = energy_table(weighing(make_subject, torch.full((3, 8, 8), 0.01)), batch_size=7)
    assert np.allclose(table["share"], table["foreground_fraction"])
    assert np.allclose(table["enrichment"], 1)


def test_empty_and_full_foregrounds_can_gather_nothing(make_subject: MakeSubject) -> None:
    weight = torch.zeros(3, 8, 8)
    weight[:, 2, 3] = 1.0
    table = energy_table(weighing(make_subject, weight), batch_size=20).set_index("index")
    assert table.loc[1, ["share", "foreground_fraction", "enrichment"]].tolist() == [0, 0, 1]  # empty
    assert table.loc[2, ["share", "foreground_fraction", "enrichment"]].tolist() == [1, 1, 1]  # full
    assert set(table["share"]) == {0.0, 1.0}  # one pixel lies inside or outside


def test_a_zero_gradient_is_counted_apart(make_subject: MakeSubject) -> None:
    mixed = energy_table(weighing(make_subject, torch.full((3, 8, 8), 0.01)), batch_size=20)
    zero = energy_table(weighing(make_subject, torch.zeros(3, 8, 8)), batch_size=20)
    assert zero["zero_gradient"].all() and not mixed["zero_gradient"].any()
    assert not zero.isna().any(axis=None)
    assert (zero[["share", "enrichment"]] == 0).all(axis=None)
    both = energy_summary(pd.concat([mixed, zero]))
    assert (both["n"], both["zero_gradients"]) == (20, 20)
    assert {**both, "zero_gradients": 0} == energy_summary(mixed)
    nothing = energy_summary(zero)
    assert (nothing["n"], nothing["zero_gradients"]) == (0, 20)
    assert nothing["share"] is None and nothing["enrichment_high"] is None


def test_the_summary_holds_means_and_intervals(make_subject: MakeSubject) -> None:
    table = energy_table(make_subject(), batch_size=20)
    summary = energy_summary(table)
    for name in ("share", "foreground_fraction", "enrichment"):
        values = table[name].to_numpy()
        assert summary[name] == values.mean()
        assert (summary[f"{name}_low"], summary[f"{name}_high"]) == mean_interval(values)


@pytest.mark.parametrize("size", [1e-30, 1e-10, 1.0])
def test_a_tiny_gradient_has_a_share_and_a_picture(make_subject: MakeSubject, size: float) -> None:
    weight = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5
    tiny = weighing(make_subject, weight * size, [0, 1, 3])
    reference = weighing(make_subject, weight * 1e-4, [0, 1, 3])
    shares = energy_table(tiny, 3)["share"]
    assert not energy_table(tiny, 3)["zero_gradient"].any()
    assert np.allclose(shares, energy_table(reference, 3)["share"], rtol=1e-3)
    assert gradient_arrays({"tiny": tiny})["gradients"].std() > 0.1


def test_a_gradient_that_is_not_finite_is_refused(make_subject: MakeSubject) -> None:
    weight = torch.ones(3, 8, 8)
    weight[0, 0, 0] = torch.nan
    with pytest.raises(UserError, match="^gradients: that of test image 4 is not finite"):
        energy_table(weighing(make_subject, weight, [4, 5]), batch_size=2)


def test_a_picture_spans_three_deviations_about_the_mean() -> None:
    gradients = np.random.default_rng(0).normal(5e-3, 2e-3, (2, 3, 16, 16))
    gradients[0, 0, 0, 0], gradients[0, 0, 0, 1] = 1.0, -1.0  # beyond three deviations
    gradients[1] *= 1e-6  # of its own scale
    pictures = gradient_picture(gradients.astype(np.float32))
    assert pictures.dtype == np.float32 and pictures.min() == 0 and pictures.max() == 1
    assert (pictures[0, 0, 0, 0], pictures[0, 0, 0, 1]) == (1, 0)
    for picture, gradient in zip(pictures, gradients, strict=True):
        low, high = gradient.mean() - 3 * gradient.std(), gradient.mean() + 3 * gradient.std()
        assert np.allclose(picture, (gradient.clip(low, high) - low) / (high - low), atol=1e-5)


def test_the_picture_of_no_gradient_is_grey() -> None:
    assert (gradient_picture(np.zeros((1, 3, 4, 4), dtype=np.float32)) == 0.5).all()


def test_the_figures_arrays(make_subject: MakeSubject) -> None:
    subject = make_subject([4, 17])
    flat = replace(subject, model=Linear(torch.zeros(3, 8, 8)))
    arrays = gradient_arrays({"clean": subject, "at_pgd/L2": flat})
    assert {name: array.shape for name, array in arrays.items()} == {
        **{"indices": (2,), "labels": (2,), "class_names": (3,), "classifiers": (2,)},
        **{"original": (2, 3, 8, 8), "foreground": (2, 1, 8, 8), "gradients": (2, 2, 3, 8, 8)},
        **dict.fromkeys(("share", "enrichment", "zero_gradient"), (2, 2)),
    }
    assert arrays["classifiers"].tolist() == ["clean", "at_pgd/L2"]
    assert arrays["zero_gradient"].tolist() == [[False, False], [True, True]]
    assert np.allclose(arrays["share"][0], energy_table(subject, 20)["share"])
    assert (arrays["gradients"][1] == 0.5).all()


def test_other_images_are_refused(make_subject: MakeSubject) -> None:
    with pytest.raises(UserError, match="^gradients: other has other test images"):
        gradient_arrays({"one": make_subject([4, 17]), "other": make_subject([4, 16])})
