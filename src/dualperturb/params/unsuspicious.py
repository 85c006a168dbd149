"""The section `unsuspicious` of an evaluation: bounds, saliency models that guide and that judge."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, model_validator

from dualperturb.params.bounds import Bound
from dualperturb.params.fields import (
    Fraction,
    ImageCount,
    NonNegative,
    Section,
    are_distinct,
)
from dualperturb.params.masks import SaliencyParams
from dualperturb.params.refusals import wrong_key

CONTROL = "center"  # looks at no image: it scores every example as it scores the image


def _are_several(raw: object) -> object:
    if not isinstance(raw, list | tuple):
        raise ValueError(f"found {raw!r}; accepted: a list, or [] for none")
    return raw


Models = Annotated[tuple[SaliencyParams, ...], BeforeValidator(_are_several)]
Bounds = Annotated[tuple[Bound, ...], BeforeValidator(_are_several), AfterValidator(are_distinct)]


class Unsuspicious(Section):
    """What has to keep a foreground score, and who judges.

    n: test images, as in the other measures; salience_weight: of the paper's sum; bounds: on the score under
    masks.model, each held by an attack of its own, the first shown with its examples; guides: models that one
    further attack climbs, each held to the clean image's score and `reserve` above; judges: models that no
    attack climbs.
    """

    n: ImageCount
    salience_weight: NonNegative
    bounds: Bounds
    guides: Models
    reserve: Fraction
    judges: Models

    @model_validator(mode="after")
    def _models_differ(self) -> Unsuspicious:
        guiding, judging = ([model.name for model in models] for models in (self.guides, self.judges))
        for key, names in (("guides", guiding), ("judges", judging)):
            if CONTROL in names:
                raise wrong_key(key, f"found {CONTROL}, which looks at no image; accepted: other models")
            if len(set(names)) < len(names):
                raise wrong_key(key, f"found {', '.join(names)}; accepted: each model once")
        if both := [name for name in judging if name in guiding]:
            raise wrong_key("judges", f"found {both[0]}, which guides holds, too; accepted: other models")
        for model in self.guides:
            if not model.has_gradient:
                raise wrong_key("guides", f"found {model.name} without a gradient; accepted: with one")
        return self
