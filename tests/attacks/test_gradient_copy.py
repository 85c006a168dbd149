"""The copy in bfloat16 that gradients are taken of, and attacks and training that use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dualperturb import L2, pgd
from dualperturb.attacks.adversary import PgdAdversary
from dualperturb.core.classifiers.storage import ClassifierSpec, build_classifier
from dualperturb.core.devices.precision import compiles
from dualperturb.core.gradient_copy import GradientCopy, gradient_copy_of
from dualperturb.core.objectives import Objective
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError

CLOSE = 0.03  # relative to the largest logit: bfloat16 keeps 8 bits


@pytest.fixture
def images() -> Tensor:
    return torch.rand((6, 3, 32, 32), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> Iterator[nn.Module]:
    """A small ResNet whose BatchNorm is far from doing nothing."""
    made = build_classifier(ClassifierSpec("small_resnet", ("a", "b", "c")), seed=1)
    unsettle(made)
    yield made.eval()


def unsettle(model: nn.Module) -> None:
    source = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in ((module.running_var, 0.5), (module.weight, 0.5), (module.bias, -0.5)):
                values.data.uniform_(low, low + 1, generator=source)


def far(found: Tensor, wanted: Tensor) -> float:
    return float(((found - wanted).abs().max() / wanted.abs().max()).detach())


def test_folding_removes_every_batchnorm_and_keeps_the_logits(model: nn.Module, images: Tensor) -> None:
    copied = GradientCopy(model, images)
    norms = [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert sorted(norm for _, norm in copied._pairs) == sorted(norms)
    logits = copied(images)
    assert logits.dtype == torch.float32
    assert 0 < far(logits, model(images)) < CLOSE


def test_the_gradient_points_where_the_models_does(model: nn.Module, images: Tensor) -> None:
    ways = []
    for function in (model, GradientCopy(model, images)):
        pixels = images.clone().requires_grad_(True)
        (way,) = torch.autograd.grad(function(pixels).logsumexp(dim=1).sum(), pixels)
        ways.append(way.flatten(1))
    assert (torch.cosine_similarity(*ways) > 0.98).all()


def test_refresh_takes_weights_and_statistics(model: nn.Module, images: Tensor) -> None:
    copied = GradientCopy(model, images)
    for parameter in model.parameters():
        parameter.data.mul_(1.1)
    unsettle(model)
    model.network.stem[1].running_mean.add_(0.5)
    assert far(copied(images), model(images)) > CLOSE
    copied.refresh()
    assert far(copied(images), model(images)) < CLOSE


def test_the_model_is_left_as_it_is(model: nn.Module, images: Tensor) -> None:
    before = {name: values.clone() for name, values in model.state_dict().items()}
    copied = GradientCopy(model, images)
    copied(images.requires_grad_(True)).sum().backward()
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())


class Untraceable(nn.Module):
    """Its path depends on its input's values."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images) if images.mean() < 2 else self.inner(-images)


class Misleading(Untraceable):
    """Can be traced, to something else: what is traced is no tensor."""

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images) if isinstance(images, Tensor) else self.inner(images * 0)


@pytest.mark.parametrize("wrapper", [Untraceable, Misleading])
def test_a_network_that_cannot_be_folded_is_copied(
    model: nn.Module, images: Tensor, wrapper: type[nn.Module]
) -> None:
    wrapped = wrapper(model).eval()
    copied = GradientCopy(wrapped, images)
    assert not copied._pairs
    assert far(copied(images), model(images)) < CLOSE


def test_a_convolution_used_twice_or_read_before_its_batchnorm_is_not_folded(images: Tensor) -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, images: Tensor) -> Tensor:
            first = self.conv(images)
            return (self.norm(first) + first).mean(dim=(2, 3))

    model = Shared().eval()
    unsettle(model)
    copied = GradientCopy(model, images)
    assert not copied._pairs
    assert far(copied(images), model(images)) < CLOSE


def test_the_copy_is_compared_in_float32(
    model: nn.Module, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    cudnn: Any = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "allow_tf32", True)
    found: list[str] = []
    model.register_forward_pre_hook(lambda *_: found.append(cudnn.conv.fp32_precision))
    assert GradientCopy(model, images)._pairs
    assert found == ["ieee"] and cudnn.allow_tf32


def test_there_is_a_copy_for_bf16_alone(model: nn.Module, images: Tensor) -> None:
    assert gradient_copy_of(model, "fp32", images) is None
    assert gradient_copy_of(model, "bf16", images) is not None
    assert gradient_copy_of(model, "bf16", images[:0]) is None


def test_success_is_the_models_own_word(model: nn.Module, images: Tensor) -> None:
    labels = model(images).argmax(dim=1)
    found = pgd(model, images, labels, L2(0.5), steps=5, step_size=0.3, precision="bf16")
    assert torch.equal(found.success, model(found.images).argmax(dim=1) != labels)
    exact = pgd(model, images, labels, L2(0.5), steps=5, step_size=0.3)
    assert not torch.equal(found.images, exact.images), "bfloat16 must have been used"
    assert found.images.dtype == torch.float32


def test_an_image_that_fools_the_copy_alone_still_stands(model: nn.Module, images: Tensor) -> None:
    labels = model(images).argmax(dim=1)
    labels[1::2] += 1  # every second image is one that the model gets wrong
    logits = torch.eye(9)[[8] * len(images)]  # and the copy gets all of them wrong
    objective = Objective(model, labels, climbed=lambda _: logits)
    among = torch.arange(len(images)) < 4
    assert objective.fooled(images, logits, among).tolist() == [1, 3]


