"""What a large run would take, by arithmetic: the formulas of docs/scale.md.

No figure here is measured on a GPU. The throughput of one GPU, its price and the link between GPUs are
inputs; the network's own numbers are counted on tensors that hold no data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dualperturb.core.classifiers.networks import build_network
from dualperturb.params import load_params

FLOAT = 4  # bytes
ATTACK_BUFFERS = 4  # image-sized, beside the gradient's own pass
PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"
SWEPT = ("clean", "at_pgd", "at_dual")  # the defences of Fig. 4
PANELS = ("eps", "eps_f", "eps_b")
Row = tuple[str, float, str]


@dataclass(frozen=True)
class Network:
    """parameters, buffer_bytes (BatchNorm's); the rest for one image: activation_bytes, kept in fp32 from the
    forward pass for the backward pass; forward, training, attack: FLOPs of a forward pass, of a forward and a
    backward pass to the weights, of a forward and a backward pass to the image alone."""

    parameters: int
    buffer_bytes: int
    activation_bytes: float
    forward: float
    training: float
    attack: float


@dataclass(frozen=True)
class Run:
    """images_per_second: the forward and backward passes that one GPU makes in training, T.

    price_per_hour: of one GPU; link: what one GPU sends, GB/s; batch_size: of one GPU; evaluation_steps: of a
    point of Fig. 4.
    """

    images_per_second: float
    price_per_hour: float
    gpus: int
    images: int = 1_281_167
    test_images: int = 50_000
    side: int = 224
    epochs: int = 20
    steps: int = 50
    batch_size: int = 64
    link: float = 25.0
    evaluation_steps: int = 100


@dataclass(frozen=True)
class Panels:
    """Of Fig. 4, both norms: points for one classifier, those at which an attack runs, and classifiers."""

    points: int
    attacked: int
    classifiers: int


def count_network(architecture: str, classes: int, side: int) -> Network:
    """Count on the meta device, two images at once (BatchNorm wants two)."""
    with torch.device("meta"):
        model, images = build_network(architecture, classes), torch.empty(2, 3, side, side)
        labels = torch.zeros(2, dtype=torch.int64)
    own = {value.untyped_storage()._cdata for value in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return value

    with (
        FlopCounterMode(display=False) as training,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value),
    ):
        loss = F.cross_entropy(model.train()(images), labels)
        forward = training.get_total_flops()
        loss.backward()
    model.eval().requires_grad_(False)
    images.requires_grad_(True)
    with FlopCounterMode(display=False) as attack:
        F.cross_entropy(model(images), labels).backward()
    return Network(
        sum(value.numel() for value in model.parameters()),
        sum(value.nbytes for value in model.buffers()),
        sum(storage.nbytes() for storage in kept.values()) / 2,
        forward / 2,
        training.get_total_flops() / 2,
        attack.get_total_flops() / 2,
    )


def count_panels(dataset: str = "imagenet10") -> Panels:
    """As params.yaml has them."""
    settings = load_params(PARAMS)
    values = [
        (axis, value)
        for norm in settings.norms
        for axis in PANELS
        for value in getattr(settings.grid(dataset, norm), axis)
    ]
    # Of the three axes only eps has no second budget: at 0 nothing is left to attack with.
    attacked = sum(axis != "eps" or value > 0 for axis, value in values)
    return Panels(len(values), attacked, sum(len(settings.trained(defence)) for defence in SWEPT))


def estimate(run: Run, network: Network, panels: Panels) -> list[Row]:
    """Rows (what, value, unit), in the order of the page."""
    return [*_data(run), *_training(run, network), *_memory(run, network), *_evaluation(run, panels)]


def _data(run: Run) -> list[Row]:
    pixels = run.images * run.side**2
    return [
        ("images, uint8", 3 * pixels / 1e9, "GB"),
        ("masks, a byte a pixel", pixels / 1e9, "GB"),
        ("masks, a bit a pixel", pixels / 8e9, "GB"),
        ("log densities, float16", 2 * pixels / 1e9, "GB"),
        ("read in an epoch", 4 * pixels / 1e9, "GB"),
    ]


def _training(run: Run, network: Network) -> list[Row]:
    """The all-reduce is a ring's, and is added as if nothing of it went on behind the backward pass."""
    updates = math.ceil(run.images / (run.gpus * run.batch_size))
    sent = 2 * (run.gpus - 1) / run.gpus * FLOAT * network.parameters
    exchange = sent / (run.link * 1e9)
    update = run.batch_size * (run.steps + 1) / run.images_per_second + exchange
    share = network.attack / network.training
    least = run.batch_size * (run.steps * share + 1) / run.images_per_second + exchange
    hours, fewest = (run.epochs * updates * seconds / 3600 for seconds in (update, least))
    needed = run.batch_size / update
    plain = run.batch_size / run.images_per_second + exchange
    return [
        ("updates an epoch", updates, ""),
        ("an update", update, "s"),
        ("gradients a GPU sends an update", sent / 1e6, "MB"),
        ("their share of an update", 100 * exchange / update, "%"),
        ("their share in plain training", 100 * exchange / plain, "%"),
        ("images a GPU takes from the loader", needed, "images/s"),
        ("bytes all GPUs take, with masks", run.gpus * needed * 4 * run.side**2 / 1e6, "MB/s"),
        ("training", hours, "h"),
        ("training, all GPUs", hours * run.gpus, "GPU h"),
        ("training, price", hours * run.gpus * run.price_per_hour, "USD"),
        ("training, were time FLOPs", fewest, "h"),
    ]


def _memory(run: Run, network: Network) -> list[Row]:
    weights = FLOAT * network.parameters
    image = FLOAT * 3 * run.side**2
    state = 3 * weights + network.buffer_bytes  # weights, gradients, momentum
    activations = run.batch_size * network.activation_bytes
    buffers = ATTACK_BUFFERS * run.batch_size * image
    return [
        ("weights, gradients, momentum", state / 1e9, "GB"),
        ("activations of a batch, fp32", activations / 1e9, "GB"),
        ("the attack's buffers", buffers / 1e9, "GB"),
        ("memory a GPU", (state + activations + buffers) / 1e9, "GB"),
        ("checkpoint", (2 * weights + network.buffer_bytes) / 1e6, "MB"),
    ]


def _evaluation(run: Run, panels: Panels) -> list[Row]:
    """Every image at every point: an upper bound, since only images that still stand are attacked."""
    passes = panels.attacked * panels.classifiers * run.evaluation_steps
    hours = run.test_images * passes / run.images_per_second / 3600
    return [
        ("Fig. 4, points of the sweep", panels.points * panels.classifiers, ""),
        (
            "Fig. 4, rows of the images' tables",
            run.test_images * panels.points * panels.classifiers / 1e6,
            "M",
        ),
        ("Fig. 4, at most", hours / run.gpus, "h"),
        ("Fig. 4, all GPUs", hours, "GPU h"),
        ("Fig. 4, price", hours * run.price_per_hour, "USD"),
    ]
