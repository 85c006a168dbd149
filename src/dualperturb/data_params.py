"""The section `data` of params.yaml: how much of each data set is prepared, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, model_validator

from dualperturb.accepted import Count, CountOrAll, Fraction, Section, are_names, wrong_key


class Shapes6Data(Section):
    train: Count
    test: Count
    background_match: Fraction


class PhotoData(Section):
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


class Segment6Data(Section):
    train_per_class: CountOrAll
    test_per_class: CountOrAll


class Stl10Data(Section):
    train: CountOrAll
    test: CountOrAll


class Data(Section):
    shapes6: Shapes6Data
    segment6: Segment6Data
    stl10: Stl10Data
    imagenet10: PhotoData
    folder: PhotoData
