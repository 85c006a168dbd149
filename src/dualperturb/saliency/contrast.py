"""Centre-surround contrast: where intensity or colour differ from those of the surroundings.

Itti, Koch and Niebur, "A model of saliency-based visual attention for rapid scene analysis", IEEE PAMI, 1998:
differences across scales of intensity and of two pairs of opponent colours. Its orientations and the
competition between maps are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dualperturb.saliency.maps import MapSaliency, blurred, length

CENTRES = (1 / 64, 1 / 32, 1 / 16)  # sigmas of the centre, shares of the shorter side
SURROUND = 4.0  # the surround's sigma over the centre's
# Intensity, red against green, blue against yellow.
OPPONENT = ((1 / 3, 1 / 3, 1 / 3), (1.0, -1.0, 0.0), (-0.5, -0.5, 1.0))


class ContrastSaliency(MapSaliency):
    """The sum over three scales of the difference between centre and surround."""

    def salience(self, images: Tensor) -> Tensor:
        opponent = torch.tensor(OPPONENT, dtype=images.dtype, device=images.device)
        colours = (opponent @ images.flatten(2)).reshape(images.shape)
        side = min(images.shape[2:])
        pairs = [(blurred(colours, c * side), blurred(colours, SURROUND * c * side)) for c in CENTRES]
        return torch.stack([length(centre - surround) for centre, surround in pairs]).sum(0)
