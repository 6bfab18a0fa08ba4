"""Images by seed, of a checkpoint or of an exported file: one seed is one image in all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rggan_mm.analysis.calling import Images
from rggan_mm.analysis.model_building import build_model
from rggan_mm.commands.configs import read_config
from rggan_mm.errors import ConfigError
from rggan_mm.training.checkpoint_loading import load_anywhere

from .loading import Trained, choose_network, networks_of
from .metadata import SHRUNK
from .packed import SHAPES
from .shrunk import load_shrunk
from .weight_files import needed, read

NOISE, LABEL = 'noise', 'label'


class Generator(NamedTuple):
    """What makes images of noise.

    Attributes:
        latents: Numbers in a latent.
        conditional: Whether it takes a label, too.
        make: From noise and label (None without) to images in [-1, 1].
        channel_order: 'RGB' or 'BGR'; None where nothing says it.
    """

    latents: int
    conditional: bool
    make: Callable[[Tensor, Tensor | None], Tensor]
    channel_order: str | None

    def image(self, seed: int, label: int | None = None) -> Tensor:
        """Makes the image of a seed, (C, H, W) in [-1, 1], in the generator's channel order.

        Raises:
            ConfigError: A label is missing, or nothing takes it.
        """
        if self.conditional != (label is not None):
            wrong = 'must be given: the generator makes images of classes'
            raise ConfigError(
                f'--label {wrong}' if self.conditional else f'--label {label}: nothing takes it'
            )
        noise = torch.randn(1, self.latents, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # of noise that the network draws itself
            return self.make(noise, None if label is None else torch.tensor([label]))[0]


def open_generator(
    file: Path,
    config: str | None = None,
    changes: Mapping[str, Any] | None = None,
    network: str | None = None,
) -> Generator:
    """Reads a generator from a checkpoint or an exported file; no code in it runs.

    Args:
        file: A checkpoint, or what ``rggan_mm export`` wrote.
        config: The config that it was trained with. An .onnx file needs none. Default: None.
        changes: Changes to the config. Default: None.
        network: Its name. Default: the one that the file names, else the averaged generator.

    Raises:
        ConfigError: No such file, a damaged one, no config, another one, or a network that
            makes no images of noise.
    """
    if not file.is_file():
        folder = file.is_dir()
        wrong = 'it is a folder; name a file in it' if folder else 'there is no such file'
        raise ConfigError(f'{file}: {wrong}')
    if file.suffix.lower() == '.onnx':
        return _from_onnx(file)
    if config is None:
        raise ConfigError(f'{file}: give --config, the config that it was trained with')
    return _from_weights(file, config, changes, network)


def _from_onnx(file: Path) -> Generator:
    runtime = needed('onnxruntime', f'{file}')
    try:
        session = runtime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    except Exception as error:  # classes of its own
        raise ConfigError(f'{file} cannot be read: {str(error).splitlines()[0]}') from error
    shapes = {entry.name: entry.shape for entry in session.get_inputs()}
    if NOISE not in shapes:
        raise ConfigError(f'{file} makes no images of noise; it takes {", ".join(shapes)}')

    def make(noise: Tensor, label: Tensor | None) -> Tensor:
        given = {NOISE: noise.numpy()} | ({} if label is None else {LABEL: label.numpy()})
        return torch.from_numpy(session.run(None, given)[0])

    order = session.get_modelmeta().custom_metadata_map.get('channel_order')
    return Generator(shapes[NOISE][1], LABEL in shapes, make, order)


def _from_weights(
    file: Path, config: str, changes: Mapping[str, Any] | None, name: str | None
) -> Generator:
    state, metadata = _read(file)
    growth: dict[str, Any] = {}
    if 'state_dict' in state:
        trained = Trained(config, file, changes, dense=True)
        name, model, growth = trained.choose(name), trained.model, trained.growth()
    else:
        model = build_model(read_config(config, changes)).eval()
        networks = networks_of(model)
        named = metadata.get('network')
        name = choose_network(networks, name or (named if named in networks else None))
        whole = any(key.partition('.')[0] in dict(model.named_children()) for key in state)
        load = load_shrunk if metadata.get(SHRUNK) else nn.Module.load_state_dict
        _load(file, model if whole else networks[name], state, load)
    images = Images(networks_of(model)[name], growth)
    if images.names[0] != NOISE:
        raise ConfigError(f'{name} makes no images of noise')
    order = getattr(model.data_preprocessor, 'output_channel_order', None)
    return Generator(images.latents, LABEL in images.names, images, order)


def _read(file: Path) -> tuple[dict[str, Any], Mapping[str, str]]:
    """What is in a file of weights, and its metadata."""
    if file.suffix.lower() in ('.pth', '.pt'):
        return load_anywhere(str(file), 'cpu'), {}
    safetensors = needed('safetensors', f'{file}')
    try:
        with safetensors.safe_open(str(file), framework='pt') as opened:
            metadata = opened.metadata() or {}
        return read(file, 'packed' if SHAPES in metadata else 'safetensors'), metadata
    except (safetensors.SafetensorError, ValueError) as error:
        raise ConfigError(f'{file} cannot be read: {error}') from error


def _load(file: Path, network: nn.Module, state: Mapping[str, Tensor], load: Callable) -> None:
    try:
        load(network, state)
    except RuntimeError as error:
        first = [line.strip() for line in str(error).splitlines()][1]
        raise ConfigError(
            f'{file} does not fit the config: {first} give the config that it was trained with'
        ) from None
