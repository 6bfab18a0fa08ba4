"""What a run is, written down when it starts: settings, differences, environment."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size, master_only
from mmengine.runner import Runner

from rggan_mm.analysis.environment import environment
from rggan_mm.files import written_whole

from .groups import kind_of, ungrouped, without_pruning

FILE = 'run.json'
DENSE_TWIN = 'its dense twin'
_WHOLE = ('model', 'train_cfg', 'train_dataloader', 'optim_wrapper')
_WHERE = ('work_dir', 'experiment_name', 'launcher', 'resume', 'load_from', 'log_level')


@master_only
def write_run_record(runner: Runner) -> None:
    """Writes ``run.json`` into the work dir.

    It holds the config's name, when the run was first started, all settings by dotted name,
    what they are compared with (the first base file where that is a whole training, else the
    dense twin), the settings of it that differ, and the environment.

    Args:
        runner: A runner that is about to train.
    """
    path = Path(runner.work_dir) / FILE
    settings = _flat(ungrouped(runner.cfg))
    name, base = _base_of(runner.cfg)
    record = {
        'config': Path(runner.cfg.filename or 'config').name,
        'started': runner.timestamp if runner.iter == 0 else _started(path, runner.timestamp),
        'settings': settings,
        'compared_with': name,
        'base': {key: value for key, value in base.items() if settings.get(key) != value},
        'added': [key for key in settings if key not in base],
        'environment': {'processes': get_world_size(), **environment()},
    }
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + '\n')


def _started(path: Path, now: str) -> str:
    """When a resumed run was started; MMEngine names the folder of its log so."""
    try:
        return json.loads(path.read_text())['started']
    except (OSError, ValueError, KeyError):
        return now


def _base_of(config: Config) -> tuple[str, dict]:
    """Name and settings of what a config is compared with."""
    try:
        named = Config._get_base_files(config.filename)[0]
        path = Config._get_cfg_path(named, config.filename)[0]
        base = Config.fromfile(path, import_custom_modules=False)
        if all(key in base for key in _WHOLE):
            return Path(path).name, _flat(ungrouped(base))
    except Exception:  # no file, no base, or a base that is gone: no reason to end a training
        pass
    return DENSE_TWIN, _flat(ungrouped(without_pruning(config)))


def _flat(config: Mapping) -> dict[str, Any]:
    """Settings by dotted name, hooks by their class; without those of one place or moment."""
    content = config.to_dict() if isinstance(config, Config) else dict(config)
    hooks = {kind_of(hook): hook for hook in content.pop('custom_hooks', None) or []}
    content['custom_hooks'] = hooks
    found = {key: value for key, value in content.items() if key not in _WHERE}
    return dict(_leaves(found, ''))


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            if key != '_scope_':
                yield from _leaves(inner, f'{name}.{key}' if name else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(v, Mapping) for v in value):
        yield from _leaves(dict(enumerate(value)), name)
    else:
        yield name, json.loads(json.dumps(value, default=_named))


def _named(value: Any) -> str:
    return getattr(value, '__name__', None) or repr(value)
