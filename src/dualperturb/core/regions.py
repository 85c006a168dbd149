"""Building blocks of the balls in `norms`: sizes and lengths per region, and random numbers per image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Seeds = Sequence[int]
Regions = tuple[Tensor, ...]  # ones and zeros (N, 1, H, W), which sum to one at every pixel; () for the image
Radii = Sequence[float | Tensor]  # one per region

NO_LENGTH = 1e-30  # in place of a length of zero, in a denominator
STEEPEST = 1e38  # in place of an infinite gradient: the next power of two still fits in float32
SQUARED_SAFELY = 1e-15  # above this L2 norm, values whose squares vanish in float32 do not matter


def l2_norm(delta: Tensor) -> Tensor:
    """(N, ...) -> (N,), summed in at least float32."""
    wide = torch.promote_types(delta.dtype, torch.float32)
    return torch.linalg.vector_norm(delta.flatten(1), dim=1, dtype=wide)


def l1_norm(delta: Tensor) -> Tensor:
    """(N, ...) -> (N,), summed in at least float32."""
    wide = torch.promote_types(delta.dtype, torch.float32)
    return torch.linalg.vector_norm(delta.flatten(1), ord=1, dim=1, dtype=wide)


def linf_norm(delta: Tensor) -> Tensor:
    """(N, ...) -> (N,)."""
    return delta.flatten(1).abs().amax(dim=1).to(torch.promote_types(delta.dtype, torch.float32))


def regions_of(foreground: Tensor, values: Tensor) -> Regions:
    """Foreground and background of a mask, bool (N, 1, H, W), as numbers of the values' type, because
    multiplying by bools or choosing by them is slow."""
    region = ones_and_zeros(foreground, values.dtype)
    return region, 1 - region


def ones_and_zeros(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A bool mask as numbers. It is first viewed as bytes, because a CPU converts bools one by one."""
    return mask.view(torch.uint8).to(dtype)


def l2_lengths(values: Tensor, regions: Regions) -> list[Tensor]:
    """The L2 norm in each region, (N, 1, 1, 1)."""
    if not regions:
        return [_column(l2_norm(values))]
    # Summed over the channels first: much faster on a CPU than a norm along a dimension of three.
    wide = values.to(torch.promote_types(values.dtype, torch.float32))
    squares = wide.square().sum(dim=1, keepdim=True)
    return [_column((squares * region).flatten(1).sum(dim=1).sqrt()) for region in regions]


def l1_lengths(values: Tensor, regions: Regions) -> list[Tensor]:
    """The L1 norm in each region, (N, 1, 1, 1)."""
    return [_column(l1_norm(values * region)) for region in regions or (1,)]


def l2_measured(values: Tensor, regions: Regions) -> tuple[Tensor, list[Tensor]]:
    """Values of float32 or wider and their L2 norms in each region, (N, 1, 1, 1), up to a factor per region.

    The factors are 1 if no squares overflow or vanish, as those of small gradients would in float32, and
    otherwise powers of two, which round nothing. Finding out would mean waiting for a GPU, so there they are
    always powers of two.
    """
    if not values.is_cuda:
        norms = l2_lengths(values, regions)
        if all(norm.min() > SQUARED_SAFELY and norm.max() < torch.inf for norm in norms):
            return values, norms
    # NaN gives no direction. It would make pixels NaN, and any answer to those would count as a success.
    values = values.nan_to_num(0.0, STEEPEST, -STEEPEST)
    scaled = values / spread(_powers_of_two(values, regions), regions)
    return scaled, l2_lengths(scaled, regions)


