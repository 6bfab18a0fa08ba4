"""Work dirs as runs leave them, without the runs."""

import json

import numpy as np
from PIL import Image

METRIC = 'digits/fid'
PROTOCOL = {'n_real': 360.0, 'n_fake': 500.0, 'reference': 'Digits test', 'extractor': 'digits-v1'}
LAYERS = ('noise2feat', 'blocks.0.conv')


def record(iteration, value, sparse=True):
    """One evaluation of a sparse run."""
    kept = 1 - iteration / 1000 if sparse else 1.0
    networks = ('generator', 'discriminator')
    return {
        'iter': iteration,
        'sparse': sparse,
        'keep_ratio': dict.fromkeys(networks, kept),
        'layers': {name: dict.fromkeys(LAYERS, kept) for name in networks},
        'threshold': dict.fromkeys(networks, iteration / 1e4),
        'resets': {'generator': {'blocks.0.conv': 2}, 'discriminator': {}},
        'evaluated': {'digits': 'generator'},
        'metrics': {METRIC: value, **{f'digits/{k}': v for k, v in PROTOCOL.items()}},
    }


def write_run(folder, values=(50.0, 40.0, 45.0), sparse=(True, True, False), settings=None):
    """Writes a work dir with an evaluation every 100 iterations."""
    logs = folder / '20261128_000000'
    (logs / 'vis_data').mkdir(parents=True)
    (folder / 'samples').mkdir()
    records = [
        record(100 * i, v, s) for i, (v, s) in enumerate(zip(values, sparse, strict=True), 1)
    ]
    (folder / 'evaluations.json').write_text(json.dumps(records))
    rows = [{'iter': i, 'step': i, 'loss_gen': 1 / i, 'time': 0.25} for i in (50, 100, 150)]
    rows.append({METRIC: 50.0, 'time': 9.0, 'step': 100})  # of an evaluation
    text = ''.join(json.dumps(row) + '\n' for row in rows)
    (logs / 'vis_data' / 'scalars.json').write_text(text + '{"iter": 2')  # killed while writing
    (logs / 'run.log').write_text(
        '2026/11/28 00:00:00 - mmengine - INFO - begins\n'
        'a line of a table\n'
        '2026/11/28 00:00:10 - mmengine - WARNING - <b>twice</b>\n'
        '2026/11/28 00:01:30 - mmengine - WARNING - <b>twice</b>\n'
    )
    for one in records:
        level = one['iter'] % 256
        picture = Image.fromarray(np.full((32, 32, 3), level, np.uint8))
        picture.save(folder / 'samples' / f'iter_{one["iter"]:06d}.png')
    write_about(folder, settings or {'seed': 0, 'lam': 1e-9})
    return folder


def write_about(folder, settings):
    """Writes the record that a run begins with."""
    about = {
        'config': 'rg.py',
        'started': '20261128_000000',
        'settings': settings,
        'compared_with': 'dense.py',
        'base': {'seed': 7},
        'added': ['lam'],
        'environment': {'device': 'cpu'},
    }
    (folder / 'run.json').write_text(json.dumps(about))
