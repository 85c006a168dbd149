"""What `auto` means."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dualperturb.core.precision import mixed, resolved
from dualperturb.core.twin import twin_of
from dualperturb.errors import UserError

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
    depthwise, grouped, plain = (nn.Sequential(nn.Conv2d(4, 4, 3, groups=groups)) for groups in (4, 2, 1))
    assert resolved("auto", CPU, depthwise) == "fp32" and resolved("bf16", CPU, depthwise) == "bf16"
    assert resolved("auto", CPU, grouped) == resolved("auto", CPU, plain) == "bf16"
    sample = torch.zeros(1, 4, 8, 8)
    twins = [twin_of(model, name, sample) for model, name in ((depthwise, "auto"), (plain, "auto"))]
    assert [twin.precision for twin in twins if twin is not None] == ["fp32", "bf16"]
    assert twin_of(plain, "fp32", sample) is None


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
