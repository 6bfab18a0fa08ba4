# Is what was asked for what is kept? Pruned throughout: with the phase rule a run that overfits is
# dense for most of its second half, and nothing can be held there.
metric = 'digits/fid'
report = 'held_out/fid'
seeds = [0, 1, 2]
baseline = 'rg_0.8'


def pruned(keep_ratio, mode):
    return dict(
        config='configs/rg_sngan_digits_35.py',
        changes={
            'rg_hooks.dense_merge': None,
            'rg_hooks.pruning.keep_ratio': keep_ratio,
            'rg_hooks.pruning.reach': 0.75,
            'rg_hooks.pruning.mode': mode,
        },
    )


methods = {
    **{f'rg_{keep}': pruned(keep, 'published') for keep in (0.8, 0.5, 0.3, 0.2)},
    **{f'ste_{keep}': pruned(keep, 'ste') for keep in (0.8, 0.5, 0.3, 0.2)},
}
