"""MMEngine's Runner for runs that must survive."""

from pathlib import Path
from typing import Any

from mmengine.device import get_device
from mmengine.dist import is_distributed, master_only
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import HOOKS, RUNNERS
from mmengine.runner import LogProcessor, Runner
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from mmengine.visualization import Visualizer
from torch import nn
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.utils.data import DataLoader

from . import cpu_processes
from .checkpoint_fit import foreign_weights_refused
from .checkpoint_hook import SafeCheckpointHook
from .checkpoint_loading import check_resumable, load_anywhere
from .checkpoint_names import name_plainly
from .checkpoint_saving import is_local, saved_whole
from .checkpoint_search import find_latest_checkpoint, where_saved
from .hook_base import unwrap
from .mixed_precision import safe_wrappers
from .mlflow_images import with_named_images

_OUTER_MODULE = ((r'^module\.', ''),)  # as in MMEngine


@RUNNERS.register_module()
class SafeRunner(Runner):
    """A Runner whose runs survive; it takes the arguments of MMEngine's.

    - Checkpoints appear whole, older ones stay until then (:class:`SafeCheckpointHook`),
      and a run resumes from the newest one that is whole.
    - A checkpoint runs no code when it is loaded, and one of which nothing fits a network
      is refused.
    - Any number of processes loads what any number of processes saved.
    - ``launcher='pytorch'`` and AmpOptimWrapper work on machines without a GPU.
    - Layers under spectral norm are initialised on any device.
    - Folders of images are listed by name and read as the evaluation reads them, with
      errors that name the file (:class:`rggan_mm.datasets.ImageFiles`).

    ``rggan_mm.plugin`` takes it for configs with hooks of this package.
    """

    _resumed_parts: list[str] | None = None  # inside resume()

    def setup_env(self, env_cfg: dict) -> None:
        """Starts the process; without a GPU as :func:`cpu_processes.start_process`."""
        settings = env_cfg.get('dist_cfg', {})
        native = self.launcher == 'pytorch' and settings.get('init_backend', 'torch') == 'torch'
        if self._on_cpu_together() and native and not is_distributed():
            cpu_processes.start_process(settings)
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wraps the model for several processes, under its own names of weights."""
        if self._on_cpu_together() and not is_model_wrapper(model):
            wrapper = model_wrapper_cfg or {
                'broadcast_buffers': False,
                'find_unused_parameters': self.cfg.get('find_unused_parameters', False),
            }
            wrapped = cpu_processes.wrap(model, wrapper, self.cfg.get('sync_bn'))
        else:
            wrapped = super().wrap_model(model_wrapper_cfg, model)
        name_plainly(wrapped)
        return wrapped

    def register_hook(self, hook: Hook | dict, priority: Any = None) -> None:
        """Registers a hook; for the config of a CheckpointHook a :class:`SafeCheckpointHook`."""
        if isinstance(hook, dict):
            kind = hook.get('type')
            kind = HOOKS.get(kind) if isinstance(kind, str) else kind
            if kind is CheckpointHook:
                hook = {**hook, 'type': SafeCheckpointHook}
        super().register_hook(hook, priority)

    def build_visualizer(self, visualizer: Any = None) -> Visualizer:
        """Builds the visualizer, MLflow as :class:`NamedMLflowVisBackend`."""
        return super().build_visualizer(with_named_images(visualizer))

    def build_log_processor(self, log_processor: Any) -> LogProcessor:
        """Builds the writer of log lines, MMEngine's own as :class:`ShortLogProcessor`."""
        from rggan_mm.hooks.log_lines import with_short_lines  # it knows phases

        return super().build_log_processor(with_short_lines(log_processor))

    def build_optim_wrapper(self, optim_wrapper: Any) -> OptimWrapper | OptimWrapperDict:
        """Builds optimisers, mixed precision as :class:`SafeAmpOptimWrapper`."""
        return super().build_optim_wrapper(safe_wrappers(optim_wrapper))

    @staticmethod
    def build_dataloader(dataloader: Any, *args: Any, **kwargs: Any) -> DataLoader:
        """Builds a data loader; MMagic's folders of images with our reader."""
        from rggan_mm.datasets.image_datasets import with_our_reader  # needs MMagic

        return Runner.build_dataloader(with_our_reader(dataloader), *args, **kwargs)

    def load_or_resume(self) -> None:
        """Loads or resumes; without ``load_from`` the newest checkpoint that is whole."""
        if self._has_loaded or not self._resume or self._load_from is not None:
            super().load_or_resume()
            return
        latest = find_latest_checkpoint(self.work_dir, *where_saved(self))
        self.logger.info(f'Auto resumed from the latest checkpoint {latest}.')
        if latest is not None:
            self.resume(latest)

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = 'default',
    ) -> None:
        """Goes on from a checkpoint; warns where it was saved without optimisers or schedulers.

        Args:
            filename: A path or an address.
            resume_optimizer: Whether optimisers go on. Defaults to True.
            resume_param_scheduler: Whether schedulers go on. Defaults to True.
            map_location: As in :func:`torch.load`. Defaults to this process's device.

        Raises:
            ConfigError: As :meth:`load_checkpoint`; or the file has weights alone.
        """
        schedules = resume_param_scheduler and self.param_schedulers
        parts = {'optimizer': resume_optimizer, 'param_schedulers': schedules}
        self._resumed_parts = [name for name, wanted in parts.items() if wanted]
        try:
            super().resume(filename, resume_optimizer, resume_param_scheduler, map_location)
        finally:
            self._resumed_parts = None

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = 'cpu',
        strict: bool = False,
        revise_keys: Any = _OUTER_MODULE,
    ) -> dict:
        """Loads a checkpoint into the model.

        Args:
            filename: A path or an address; see :func:`load_anywhere`.
            map_location: As in :func:`torch.load`. Defaults to 'cpu'.
            strict: Whether all names must match. Defaults to False: a network may get some
                of its weights.
            revise_keys: Patterns in names of weights, and what takes their place.

        Returns:
            The checkpoint.

        Raises:
            ConfigError: The file cannot be loaded, or nothing of it fits a network.
        """
        checkpoint = load_anywhere(filename, map_location)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        if self._resumed_parts is not None:
            check_resumable(filename, checkpoint, self._resumed_parts)
        load_weights(unwrap(self.model), checkpoint, strict, revise_keys)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    @master_only
    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Saves a checkpoint; on this machine it appears whole or not at all.

        Args:
            out_dir: The folder.
            filename: Name of the file.
            file_client_args: As in MMEngine.
            *args: As in MMEngine.
            **kwargs: As in MMEngine.

        Raises:
            ConfigError: The system refuses to write, such as on a full disk.
        """
        save = super().save_checkpoint
        if not is_local(out_dir, file_client_args, kwargs.get('backend_args')):
            save(out_dir, filename, file_client_args, *args, **kwargs)
            return
        with saved_whole(Path(out_dir) / filename) as temporary:
            save(str(temporary.parent), temporary.name, file_client_args, *args, **kwargs)

    def _init_model_weights(self) -> None:
        """Initialises the model's weights."""
        tie_spectral_norms(self.model)
        super()._init_model_weights()

    def _on_cpu_together(self) -> bool:
        return self.distributed and get_device() == 'cpu'


def load_weights(
    model: nn.Module, checkpoint: dict, strict: bool = False, revise_keys: Any = _OUTER_MODULE
) -> None:
    """Loads a checkpoint's weights as MMEngine does; see :meth:`SafeRunner.load_checkpoint`."""
    if strict:
        _load_checkpoint_to_model(model, checkpoint, strict, revise_keys=revise_keys)
        return
    with foreign_weights_refused(model):
        _load_checkpoint_to_model(model, checkpoint, revise_keys=revise_keys)


def tie_spectral_norms(model: nn.Module) -> None:
    """Lets initialisers reach the stored weights of layers under old-style spectral norm.

    They see a plain attribute ``weight``, which shares memory with the parameter
    ``weight_orig`` until the model goes to another device, type or memory format. MMEngine
    moves a model before it initialises it.

    Args:
        model: The model, changed in place.
    """
    for module in model.modules():
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                setattr(module, hook.name, getattr(module, f'{hook.name}_orig').data)
