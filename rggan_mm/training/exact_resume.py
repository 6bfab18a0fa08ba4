"""Exact resume: what is random belongs to the iteration, not to what ran before it."""

from bisect import bisect

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from .batches import Batches, can_position, sampler_of
from .file_names import FileNames, now_elsewhere
from .hook_base import StatefulHook, is_training
from .pending_gradients import accumulation, pending, take_back
from .random_streams import seed_streams

TRAINING, DATA, VALIDATION = range(3)


@HOOKS.register_module()
class ExactResumeHook(StatefulHook):
    """Lets a run that was stopped anywhere end where it would have ended.

    Noise and augmentations of an iteration are drawn from streams that are seeded from
    the run's seed, the process and the iteration. A resumed run therefore needs no
    state of them, however many processes it has, and validating, logging or
    drawing samples changes nothing in the training. Data go on at their place
    without reading what was used already (:class:`Batches`), and
    the validation that was due when the run stopped is made up for.

    What it cannot give back: optimisers that were not saved (``best_*.pth``,
    ``save_optimizer=False``; SafeRunner warns); gradients of several processes that had accumulated
    when a checkpoint was saved within an accumulation (it warns), and equal results of
    GPU kernels that differ from call to call (set ``randomness.deterministic``).
    """

    # After hooks that exchange the data, ahead of CheckpointHook.
    priority = 'LOW'

    def __init__(self) -> None:
        # How often the run was taken back, to go on with other random numbers.
        self.branch = 0
        self.data_start = 0
        self.sampler_seed: int | None = None
        self._loader: DataLoader | None = None
        self._runner: Runner | None = None
        self._resumed_at: int | None = None
        self._names: FileNames | None = None

    def before_run(self, runner: Runner) -> None:
        """Keeps the runner, whose gradients belong to the state."""
        self._runner = runner

    def before_train(self, runner: Runner) -> None:
        """Places the data where the run goes on."""
        loop = runner.train_loop
        if not isinstance(loop, IterBasedTrainLoop) or not can_position(loop.dataloader):
            runner.logger.warning(
                'ExactResumeHook: this run does not count iterations or its images have no '
                'numbers; after a resume the order of the images is what MMEngine makes of it'
            )
            return
        _warn_of_accumulation(runner)
        self._compare_names(runner, loop.dataloader)
        self._keep_sampler_seed(loop.dataloader)
        self._place_data(runner, loop.iter, skipped=loop.iter)
        if loop.iter:
            runner.logger.info(
                f'ExactResumeHook: goes on with batch {loop.iter + 1}; those that MMEngine '
                'advances over are not read'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Validates where the run was stopped, if it is time: whether it did is not saved."""
        resumed, self._resumed_at = self._resumed_at == runner.iter, None
        if resumed and validates_again(runner, runner.iter):
            runner.logger.info(f'ExactResumeHook: validates iteration {runner.iter} (again)')
            runner.val_loop.run()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Seeds what the iteration draws."""
        seed_streams(*self._key(runner, TRAINING), runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Follows growing models to other data."""
        if self._loader is not None and runner.train_loop.dataloader is not self._loader:
            self.data_start = runner.iter + 1
            self._place_data(runner, self.data_start)
            self._names = FileNames.of(self._loader.dataset)

    def after_train(self, runner: Runner) -> None:
        """Stops the workers."""
        if self._loader is not None:
            runner.train_loop.dataloader_iterator.close()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Restores the state, and notes where the run goes on."""
        super().after_load_checkpoint(runner, checkpoint)
        if runner._resume:
            self._resumed_at = checkpoint.get('meta', {}).get('iter')

    def before_val(self, runner: Runner) -> None:
        """Seeds what a validation within the training draws."""
        if is_training(runner):
            seed_streams(*self._key(runner, VALIDATION), runner.iter)

    def state_dict(self) -> dict:
        """What the order of the data and the streams depend on, beside the run's seed."""
        return {
            'branch': self.branch,
            'data_start': self.data_start,
            'sampler_seed': self.sampler_seed,
            'pending': pending(self._runner),
            'names': self._names and self._names.state_dict(),
        }

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes the state back."""
        self.branch = state['branch']
        self.data_start = state['data_start']
        self.sampler_seed = state['sampler_seed']
        names = state.get('names')  # older checkpoints have none
        self._names = None if names is None else FileNames.of_state(names)
        if is_training(runner):
            take_back(runner, state['pending'])

    def _key(self, runner: Runner, purpose: int) -> tuple[int, ...]:
        differs = runner._randomness_cfg.get('diff_rank_seed', False)
        return runner.seed, self.branch, get_rank() if differs or purpose == DATA else 0, purpose

    def _compare_names(self, runner: Runner, loader: DataLoader) -> None:
        """Warns where images are not those of the checkpoint, or of the first process."""
        now = FileNames.of(loader.dataset)
        changed = [f'in process {rank} {text}' for rank, text in now_elsewhere(now)]
        if self._names and now:
            changed.append(now.changes(self._names, 'when the run was saved'))
        for text in filter(None, changed):
            runner.logger.warning(
                f'ExactResumeHook: the training images are not the same: {text}; the run is '
                'not the one that it would have been'
            )
        self._names = now

    def _keep_sampler_seed(self, loader: DataLoader) -> None:
        """MMEngine draws another one at each start where processes differ in their seeds."""
        sampler = sampler_of(loader)
        if self.sampler_seed is None:
            self.sampler_seed = getattr(sampler, 'seed', None)
        else:
            sampler.seed = self.sampler_seed

    def _place_data(self, runner: Runner, iteration: int, skipped: int = 0) -> None:
        loop = runner.train_loop
        self._loader = loop.dataloader
        loop.dataloader_iterator = Batches(
            loop.dataloader,
            start=iteration - self.data_start,
            key=(*self._key(runner, DATA), self.data_start),
            skipped=skipped,
        )


def _warn_of_accumulation(runner: Runner) -> None:
    iterations = accumulation(runner)
    for hook in runner.hooks:
        saves_within = isinstance(hook, CheckpointHook) and hook.interval % iterations
        if saves_within and get_world_size() > 1:
            runner.logger.warning(
                f'ExactResumeHook: default_hooks.checkpoint.interval={hook.interval} saves '
                f'within an accumulation of {iterations} iterations, whose gradients are lost '
                'on resume; take a multiple'
            )


def validates_again(runner: Runner, iteration: int) -> bool:
    """Whether a run that resumes at an iteration begins with its validation.

    It does where MMEngine's loop validates after that iteration.

    Args:
        runner: A runner that trains.
        iteration: Number of iterations that the checkpoint has seen.
    """
    loop = runner.train_loop
    counts = isinstance(loop, IterBasedTrainLoop)
    exact = any(isinstance(hook, ExactResumeHook) for hook in runner.hooks)
    if not exact or not counts or runner.val_loop is None or iteration < loop.val_begin:
        return False
    interval = loop.dynamic_intervals[bisect(loop.dynamic_milestones, iteration + 1) - 1]
    return iteration % interval == 0 or iteration == loop.max_iters
