"""What `auto` means."""

from __future__ import annotations

import pytest
import torch

from dualperturb.core.precision import mixed, resolved
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
