"""A picture of generated images above the real images that are nearest to them."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.utils import save_image

from rggan_mm.evaluation.compare import Source
from rggan_mm.files import written_whole

COLUMNS = 16


@torch.no_grad()
def nearest_images(
    reference: Source,
    generated: Source,
    extractor: nn.Module,
    device: torch.device | str = 'cpu',
    count: int = COLUMNS,
) -> tuple[Tensor, Tensor]:
    """The first generated images, and for each the real one at the smallest distance.

    Args:
        reference: Real images; one batch of them is held at a time.
        generated: Generated images.
        extractor: In whose feature space distances are measured.
        device: Where to compute. Default: ``'cpu'``.
        count: How many generated images, at most. Default: 16.

    Returns:
        Generated and real images in [0, 1], each (N, 3, H, W) on the CPU; real ones are
        resized to the generated ones' size.
    """
    extractor.to(device)
    samples = _first(generated, count)
    wanted = extractor(samples.to(device)).double()
    closest = torch.full((len(samples),), torch.inf, dtype=torch.float64, device=device)
    nearest = torch.zeros_like(samples)
    for images in reference.batches():
        found = torch.cdist(wanted, extractor(images.to(device)).double()).min(dim=1)
        closer = found.values < closest
        closest = torch.where(closer, found.values, closest)
        rows = closer.cpu()
        nearest[rows] = _resized(images[found.indices.cpu()[rows]].cpu(), samples.shape[-2:])
    return samples, nearest


def save_nearest(samples: Tensor, nearest: Tensor, path: Path) -> None:
    """Writes a picture of two rows: the generated images, below them the real ones."""
    with written_whole(path) as temporary:
        save_image(torch.cat([samples, nearest]), temporary, nrow=len(samples))


def _first(source: Source, count: int) -> Tensor:
    """The first images, as far as they have one size."""
    found: list[Tensor] = []
    for images in source.batches():
        if found and images.shape[1:] != found[0].shape:
            break
        found.extend(images.cpu())
        if len(found) >= count:
            break
    return torch.stack(found[:count])


def _resized(images: Tensor, size: torch.Size) -> Tensor:
    if images.shape[-2:] == size or not len(images):
        return images.reshape(-1, 3, *size)
    return F.interpolate(images, size, mode='bilinear', antialias=True)
