"""A data set's section `evaluate` in params.yaml: how strongly each measure attacks, on how many images."""

from __future__ import annotations

import math
from statistics import NormalDist  # importing scipy.stats would take a second
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from dualperturb.params.bounds import BoundOrNone
from dualperturb.params.fields import (
    Count,
    CountByNorm,
    CountOrAuto,
    ImageCount,
    Indices,
    Level,
    NonNegative,
    Section,
    Share,
    Shares,
    Values,
    by_norm,
)
from dualperturb.params.refusals import wrong_key
from dualperturb.params.unsuspicious import Unsuspicious


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


PANELS = "panels"


class Images(Section):
    """n: test images, of those that the panels use; `panels` in params.yaml: as many as they do."""

    n: ImageCount


class Jsma(Images):
    """shares: of the pixels, the curve's points beside 0; the largest is the attack's budget."""

    shares: Shares
    pixels_per_step: Count


class CarliniWagner(Images):
    """searches: for the attack's constant, each of so many steps."""

    steps: Count
    searches: Count


class Strong(Images):
    """steps: of PGD and of APGD in Dual-AutoAttack; library_n: images for AutoAttack.

    square_queries: of AutoAttack's last part, 5000 in its standard version.
    """

    steps: Count
    step_size: Share
    library_n: ImageCount
    square_queries: Count
    cw: CarliniWagner


class Smoothing(Images):
    """As in `evaluation.smoothing`: n0 and samples of a certificate, draws of the attack's expectation.

    prediction_samples: of a prediction under attack; radii: of certificates, pixels in [0, 1]; eps_f, eps_b:
    of those for two budgets, in L2 at the paper's scale.
    """

    n0: Count
    samples: Count
    prediction_samples: Count
    alpha: Level
    batch_size: Count
    draws: Count
    radii: Values
    eps_f: NonNegative
    eps_b: Values

    @model_validator(mode="after")
    def _not_all_abstained_on(self) -> Smoothing:
        fewest = math.ceil(1 - math.log2(self.alpha))  # as in `evaluation.smoothing.Sampling`
        for key in ("samples", "prediction_samples"):
            if getattr(self, key) < fewest:
                raise wrong_key(
                    key,
                    f"found {getattr(self, key)}; accepted: at least {fewest}: with fewer at alpha "
                    f"{self.alpha:g} every image is abstained on",
                )
        return self

    def largest_radius(self, sigma: float) -> float:
        """sigma * Phi^-1(alpha^(1/samples)): if all copies agree, no more can be certified."""
        return sigma * NormalDist().inv_cdf(self.alpha ** (1 / self.samples))

    def certifiable(self, sigma: float) -> tuple[float, ...]:
        """The radii up to the largest; above it certified accuracy is 0 whatever the classifier."""
        return tuple(radius for radius in self.radii if radius <= self.largest_radius(sigma))


def _filled(section: dict[str, Any], panels: object) -> dict[str, Any]:
    """The section with the number of images of the panels wherever it says `panels`."""
    return {
        key: _filled(value, panels) if isinstance(value, dict) else panels if value == PANELS else value
        for key, value in section.items()
    }


class Evaluate(Section):
    n: Count
    batch_size: CountOrAuto
    steps: CountByNorm
    step_size: Share
    restarts: Count
    loss: Literal["cross_entropy", "margin", "dlr"]
    salience_every: Count
    min_foreground_score: BoundOrNone
    grid: Annotated[dict[str, Grid], BeforeValidator(by_norm)]
    salience_weights: Values
    examples: Indices
    transfer: Images
    jsma: Jsma
    strong: Strong
    smoothing: Smoothing
    unsuspicious: Unsuspicious
    health: Images

    @model_validator(mode="before")
    @classmethod
    def _as_many_as_the_panels(cls, raw: object) -> object:
        if not isinstance(raw, dict):
            return raw
        return {
            name: _filled(section, raw.get("n")) if isinstance(section, dict) else section
            for name, section in raw.items()
        }

    def largest_n(self) -> tuple[str, int]:
        """The key, and the number, of the measure that asks for most test images."""
        asked = {"n": self.n, "strong.library_n": self.strong.library_n, "strong.cw.n": self.strong.cw.n}
        for name in ("transfer", "jsma", "strong", "smoothing", "unsuspicious", "health"):
            asked[f"{name}.n"] = getattr(self, name).n
        return max(asked.items(), key=lambda item: item[1])
