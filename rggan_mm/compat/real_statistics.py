"""MMagic keeps statistics of different real images in one file."""

from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch.utils.data import Dataset

from rggan_mm.compat.outcome import Outcome

_NAME = 'real-statistics'
_FUNCTIONS = ('get_inception_feat_cache_name_and_args', 'get_vgg_feat_cache_name_and_args')
# How a data set keeps its list of images, not which images they are.
_STORAGE = ('data_list', 'data_bytes', 'data_address', 'serialize_data', 'max_refetch')


def _is_plain(value: Any) -> bool:
    """Whether repr() of a value is the same in every process."""
    if isinstance(value, dict):
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int, float))


def dataset_identity(dataset: Dataset) -> dict[str, Any]:
    """Describe which images a data set holds.

    Args:
        dataset: A data set as mmagic's metrics get it.

    Returns:
        Its class, its length and its plain attributes (``indices``,
        ``test_mode``, ``ann_file``, ...), ready for ``repr``.
    """
    settings = {
        name: value
        for name, value in sorted(vars(dataset).items())
        if name not in _STORAGE and _is_plain(value)
    }
    kind = f'{type(dataset).__module__}.{type(dataset).__qualname__}'
    return dict(type=kind, length=len(dataset), settings=settings)


def _tell_apart(name_of: Callable[..., tuple[str, dict]]) -> Callable[..., tuple[str, dict]]:
    """Wrap one of mmagic's functions that name a file of statistics."""

    @wraps(name_of)
    def name_and_args(dataloader: Any, *args: Any, **kwargs: Any) -> tuple[str, dict]:
        name, meta = name_of(dataloader, *args, **kwargs)
        identity = dataset_identity(dataloader.dataset)
        digest = sha256(repr(identity).encode()).hexdigest()[:16]
        path = Path(name)
        return f'{path.stem}-{digest}{path.suffix}', {**meta, 'dataset': identity}

    return name_and_args


class _Probe(Dataset):
    """As much of a data set as the name needs."""

    data_root, data_prefix, metainfo, pipeline = '', {}, {}, ()

    def __init__(self, test_mode: bool) -> None:
        self.test_mode = test_mode

    def __len__(self) -> int:
        return 1


def _share_a_name(name_of: Callable[..., tuple[str, dict]]) -> bool:
    """Whether a training set and a test set get the same file."""
    metric = SimpleNamespace(inception_style='', real_key=None)
    loaders = [SimpleNamespace(dataset=_Probe(test_mode)) for test_mode in (False, True)]
    train, test = (name_of(loader, metric, 1, True, False)[0] for loader in loaders)
    return train == test


def tell_real_images_apart() -> Outcome:
    """Give the cached statistics of each set of real images a file of its own.

    Symptom: the FID against the CIFAR-10 test images silently uses the statistics
    of the training images, or of the first 120, whichever came first. Cause: the
    name of the cached file (mmagic/evaluation/functional/inception_utils.py)
    leaves out the data set's class, ``indices`` and ``test_mode``. Applies to
    mmagic up to 1.2.0. A file that the user names (``inception_pkl``) is used as
    before.

    Returns:
        The outcome.
    """
    from mmagic.evaluation.functional import inception_utils

    if not _share_a_name(getattr(inception_utils, _FUNCTIONS[0])):
        return Outcome(_NAME, False, 'this mmagic tells data sets apart')
    for function in _FUNCTIONS:
        setattr(inception_utils, function, _tell_apart(getattr(inception_utils, function)))
    return Outcome(_NAME, True, 'each set of real images has statistics of its own')
