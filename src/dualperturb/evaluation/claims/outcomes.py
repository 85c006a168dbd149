"""Outcomes by image of one data set's attacks and gradients, looked up by classifier and attack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from dualperturb.evaluation.claims.lines import DEFENCES
from dualperturb.evaluation.claims.paired import Estimate
from dualperturb.evaluation.tables import LOSS

_KEYS = ("defence", "trained_norm", "attack", "norm", "axis", "value")
_WEIGHT = "salience_weight"  # the axis over which the losses are compared


@dataclass(frozen=True)
class Outcomes:
    """One data set's images, one row for each image, point and classifier.

    images: defence, attack, norm and the columns of every measure in `tables.IMAGE_COLUMNS`, empty where a
    measure has no such column. budgets: norm -> eps_f and eps_b at the paper's scale, those at which the
    sweeps over one of the two keep the other. A lookup gives the rows of the classifier trained with the norm
    `trained`, or with none; no rows where a point was not measured.
    """

    images: pd.DataFrame
    budgets: Mapping[str, tuple[float, float]]

    def pgd(self, defence: str, trained: str, norm: str, eps: float) -> pd.DataFrame:
        return self._at(defence, trained, "pgd", norm, "eps", eps)

    def carlini_wagner(self, defence: str, trained: str, eps: float) -> pd.DataFrame:
        """In L2, the only norm of that attack."""
        return self._at(defence, trained, "cw", "L2", "eps", eps)

    def jsma(self, defence: str, trained: str, share: float) -> pd.DataFrame:
        """With a share of the pixels."""
        return self._at(defence, trained, "jsma", "L0", "share", share)

    def gradients(self, defence: str, trained: str) -> pd.DataFrame:
        """Of the images that have a gradient, without attack."""
        return self._at(defence, trained, "none", "none", "gradient", 0.0)

    def dual(self, defence: str, trained: str, norm: str) -> pd.DataFrame:
        """At both budgets, from either sweep: the two cross there, and may both hold the point."""
        eps_f, eps_b = self.budgets_of(norm)
        found = self._at(defence, trained, "dual", norm, "eps_b", eps_b)
        return found if len(found) else self.dual_eps_f(defence, trained, norm, eps_f)

    def dual_eps_f(self, defence: str, trained: str, norm: str, eps_f: float) -> pd.DataFrame:
        """At another eps_f, and the whole eps_b."""
        return self._at(defence, trained, "dual", norm, "eps_f", eps_f)

    def weighted(self, defence: str, trained: str, norm: str, weight: float, loss: str) -> pd.DataFrame:
        return self._at(defence, trained, "dual", norm, _WEIGHT, weight, loss)

    def values(self, attack: str, norm: str, axis: str) -> list[float]:
        """The points of an attack's axis in a norm, from small to large."""
        return sorted({key[5] for key in self._points if key[2:5] == (attack, norm, axis)})

    def losses(self, norm: str) -> list[str]:
        """The losses with which the salience weight was swept in a norm, in order of appearance."""
        return list(dict.fromkeys(key[6] for key in self._points if key[3:5] == (norm, _WEIGHT)))

    def budgets_of(self, norm: str) -> tuple[float, float]:
        """Not a number for a norm that is not in use: nothing was measured there."""
        return self.budgets.get(norm, (np.nan, np.nan))

    @cached_property
    def _points(self) -> dict[Any, pd.DataFrame]:
        """(*_KEYS, loss) -> rows; to select them anew is slow."""
        loss = self.images[LOSS].where(self.images["axis"] == _WEIGHT, "")
        return dict(iter(self.images.groupby([*(self.images[name] for name in _KEYS), loss], sort=False)))

    def _at(
        self, defence: str, trained: str, attack: str, norm: str, axis: str, value: float, loss: str = ""
    ) -> pd.DataFrame:
        for one in (trained, "none"):
            if (found := self._points.get((defence, one, attack, norm, axis, value, loss))) is not None:
                return found.infer_objects()  # beside rows that lack a column, its type is lost
        return self.images.iloc[:0]


def further(images: pd.DataFrame) -> list[str]:
    """The defences beside the paper's that a table of images holds, in order of appearance."""
    return [str(name) for name in images["defence"].unique() if name not in DEFENCES]


def compared(
    first: pd.DataFrame,
    second: pd.DataFrame,
    compare: Callable[[np.ndarray, np.ndarray], Estimate | None],
    column: str = "correct",
) -> Estimate | None:
    """`compare` of a column of two lookups, image by image; None where they have no image in common, or too
    few to compare."""
    if first.empty or second.empty:
        return None
    both = first[["index", column]].merge(second[["index", column]], on="index", validate="one_to_one")
    if both.empty:
        return None
    return compare(both[f"{column}_x"].to_numpy(), both[f"{column}_y"].to_numpy())
