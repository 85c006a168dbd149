"""A data set's section `data` in params.yaml: how much of it is prepared, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, model_validator

from dualperturb.params.fields import (
    Count,
    CountOrAll,
    Fraction,
    Section,
    Several,
    SeveralOrAll,
    are_names,
)
from dualperturb.params.refusals import wrong_key

_SEGMENT6_CLASSES = 6


class ImageData(Section):
    """What all data sets' sections `data` have in common."""

    def most_test_images(self) -> int | None:
        """The most images that the test split can hold; None where only the files can tell."""
        return None


class Shapes6Data(ImageData):
    train: Several
    test: Count
    background_match: Fraction

    def most_test_images(self) -> int:
        return self.test


class PhotoData(ImageData):
    """`classes`: folder name to shown name, in the order of the labels."""

    classes: Annotated[Literal["all"] | dict[str, str], BeforeValidator(are_names)]
    resize: Count
    side: Count
    train_per_class: CountOrAll
    test_per_class: CountOrAll
    unreadable: Literal["refuse", "skip"]

    @model_validator(mode="after")
    def _crop_fits(self) -> PhotoData:
        if self.side > self.resize:
            raise wrong_key("side", f"found {self.side}; accepted: up to resize, which is {self.resize}")
        return self

    def most_test_images(self) -> int | None:
        if self.test_per_class == "all" or self.classes == "all":
            return None
        return self.test_per_class * len(self.classes)


class Segment6Data(ImageData):
    train_per_class: CountOrAll
    test_per_class: CountOrAll

    def most_test_images(self) -> int | None:
        return None if self.test_per_class == "all" else self.test_per_class * _SEGMENT6_CLASSES


class BinaryData(ImageData):
    """The first so many images of the published files."""

    train: SeveralOrAll
    test: CountOrAll

    def most_test_images(self) -> int | None:
        return None if self.test == "all" else self.test
