"""A config and a checkpoint as they were evaluated: weights, thresholds or masks, and phase."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseDataPreprocessor
from torch import nn

from rggan_mm.analysis.calling import image_size
from rggan_mm.analysis.model_building import build_model, hook_of, quiet
from rggan_mm.commands.configs import read_config
from rggan_mm.errors import ConfigError
from rggan_mm.hooks import DynamicPruningHook, RegenerationHook
from rggan_mm.hooks.discovery import (
    averaged_module,
    children_of,
    refuse_unknown,
    sparse_networks,
)
from rggan_mm.hooks.inference import attach_as_saved, tensors_of_rules
from rggan_mm.pruning import SparseNetwork
from rggan_mm.training.checkpoint_loading import load_anywhere

_GENERATORS = ('generator_ema', 'generators_ema', 'generator', 'generators')


def networks_of(model: nn.Module) -> dict[str, nn.Module]:
    """A model's networks by name, without wrappers; those in a dict also one by one."""
    found = {}
    for name, child in children_of(model).items():
        if isinstance(child, BaseDataPreprocessor) or not list(child.parameters()):
            continue
        found[name] = averaged_module(child)
        if isinstance(found[name], nn.ModuleDict):
            found |= {f'{name}.{key}': member for key, member in found[name].items()}
    return found


def choose_network(networks: Mapping[str, nn.Module], name: str | None = None) -> str:
    """A network's name; None is the averaged generator, else the trained one.

    Raises:
        ConfigError: There is no such network.
    """
    if name is None:
        name = next((known for known in _GENERATORS if known in networks), 'generator')
    refuse_unknown('--network', [name], networks)
    return name


class Trained:
    """The model of a sparse checkpoint, in eval mode.

    Args:
        config: Config that the checkpoint was made with, or its file.
        checkpoint: The checkpoint; no code in it runs.
        changes: Changes to the config. Default: None.
        dense: Whether a checkpoint without thresholds will do, too. Default: False.

    Attributes:
        name: The checkpoint's file, for messages.
        config: The config.
        checkpoint: What the file holds beside the weights.
        model: The model, with thresholds or masks attached.

    Raises:
        ConfigError: No such file, a folder, a damaged one, one without thresholds or masks, or one
            that another config made.
    """

    def __init__(
        self,
        config: Config | str | Path,
        checkpoint: str | Path,
        changes: Mapping[str, Any] | None = None,
        dense: bool = False,
    ) -> None:
        self.name = str(checkpoint)
        if Path(self.name).expanduser().is_dir():
            raise ConfigError(
                f'{checkpoint} is a folder: name a checkpoint in it, such as best_*.pth'
            )
        read = not isinstance(config, Config)
        self.config = read_config(str(config), changes) if read else config
        content = load_anywhere(self.name, 'cpu')
        state = content.get('state_dict', content)
        if not dense and not tensors_of_rules(state):
            raise ConfigError(
                f'{checkpoint} has no thresholds or masks: it was trained dense and loads as it is'
            )
        self.checkpoint = {key: value for key, value in content.items() if value is not state}
        self.model = build_model(self.config)
        attach_as_saved(self.model, state)
        self._lacking = self._load(state)
        self._set_guard_and_phase(state)
        self.model.eval()

    def networks(self) -> dict[str, nn.Module]:
        """The model's networks; see :func:`networks_of`."""
        return networks_of(self.model)

    def sparse(self) -> dict[str, SparseNetwork]:
        """The sparse networks by name."""
        return sparse_networks(self.model)

    def growth(self) -> dict[str, Any]:
        """What a growing generator is called with, as it was evaluated; {} for others."""
        buffers = dict(self.model.named_buffers(recurse=False))
        if '_curr_scale_int' not in buffers:
            return {}
        return {
            'curr_scale': int(buffers['_curr_scale_int']),
            'transition_weight': float(buffers['_curr_transition_weight']),
        }

    def image_size(self) -> int | None:
        """Height and width of the images that are made; None where no network says it."""
        return image_size(self.model)

    def choose(self, name: str | None = None) -> str:
        """A network's name; None is the averaged generator, else the trained one.

        Raises:
            ConfigError: There is no such network, or not all of its weights are in the file.
        """
        name = choose_network(self.networks(), name)
        self.check_whole(name)
        return name

    def check_whole(self, name: str = '') -> None:
        """Refuses weights of a network (default: of all) that the file lacks or has too many.

        Raises:
            ConfigError: There are some.
        """
        wrong = [key for key in self._lacking if not name or key.startswith(f'{name}.')]
        if wrong:
            raise ConfigError(
                f'{self.name} does not fit the config: {len(wrong)} weights are missing or left '
                f'over, such as {wrong[0]}; give the config that it was trained with'
            )

    def _load(self, state: Mapping[str, Any]) -> list[str]:
        try:
            with quiet():
                found = self.model.load_state_dict(state, strict=False)
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines()]
            raise ConfigError(
                f'{self.name} does not fit the config: {lines[min(1, len(lines) - 1)]} give the '
                'config that it was trained with'
            ) from None
        return sorted({*found.missing_keys, *found.unexpected_keys})

    def _set_guard_and_phase(self, state: Mapping[str, Any]) -> None:
        guard = hook_of(self.config, RegenerationHook)
        saved = self.checkpoint.get('rggan_mm', {}).get(DynamicPruningHook.__name__, {})
        for name, network in self.sparse().items():
            network.min_keep = guard and guard.min_keep
            # Before 0.2 the phase was kept here; the state dict holds it now.
            network.set_phase(saved.get('sparse', {}).get(name, network.sparse))
