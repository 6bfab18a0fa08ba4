"""MMEngine cannot read some of MMagic's own configs by name."""

import re
from functools import wraps

from mmengine.config import config as mmengine_config
from mmengine.config import utils as mmengine_utils
from mmengine.hub import hub as mmengine_hub

from rggan_mm.compat.outcome import Outcome

_NAME = 'package-configs'
_READERS = (mmengine_config, mmengine_utils, mmengine_hub)
_DASHED = 'mmagic::wgan-gp/config.py'


def _refuses_dashes() -> bool:
    """Ask the installed MMEngine."""
    try:
        mmengine_utils._get_package_and_cfg_path(_DASHED)
    except ValueError:
        return True
    return False


def accept_dashes_in_folders() -> Outcome:
    """Let a config say ``_base_ = 'mmagic::wgan-gp/...'``.

    Symptom: ``ValueError: _get_package_and_cfg_path is used for get external
    package``. Cause: the pattern for the folder's name in
    mmengine/config/utils.py has no dash, but mmagic has a folder ``wgan-gp``.
    Applies to MMEngine up to 0.10.7. Where rggan_mm is not imported before the
    config is read (MMagic's own tools), write ``mmagic::dcgan/../wgan-gp/...``.

    Returns:
        The outcome.
    """
    if not _refuses_dashes():
        return Outcome(_NAME, False, 'this MMEngine reads folders with a dash')
    original = mmengine_utils._get_package_and_cfg_path

    @wraps(original)
    def get_package_and_cfg_path(cfg_path: str) -> tuple[str, str]:
        package, separator, path = cfg_path.partition('::')
        if not re.match(r'[\w-]+/', path):
            return original(cfg_path)
        folder, _, rest = path.partition('/')
        plain = folder.replace('-', '_')
        package, _ = original(f'{package}{separator}{plain}/{rest}')
        return package, path

    for reader in _READERS:
        reader._get_package_and_cfg_path = get_package_and_cfg_path
    return Outcome(_NAME, True, 'mmagic::wgan-gp/... is read where rggan_mm is imported first')
