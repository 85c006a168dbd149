"""A data set's section `masks` in params.yaml: where masks come from. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_serializer,
    model_validator,
)

from dualperturb.params.fields import (
    Count,
    CountOrAuto,
    Finite,
    Index,
    Positive,
    Section,
    Switch,
    Text,
    accepts,
    are_distinct,
    check_keys,
    is_inside,
)
from dualperturb.params.refusals import wrong_key
from dualperturb.text import nfc

# The options of each model. Named here, too, so that a mistake is found without importing torch.
OPTIONS: dict[str, tuple[str, ...]] = {
    "builtin": (),
    "center": (),
    "contrast": (),
    "frequency_tuned": (),
    "spectral_residual": (),
    "deepgaze": ("variant", "weights", "centre_bias", "side"),
    "onnx": ("file", "side", "mean", "std", "output", "scores", "gradient"),
}
REQUIRED = {"onnx": ("file",)}
NAMES = tuple(OPTIONS)  # a name in YAML may be a list, which a mapping cannot be asked for


# The categories of torchvision's segmentation weights, after the background.
VOC = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable"),
    *("dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


Colours = Annotated[
    Finite | tuple[Finite, Finite, Finite], accepts("a finite number, or three (red, green, blue)")
]
PositiveColours = Annotated[
    Positive | tuple[Positive, Positive, Positive],
    accepts("a finite number above 0, or three (red, green, blue)"),
]


def _are_categories(raw: object) -> object:
    if raw != "largest" and not (isinstance(raw, dict) and raw):
        raise ValueError(f"found {raw!r}; accepted: largest, or a mapping of class to VOC category")
    for name, category in raw.items() if isinstance(raw, dict) else ():
        if not isinstance(name, str) or category not in VOC:
            raise ValueError(f"found {name!r}: {category!r}; accepted categories: {', '.join(VOC)}")
    return {nfc(name): category for name, category in raw.items()} if isinstance(raw, dict) else raw


class SaliencyParams(BaseModel):
    """A saliency model: its name alone, or a mapping of `name` and options, each of which may be left out.

    variant: of DeepGaze. weights: "download" or a file. centre_bias: "uniform" or a .npy file. file: the ONNX
    file. side: pixels; DeepGaze enlarges smaller images to it, an ONNX model gets every image at that side.
    mean, std, output, scores and gradient: of an ONNX model, see OnnxSaliency.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    variant: Literal["IIE", "I"] = "IIE"
    weights: Text = "download"
    centre_bias: Text = "uniform"
    side: Count | None = None
    file: Text = ""
    mean: Colours = 0.0
    std: PositiveColours = 1.0
    output: Annotated[Index | Text, accepts("a name, or a number from 0")] = 0
    scores: Literal["map", "logits", "log_density"] = "map"
    gradient: Switch = False

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, raw: object) -> object:
        if isinstance(raw, cls):
            return raw
        given = raw if isinstance(raw, dict) else {"name": raw}
        name = given.get("name")
        if "name" in given and name not in NAMES:
            raise ValueError(f"found {name!r}; accepted: {', '.join(NAMES)}")
        check_keys(given, ("name", *OPTIONS.get(str(name), ())), ("name",))
        for key in REQUIRED.get(str(name), ()):
            if key not in given:
                raise wrong_key(key, f"missing key; model is {name}")
        return given

    @property
    def has_gradient(self) -> bool:
        """Whether attacks can climb it: an ONNX model does not have one by itself."""
        return self.name != "onnx" or self.gradient

    @property
    def options(self) -> dict[str, Any]:
        """The options that were given, as keyword arguments of the model's class."""
        given = {key: getattr(self, key) for key in sorted(self.model_fields_set - {"name"})}
        return {key: value for key, value in given.items() if value is not None}

    @model_serializer
    def _as_written(self) -> str | dict[str, Any]:
        return {"name": self.name, **self.options} if self.options else self.name


class SegmentationParams(Section):
    """Masks from a segmentation network of torchvision, with its weights for the 20 VOC categories.

    weights: "download" or a file; side: the shorter side in pixels at which images are segmented; classes:
    "largest" (the largest object of any category), or for each class of the data set its VOC category;
    fallback: the mask of an image without such an object, from the saliency model or a box in the middle.
    """

    network: Literal[
        "fcn_resnet50",
        "fcn_resnet101",
        "deeplabv3_resnet50",
        "deeplabv3_resnet101",
        "deeplabv3_mobilenet_v3_large",
        "lraspp_mobilenet_v3_large",
    ] = "deeplabv3_resnet50"
    weights: Text = "download"
    side: Count = 520
    classes: Annotated[Literal["largest"] | dict[str, str], BeforeValidator(_are_categories)] = "largest"
    fallback: Literal["saliency", "center"] = "saliency"


# Pixel values; of a palette its indices.
MaskLabels = Annotated[
    tuple[Annotated[int, Field(strict=True, ge=0, le=65535)], ...],
    AfterValidator(are_distinct),
    accepts("a list of whole numbers from 0 to 65535"),
]


class MaskFilesParams(Section):
    """`folder`: in the data set's raw folder, where DVC notices that a mask has changed.

    foreground, ignore: labels, where the files are label maps; without them a mask holds two values.
    """

    folder: Annotated[Text, AfterValidator(is_inside)]
    match: Literal["index", "name"]
    missing: Literal["refuse", "background", "foreground"]
    other_size: Literal["refuse", "resize"]
    foreground: MaskLabels = ()
    ignore: MaskLabels = ()

    @model_validator(mode="after")
    def _labels_differ(self) -> MaskFilesParams:
        if both := sorted({*self.foreground} & {*self.ignore}):
            raise wrong_key("ignore", f"found {both[0]}, which foreground holds, too; accepted: other labels")
        return self


class Masks(Section):
    """`files` and `segmentation` may be left out; each is read where `source` names it."""

    source: Literal["dataset", "saliency", "files", "segmentation"]
    model: SaliencyParams
    threshold: Literal["log", "density"]
    batch_size: CountOrAuto
    files: MaskFilesParams | None = None
    segmentation: SegmentationParams = SegmentationParams()

    @model_validator(mode="after")
    def _files_are_named(self) -> Masks:
        if self.source == "files" and self.files is None:
            raise wrong_key("files", "missing key; source is files")
        return self
