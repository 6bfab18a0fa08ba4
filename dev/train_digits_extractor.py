"""Train the feature extractor that rggan_mm ships for handwritten digits.

Deterministic on one machine and one version of PyTorch; takes a minute or two on one
core. After a change of the network put the printed SHA-256 and accuracy into
rggan_mm/evaluation/digits_net.py.
"""

import argparse
import hashlib
import io
import logging
import os
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import rggan_mm.plugin  # noqa: F401  before mmagic, which it repairs
from rggan_mm.datasets import Digits
from rggan_mm.evaluation.digits_net import WEIGHTS, DigitsNet

logger = logging.getLogger('train_digits_extractor')


def load_split(split: str, image_size: int) -> tuple[Tensor, Tensor]:
    """Images in [0, 1], shape (N, 3, S, S), and labels, shape (N,)."""
    data = Digits(split=split, image_size=image_size)
    items = [data.get_data_info(index) for index in range(len(data))]
    images = torch.stack([torch.from_numpy(item['gt']) for item in items])
    labels = torch.tensor([item['gt_label'] for item in items])
    return images.permute(0, 3, 1, 2).float() / 255, labels


def augment(images: Tensor) -> Tensor:
    """Turn, scale and shift a little, then change contrast and add noise."""
    count = images.size(0)
    angle = (torch.rand(count) - 0.5) * 0.4
    scale = 1 + (torch.rand(count) - 0.5) * 0.2
    shift = (torch.rand(count, 2, 1) - 0.5) * 0.3
    rows = [angle.cos(), -angle.sin(), angle.sin(), angle.cos()]
    turn = (torch.stack(rows, dim=1) * scale[:, None]).view(count, 2, 2)
    grid = F.affine_grid(torch.cat([turn, shift], dim=2), images.shape, align_corners=False)
    moved = F.grid_sample(images, grid, align_corners=False)
    contrast = 1 + (torch.rand(count, 1, 1, 1) - 0.5) * 0.4
    return (moved * contrast + torch.randn_like(images) * 0.05).clamp(0, 1)


def train(net: DigitsNet, epochs: int, batch_size: int = 64) -> None:
    """Train with cross-entropy on the train split, at 16x16."""
    images, labels = load_split('train', 16)
    steps = epochs * (len(images) // batch_size)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
    net.train()
    for epoch in range(epochs):
        for batch in torch.randperm(len(images)).split(batch_size)[: len(images) // batch_size]:
            scores = net.logits(augment(images[batch]))
            loss = F.cross_entropy(scores, labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        logger.info('epoch %d of %d: loss %.4f', epoch + 1, epochs, loss.item())


@torch.no_grad()
def fit_statistics(net: DigitsNet) -> None:
    """Give the feature norm the exact moments of the training images as they are."""
    images, _ = load_split('train', 16)
    net.eval()
    features = net.neck(net.body(images * 2 - 1))
    net.norm.running_mean.copy_(features.mean(dim=0))
    net.norm.running_var.copy_(features.var(dim=0))


@torch.no_grad()
def accuracy(net: DigitsNet, split: str, image_size: int) -> float:
    """Share of the split's images whose class is recognised."""
    images, labels = load_split(split, image_size)
    return (net.eval().logits(images).argmax(dim=1) == labels).float().mean().item()


def save_atomically(net: DigitsNet, path: Path) -> str:
    """Write the state dict whole or not at all; returns the file's SHA-256."""
    # Through memory: torch.save would put the file's name into the file.
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(buffer.getvalue())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def main(argv: list[str] | None = None) -> None:
    """Train, report and write the extractor."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=WEIGHTS, help='file to write')
    parser.add_argument('--epochs', type=int, default=40)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    torch.set_num_threads(1)  # the number of threads changes the order of sums
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    net = DigitsNet()
    train(net, args.epochs)
    fit_statistics(net)
    for size in (16, 32):
        logger.info('accuracy on test at %d: %.2f %%', size, 100 * accuracy(net, 'test', size))
    logger.info('%s: sha256 %s', args.out, save_atomically(net, args.out))


if __name__ == '__main__':
    main()
