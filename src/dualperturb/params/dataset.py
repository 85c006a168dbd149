"""A data set's section in params.yaml: its images, masks, trainings and evaluation."""

from __future__ import annotations

from typing import Generic, TypeVar

from dualperturb.errors import UserError
from dualperturb.params.data import BinaryData, ImageData, PhotoData, Segment6Data, Shapes6Data
from dualperturb.params.evaluation import Evaluate
from dualperturb.params.fields import Scale, Section
from dualperturb.params.masks import Masks
from dualperturb.params.training import Train

# Pixels of photographs: SSIM has a window of 11, and the L2 start of AutoAttack's Square runs over the edge
# at some sides up to 24 (where side // (side // 5) is 6).
_SMALLEST_SIDE = 25
_NAMELESS = frozenset(("shapes6", "cifar10", "stl10"))  # drawn, or all images in one file

OwnData = TypeVar("OwnData", bound=ImageData)


class DataSet(Section, Generic[OwnData]):
    eps_scale: Scale
    data: OwnData
    masks: Masks
    train: Train
    evaluate: Evaluate

    def check(self, name: str) -> None:
        """Raise ValueError, in one line, for what a data set in use may not ask for."""
        known = self.data.most_test_images()
        if known is not None:
            self.check_test_images(name, known)
        side = getattr(self.data, "side", _SMALLEST_SIDE)
        if side < _SMALLEST_SIDE:
            raise ValueError(f"{name}.data.side: found {side}; accepted: at least {_SMALLEST_SIDE}")
        files = self.masks.files if self.masks.source == "files" else None
        if name in _NAMELESS and files is not None and files.match == "name":
            raise ValueError(
                f"{name}.masks.files.match: found name, but {name} has no file names; accepted: index"
            )
        source, center = self.masks.source, self.masks.model.name == "center"
        computed = source == "segmentation" or (source == "saliency" and not center)
        if self.train.smoothing_dual.mask == "given" and computed:
            raise ValueError(
                f"{name}.train.smoothing_dual.mask: found given, but masks.source is {source}: a "
                "perturbation moves such a mask, and no certificate holds; accepted: center"
            )
        model, judges = self.masks.model, self.evaluate.unsuspicious.judges
        for guide in self.evaluate.unsuspicious.guides:
            if guide.name == model.name and guide != model:
                raise ValueError(
                    f"{name}.evaluate.unsuspicious.guides: found {guide.name} with other options than "
                    "masks.model has; accepted: the same ones, or another model"
                )
        if self.masks.model.name in [model.name for model in judges]:
            raise ValueError(
                f"{name}.evaluate.unsuspicious.judges: found {self.masks.model.name}, which masks.model "
                "names and attacks climb; accepted: models that no attack climbs"
            )

    def check_test_images(self, name: str, count: int) -> None:
        """Raise UserError unless a test split of `count` images holds all that the evaluation asks for."""
        key, most = self.evaluate.largest_n()
        if most > count:
            raise UserError(f"{name}.evaluate.{key}: found {most}; accepted: up to {count}, the test images")
        for place, position in enumerate(self.evaluate.examples):
            if position >= count:
                raise UserError(
                    f"{name}.evaluate.examples[{place}]: found {position}; "
                    f"accepted: 0 to {count - 1}, the positions in the test split"
                )


class DataSets(Section):
    """A section per data set, under its name."""

    shapes6: DataSet[Shapes6Data]
    segment6: DataSet[Segment6Data]
    cifar10: DataSet[BinaryData]
    stl10: DataSet[BinaryData]
    imagenet10: DataSet[PhotoData]
    folder: DataSet[PhotoData]


DATASETS = tuple(DataSets.model_fields)