def test_an_unknown_precision_is_refused(model: nn.Module, images: Tensor) -> None:
    with pytest.raises(UserError, match="precision: found 'fp8'; accepted: auto, fp32, bf16"):
        pgd(model, images, torch.zeros(6, dtype=torch.int64), L2(0.5), steps=1, step_size=1, precision="fp8")


def test_trainings_adversary_follows_the_weights(model: nn.Module, images: Tensor) -> None:
    adversary = PgdAdversary(ThreatModel("L2", 0.5), 3, 0.5, precision="bf16")
    labels = torch.zeros(6, dtype=torch.int64)
    mask = torch.ones((6, 1, 32, 32), dtype=torch.bool)

    def attacked(by: PgdAdversary) -> Tensor:
        return by(model, images, labels, mask, list(range(6)), 1.0)

    first = attacked(adversary)
    unsettle(model)
    for parameter in model.parameters():
        parameter.data.mul_(-1.3)
    anew = PgdAdversary(ThreatModel("L2", 0.5), 3, 0.5, precision="bf16")
    assert torch.equal(attacked(adversary), attacked(anew))
    assert not torch.equal(attacked(adversary), first)


def test_in_float32_the_copy_is_the_model_up_to_rounding(model: nn.Module, images: Tensor) -> None:
    copied = GradientCopy(model, images, "fp32")
    assert copied._pairs and not copied.training
    assert far(copied(images), model(images)) < 1e-5


@pytest.fixture
def traced_only(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """torch.compile as it is, but without generating code, which takes minutes; counts its calls."""
    calls: list[int] = []
    original = torch.compile

    def counted(model: nn.Module, dynamic: bool) -> Any:
        calls.append(1)
        return original(model, backend="aot_eager", dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", counted)
    monkeypatch.setattr("dualperturb.core.devices.precision.COMPILED_ON", ("cpu",))
    return calls


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_compiled_attacks_alike_and_follows_the_weights(
    model: nn.Module, images: Tensor, traced_only: list[int], precision: str
) -> None:
    labels, mask = torch.arange(6) % 3, torch.ones((6, 1, 32, 32), dtype=torch.bool)
    threat = ThreatModel("L2", 0.5)
    compiled = PgdAdversary(threat, 2, 0.5, precision=precision, compile="auto")
    for _ in range(2):
        plain = PgdAdversary(threat, 2, 0.5, precision=precision, compile="off")
        found, expected = (by(model, images, labels, mask, list(range(6)), 1.0) for by in (compiled, plain))
        assert far(found, expected) < (1e-4 if precision == "fp32" else 1e-2) and far(found, images) > 0.01
        for parameter in model.parameters():
            parameter.data.mul_(-1.3)
    assert traced_only == [1]


def test_where_compiling_fails_one_line_says_so(
    model: nn.Module, images: Tensor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(model: nn.Module, dynamic: bool) -> Any:
        def run(images: Tensor) -> Tensor:
            raise RuntimeError("no compiler\nfound here")

        return run

    copied = GradientCopy(model, images, "fp32")
    before = copied(images)
    monkeypatch.setattr(torch, "compile", broken)
    copied.compile_for(images)
    assert torch.equal(copied(images), before)
    assert capsys.readouterr().out == (
        "torch.compile failed (no compiler found here); attacks go on without it\n"
    )


class Watched:
    """In place of torch.compile: the same passes, which it counts; above `room` images memory runs out."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried: list[int] = []
        self.ran: list[int] = []

    def __call__(self, model: nn.Module, dynamic: bool) -> Any:
        assert not dynamic

        def run(images: Tensor) -> Any:
            self.tried.append(len(images))
            if len(images) > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory")
            self.ran.append(len(images))
            return model(images)

        return run


def test_one_shape_alone_is_compiled_for(
    model: nn.Module, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(6)
    monkeypatch.setattr(torch, "compile", watched)
    copied = GradientCopy(model, images, "fp32")
    copied.compile_for(images)
    for shape in (images, images[:5], images[:, :, :16, :16], images):
        assert far(copied(shape), model(shape)) < 1e-5
    assert watched.tried == [6, 6, 6]


def test_a_batch_that_does_not_fit_is_compiled_for_in_halves(
    model: nn.Module, images: Tensor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = Watched(3)
    monkeypatch.setattr(torch, "compile", watched)
    monkeypatch.setattr("dualperturb.core.devices.precision.COMPILED_ON", ("cpu",))
    labels, mask = torch.arange(6) % 3, torch.ones((6, 1, 32, 32), dtype=torch.bool)
    adversary = PgdAdversary(ThreatModel("L2", 0.5), 2, 0.5, compile="auto")
    for _ in range(2):
        assert adversary(model, images, labels, mask, list(range(6)), 1.0).shape == images.shape
    assert watched.tried[0] == 6 and watched.ran == [3] * (1 + 2 * 2 * 2)
    assert capsys.readouterr().out == "out of memory with a batch of 6 images; going on with 3\n"


def test_what_compile_means() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert compiles("auto", gpu) and not compiles("auto", cpu) and not compiles("off", gpu)
    with pytest.raises(UserError, match="^compile: found 'on'; accepted: auto, off$"):
        compiles("on", cpu)


def test_a_network_that_wants_another_number_of_images_is_climbed_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Pair(nn.Module):
        """As a traced network with its batch size written into it."""

        def forward(self, pixels: Tensor) -> Tensor:
            return pixels.reshape(2, -1)[:, :3].clone()

    assert gradient_copy_of(Pair().eval(), "bf16", torch.rand(1, 3, 5, 5)) is None
    assert capsys.readouterr().out.count("the classifier's copy failed") == 1
