"""A study of tiny runs on the digits, as a file."""

from tiny import ROOT, TINY

SMALL = {**TINY, 'train_cfg.max_iters': 4, 'train_cfg.val_interval': 2}


def write_study(folder, **fields):
    """Writes tiny.py there; fields replace those of the study.

    Returns:
        Its path.
    """
    dense = {'config': str(ROOT / 'configs' / 'sngan_digits_35.py'), 'changes': SMALL}
    pruned = {'config': str(ROOT / 'configs' / 'rg_sngan_digits_35.py'), 'changes': SMALL}
    study = {
        'metric': 'digits/fid',
        'seeds': [0, 1],
        'baseline': 'dense',
        'methods': {'dense': dense, 'rg': pruned},
        **fields,
    }
    path = folder / 'tiny.py'
    path.write_text(''.join(f'{name} = {value!r}\n' for name, value in study.items()))
    return path
