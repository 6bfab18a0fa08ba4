"""What a study consists of, and how far each of its runs is."""

import copy
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rggan_mm.commands.configs import merge_changes, read_config
from rggan_mm.commands.published_options import count_anew
from rggan_mm.errors import ConfigError
from rggan_mm.files import written_whole

from .checks import OPTIONAL, check_study

RECORD = 'study_run.json'
CONFIG = 'config.py'
LOG = 'run.log'
# Where and how a run is made, not what is made.
_NOT_HASHED = ('work_dir', 'resume', 'launcher')


@dataclass(frozen=True)
class Run:
    """One method with one seed.

    Attributes:
        method: Name of the method.
        seed: The seed.
        folder: Its work dir.
        config: What is trained.
    """

    method: str
    seed: int
    folder: Path
    config: Config

    @property
    def name(self) -> str:
        """Method and seed, for a person."""
        return f'{self.method} seed {self.seed}'

    @property
    def hash(self) -> str:
        """A hash of the config, whatever the order of its fields."""
        content = {k: v for k, v in self.config.to_dict().items() if k not in _NOT_HASHED}
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def iterations(self) -> int:
        """Length of the run."""
        return self.config.train_cfg.get('max_iters') or 1

    def reached(self) -> int:
        """The iteration of its last evaluation."""
        records = self._evaluations()
        return records[-1]['iter'] if records else 0

    def metrics_at(self, iteration: int) -> dict:
        """All metrics of one evaluation."""
        return next(r['metrics'] for r in self._evaluations() if r['iter'] == iteration)

    def _evaluations(self) -> list[dict]:
        path = self.folder / 'evaluations.json'
        return json.loads(path.read_text()) if path.exists() else []

    def record(self) -> dict:
        """What the run has noted of itself; empty for one that never started."""
        return read_record(self.folder)

    def state(self) -> str:
        """'missing', 'started', 'done', or 'changed' for a folder with another config."""
        if not self.folder.exists():
            return 'missing'
        record = self.record()
        if record.get('config') != self.hash:
            return 'changed'
        return 'done' if record['state'] == 'done' else 'started'

    def prepare(self) -> None:
        """Makes the folder with what :mod:`rggan_mm.commands.study_run` reads."""
        if self.state() == 'changed':
            shutil.rmtree(self.folder)
        with written_whole(self.folder / CONFIG) as temporary:
            temporary.write_text(self.config.pretty_text)
        write_record(self.folder, config=self.hash, state='waiting')


@dataclass(frozen=True)
class Study:
    """What a study file says.

    Attributes:
        name: Name of the file.
        folder: Where its runs and results are.
        metric: Full name of the metric; lower is better.
        baseline: Name of the method that the others are compared with.
        runs: All runs.
        report: Full name of a metric that decided nothing, or None.
        published: Full name of a metric of which the lowest value is shown beside, or None.
    """

    name: str
    folder: Path
    metric: str
    baseline: str
    runs: list[Run]
    report: str | None = None
    published: str | None = None

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in their order."""
        return list(dict.fromkeys(run.method for run in self.runs))

    def chosen(self, methods: Sequence[str] | None, seeds: Sequence[int] | None) -> list[Run]:
        """The runs of some methods and some seeds, seed by seed.

        A study that is stopped then compares all methods over the seeds that it has.

        Args:
            methods: Names; None is all.
            seeds: Seeds; None is all.

        Raises:
            ConfigError: There is no such method, or no such run.
        """
        for name in methods or ():
            if name not in self.methods:
                raise ConfigError(f'--methods {name}: the study has {", ".join(self.methods)}')
        runs = [
            run
            for run in self.runs
            if (not methods or run.method in methods) and (not seeds or run.seed in seeds)
        ]
        if not runs:
            raise ConfigError(f'--seeds {" ".join(map(str, seeds))}: no run has such a seed')
        return sorted(runs, key=lambda run: run.seed)


def read_study(path: Path, root: Path = Path('work_dirs')) -> Study:
    """Reads a study file.

    Args:
        path: A Python file with metric, seeds, baseline and methods.
        root: Folder of all studies.

    Returns:
        The study; nothing is written.

    Raises:
        ConfigError: A field is missing or wrong, or a config cannot be read.
    """
    fields = read_config(str(path))
    try:
        check_study(fields)
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from None
    folder = root / path.stem
    read: dict[str, Config] = {}
    runs = [
        run
        for name, method in fields.methods.items()
        for run in _runs(name, method, fields.seeds, folder, read)
    ]
    named = {name: fields.get(name) for name in OPTIONAL}
    return Study(path.stem, folder, fields.metric, fields.baseline, runs, **named)


def _runs(
    name: str, method: Mapping, seeds: Sequence[int], folder: Path, read: dict[str, Config]
) -> Iterator[Run]:
    path = method['config']
    if path not in read:
        read[path] = read_config(path)
    changes = dict(method.get('changes', {}))
    for seed in method.get('seeds', seeds):
        config = copy.deepcopy(read[path])
        merge_changes(config, {**changes, 'randomness.seed': seed})
        count_anew(config, changes)
        config.work_dir = str(folder / name / f'seed_{seed}')
        yield Run(name, seed, Path(config.work_dir), config)


def read_record(folder: Path) -> dict:
    """The record in a run's folder; empty where there is none."""
    path = folder / RECORD
    return json.loads(path.read_text()) if path.exists() else {}


def write_record(folder: Path, **fields: Any) -> None:
    """Changes fields of the record in a run's folder."""
    with written_whole(folder / RECORD) as temporary:
        temporary.write_text(json.dumps({**read_record(folder), **fields}, indent=1) + '\n')


def last_line(folder: Path) -> str:
    """The last line of a run's log; empty where there is none."""
    path = folder / LOG
    text = path.read_text(errors='replace') if path.exists() else ''
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), '')
