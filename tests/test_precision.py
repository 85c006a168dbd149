"""What `auto` means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.common import parsed, parser
from dualperturb.core.devices.precision import exact_convolutions, mixed, resolved
from dualperturb.core.gradient_copy import gradient_copy_of
from dualperturb.errors import UserError
from stages import common

CPU = torch.device("cpu")


def test_a_named_precision_is_taken() -> None:
    assert [resolved(name, CPU) for name in ("fp32", "bf16")] == ["fp32", "bf16"]


@pytest.mark.parametrize(
    ("known", "chosen"),
    [
        ({"avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({"avx512_f": True}, "fp32"),
        ({}, "fp32"),
    ],
)
def test_auto_asks_the_processor(
    known: dict[str, bool], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert resolved("auto", CPU) == chosen


def test_auto_leaves_depthwise_convolutions_in_float32_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    depthwise, grouped, plain = (
        nn.Sequential(nn.Conv2d(4, 4, 3, groups=groups), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        for groups in (4, 2, 1)
    )
    assert resolved("auto", CPU, depthwise) == "fp32" and resolved("bf16", CPU, depthwise) == "bf16"
    assert resolved("auto", CPU, grouped) == resolved("auto", CPU, plain) == "bf16"
    sample = torch.zeros(1, 4, 8, 8)
    copies = [gradient_copy_of(model, name, sample) for model, name in ((depthwise, "auto"), (plain, "auto"))]
    assert [copied.precision for copied in copies if copied is not None] == ["fp32", "bf16"]
    assert gradient_copy_of(plain, "fp32", sample) is None


def test_auto_is_float32_where_the_processor_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert resolved("auto", CPU) == "fp32"


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match="precision: found 'half'; accepted: auto, fp32, bf16"):
        resolved("half", CPU)


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_products_are_computed_in_it(name: str, dtype: torch.dtype) -> None:
    with mixed(name, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


CUDNN: Any = torch.backends.cudnn


@pytest.fixture
def rounding() -> Iterator[None]:
    """torch's own default, whatever ran before."""
    before = CUDNN.allow_tf32
    CUDNN.allow_tf32 = True
    yield
    CUDNN.allow_tf32 = before


@pytest.mark.parametrize("choose", [common.device, lambda: parsed(parser(None), []).device])
def test_where_the_project_chooses_a_device_float32_is_float32(
    rounding: None, choose: Callable[[], torch.device]
) -> None:
    assert isinstance(choose(), torch.device)
    assert not CUDNN.allow_tf32


def test_a_library_gives_the_callers_own_setting_back(rounding: None) -> None:
    with pytest.raises(RuntimeError, match="^other$"), exact_convolutions():
        assert CUDNN.conv.fp32_precision == "ieee"
        raise RuntimeError("other")
    assert CUDNN.allow_tf32 and CUDNN.conv.fp32_precision == "tf32"


@pytest.mark.parametrize("own", ["tf32", "ieee"])
def test_settings_of_the_newer_kind_are_no_obstacle(rounding: None, own: str) -> None:
    CUDNN.rnn.fp32_precision = "tf32" if own == "ieee" else "ieee"
    CUDNN.conv.fp32_precision = own
    with exact_convolutions():
        assert CUDNN.conv.fp32_precision == "ieee"
    assert CUDNN.conv.fp32_precision == own
