"""A data set's section `evaluate` in params.yaml: how strongly each measure attacks, on how many images."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from dualperturb.params.fields import (
    Count,
    CountOrAuto,
    Indices,
    Level,
    Part,
    Section,
    Share,
    Values,
    accepts,
    by_norm,
    wrong_key,
)


class Grid(Section):
    eps_f: Values
    eps_b: Values
    eps: Values

    @model_validator(mode="after")
    def _clean_accuracy_measured(self) -> Grid:
        if 0 not in self.eps:
            raise wrong_key(
                "eps", f"found {list(self.eps)}; accepted: 0 among them, where accuracy is the clean one"
            )
        if max(len(self.eps), len(self.eps_f), len(self.eps_b)) < 2:
            raise wrong_key(
                "eps",
                f"found {list(self.eps)}; accepted: two budgets here, in eps_f or in eps_b, which the health "
                "checks compare",
            )
        return self


ImageCount = Annotated[int, Field(strict=True, ge=1), accepts("panels, or a whole number of at least 1")]
PANELS = "panels"


class Images(Section):
    """n: test images, of those that the panels use; `panels` in params.yaml: as many as they do."""

    n: ImageCount


class Jsma(Images):
    share: Part
    pixels_per_step: Count
    points: Count


class Strong(Images):
    """steps: of PGD, of APGD in Dual-AutoAttack and of C&W; library_n: images for other libraries' attacks.

    square_queries: of AutoAttack's last part, 5000 in its standard version.
    """

    steps: Count
    step_size: Share
    library_n: ImageCount
    square_queries: Count


class Smoothing(Images):
    """As in `evaluation.smoothing`: n0 and samples of a certificate, draws of the attack's expectation."""

    n0: Count
    samples: Count
    alpha: Level
    batch_size: Count
    draws: Count
    radii: Values

    @model_validator(mode="after")
    def _not_all_abstained_on(self) -> Smoothing:
        fewest = math.ceil(1 - math.log2(self.alpha))  # as in `evaluation.smoothing.Sampling`
        if self.samples < fewest:
            raise wrong_key(
                "samples",
                f"found {self.samples}; accepted: at least {fewest}: with fewer at alpha {self.alpha:g} "
                "every image is abstained on",
            )
        return self


class Evaluate(Section):
    n: Count
    batch_size: CountOrAuto
    steps: Count
    step_size: Share
    restarts: Count
    loss: Literal["cross_entropy", "margin", "dlr"]
    salience_every: Count
    grid: Annotated[dict[str, Grid], BeforeValidator(by_norm)]
    salience_weights: Values
    examples: Indices
    transfer: Images
    jsma: Jsma
    strong: Strong
    smoothing: Smoothing
    health: Images

    @model_validator(mode="before")
    @classmethod
    def _as_many_as_the_panels(cls, raw: object) -> object:
        if not isinstance(raw, dict):
            return raw
        return {
            name: {key: raw.get("n") if value == PANELS else value for key, value in section.items()}
            if isinstance(section, dict)
            else section
            for name, section in raw.items()
        }

    def largest_n(self) -> tuple[str, int]:
        """The key, and the number, of the measure that asks for most test images."""
        asked = {"n": self.n, "strong.library_n": self.strong.library_n}
        for name in ("transfer", "jsma", "strong", "smoothing", "health"):
            asked[f"{name}.n"] = getattr(self, name).n
        return max(asked.items(), key=lambda item: item[1])