def _powers_of_two(values: Tensor, regions: Regions) -> list[Tensor]:
    """For each region the power of two above its largest absolute value, (N, 1, 1, 1); 1 if that is zero."""
    sizes = values.abs().amax(dim=1, keepdim=True)
    largest = [(sizes * region).flatten(1).amax(dim=1) for region in regions or (1,)]
    return [_column(torch.ldexp(torch.ones_like(most), torch.frexp(most).exponent)) for most in largest]


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def dimensions(values: Tensor, regions: Regions) -> list[Tensor]:
    """The number of values in each region, float64 (N, 1, 1, 1); 1 for an empty one, as it is a divisor."""
    if not regions:
        size = values.shape[1:].numel()
        return [torch.full((len(values), 1, 1, 1), size, dtype=torch.float64, device=values.device)]
    pixels = (region.flatten(1).sum(dim=1, dtype=torch.float64) for region in regions)
    return [_column(values.shape[1] * count).clamp_min(1) for count in pixels]


def filled(sizes: Tensor, room: Tensor, length: float | Tensor) -> Tensor:
    """Shares of `length`, (N, ...): the largest of `sizes` come first, and each gets as much as its room."""
    order = sizes.flatten(1).argsort(dim=1, descending=True, stable=True)
    rooms = room.flatten(1).gather(1, order)
    before = rooms.cumsum(dim=1, dtype=torch.float64) - rooms
    handed = (length - before).clamp_min(0).minimum(rooms)
    return torch.zeros_like(handed).scatter_(1, order, handed).view_as(sizes)


def lowered(sizes: Tensor, room: Tensor, radius: float | Tensor, margin: float) -> Tensor:
    """The nearest sizes that lie between 0 and their room and whose sum is at most the radius.

    sizes: (N, ...); the result is float64 (N, values). A sum above the radius becomes radius * (1 - margin).

    All values are lowered by the same amount and then cut to 0 and to their room. As a function of that
    amount the sum is piecewise linear: its slope changes where a value begins to fall and where one reaches 0
    (Croce & Hein 2021, Proposition 2.1).
    """
    sizes, room, aim = sizes.flatten(1).double(), room.flatten(1).double(), radius * (1 - margin)
    ends = torch.cat((sizes, (sizes - room).clamp_min(0)), dim=1)
    places, order = ends.sort(dim=1, descending=True)
    turns = torch.where(order < sizes.shape[1], 1.0, -1.0).double()
    slope, reached = turns.cumsum(dim=1), (turns * places).cumsum(dim=1)
    last = ((reached - places * slope < aim).sum(dim=1, keepdim=True) - 1).clamp_min(0)
    lower = (reached.gather(1, last) - aim) / slope.gather(1, last)
    left = (sizes - lower).clamp_min(0).minimum(room)
    left = left * (aim / left.sum(dim=1, keepdim=True).clamp_min(NO_LENGTH)).clamp_max(1)
    inside = sizes.minimum(room)
    return torch.where(inside.sum(dim=1, keepdim=True) > radius, left, inside)


def spread(values: Radii, regions: Regions) -> float | Tensor:
    """Each region's value at its pixels, exactly."""
    if not regions:
        return values[0]
    inside, outside = (value * region for value, region in zip(values, regions, strict=True))
    return inside + outside


def random_rows(fill: Callable[..., Tensor], images: Tensor, seeds: Seeds) -> Tensor:
    """Random numbers shaped like `images`, on their device, each image's from a stream of its own."""
    assert len(seeds) == len(images), "one seed per image"
    generator = torch.Generator(images.device)
    noise = torch.empty(images.shape, device=images.device, dtype=torch.float32)
    for row, seed in zip(noise, seeds, strict=True):
        fill(row, generator=generator.manual_seed(seed % 2**63))
    return noise.to(images.dtype)


def round_down(radius: float, dtype: torch.dtype) -> float:
    """The largest number of `dtype` that is not above `radius`, to float32's own precision."""
    if dtype in (torch.float32, torch.float64):
        return radius
    rounded = torch.tensor(radius, dtype=dtype)
    if float(rounded) > radius:
        rounded = torch.nextafter(rounded, torch.zeros_like(rounded))
    return float(rounded)
