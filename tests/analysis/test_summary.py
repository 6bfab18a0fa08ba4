"""What a summary says of recorded runs."""

import json
import math

import pytest

from rggan_mm.analysis import plot_curves, summarize
from rggan_mm.errors import ConfigError


def record(iteration, fid, sparse=True, keep=None):
    metrics = {
        'digits/fid': fid,
        'digits/n_real': 360.0,
        'digits/n_fake': 2000.0,
        'digits/reference': 'Digits test',
        'digits/extractor': 'digits-v1',
        'digits/resize': 'bilinear 16',
    }
    return {'iter': iteration, 'sparse': sparse, 'keep_ratio': keep or {}, 'metrics': metrics}


def write(folder, records, switches=()):
    (folder / 'evaluations.json').write_text(json.dumps(records))
    if switches:
        history = [{'iter': i, 'switched': switched} for i, switched in enumerate(switches)]
        (folder / 'phase_history.json').write_text(json.dumps(history))


def test_best_last_protocol_and_switches(tmp_path):
    keep = {'generator': 0.9, 'discriminator': 0.5}
    values = [50.0, 40.0, math.nan, 45.0]
    records = [record(100 * i, value, keep=keep) for i, value in enumerate(values, 1)]
    write(tmp_path, records, [False, True, True, False])
    summary = summarize(tmp_path)
    assert summary.best == (40.0, 200)
    assert summary.last == (45.0, 400)
    assert math.isnan(summary.last_five)
    assert summary.protocol == (
        'n_real 360, n_fake 2000, reference Digits test, extractor digits-v1, resize bilinear 16'
    )
    assert summary.keep_ratio == keep
    assert summary.switches == 2
    labels = [label for label, _ in summary.rows()]
    kept = [f'keep ratio of {name}' for name in keep]
    assert labels[-4:] == [*kept, 'phase switches', 'evaluations in a dense phase']


def test_dense_run_has_no_sparsity_rows(tmp_path):
    write(tmp_path, [record(1, 3.0)])
    assert [label for label, _ in summarize(tmp_path).rows()] == [
        'best digits/fid',
        'last digits/fid',
        'mean of the last five',
        'protocol',
    ]


def test_files_are_named_when_they_exist(tmp_path):
    write(tmp_path, [record(1, 3.0)])
    for name in ('best_digits_fid_iter_1.pth', 'iter_2.pth', 'curves.png'):
        (tmp_path / name).touch()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_2.pth'))
    files = summarize(tmp_path).files
    assert [path.name for path in files.values()] == [
        'curves.png',
        'best_digits_fid_iter_1.pth',
        'iter_2.pth',
    ]


@pytest.mark.parametrize('text', [None, '', '[]'])
def test_missing_records_are_one_error(tmp_path, text):
    if text is not None:
        (tmp_path / 'evaluations.json').write_text(text)
    with pytest.raises(ConfigError, match=r'evaluations\.json'):
        summarize(tmp_path)


def test_unknown_metric_is_an_error(tmp_path):
    write(tmp_path, [record(1, 3.0)])
    with pytest.raises(ConfigError, match="metric='FID/fid'"):
        summarize(tmp_path, 'FID/fid')


def test_curve_of_a_run_that_never_had_a_finite_value(tmp_path):
    plot_curves([record(1, math.nan), record(2, math.inf)], 'digits/fid', tmp_path / 'c.png')
    assert (tmp_path / 'c.png').stat().st_size > 1000
    assert [path.name for path in tmp_path.iterdir()] == ['c.png']


def test_numbers_of_two_protocols_each_have_their_own(tmp_path):
    first, second = record(1, 3.0), record(2, 4.0)
    second['metrics']['digits/n_fake'] = 20.0
    write(tmp_path, [first, second])
    protocol = summarize(tmp_path).protocol
    best, last = protocol.split('; ')
    assert best.startswith('best: n_real 360, n_fake 2000')
    assert last.startswith('last: n_real 360, n_fake 20,')


def test_metrics_without_a_protocol_get_no_row(tmp_path):
    only = record(1, 3.0)
    only['metrics'] = {'FID-Full/fid': 3.0}
    write(tmp_path, [only])
    assert 'protocol' not in dict(summarize(tmp_path).rows())


def test_a_dense_end_shows_what_the_last_sparse_stretch_kept(tmp_path):
    dense, sparse = {'generator': 1.0}, {'generator': 0.8}
    records = [record(1, 3.0, keep=sparse), record(2, 4.0, sparse=False, keep=dense)]
    write(tmp_path, records)
    shown = dict(summarize(tmp_path).rows())['keep ratio of generator']
    assert shown == '1.000 (dense phase; 0.800 at the last sparse evaluation)'
    write(tmp_path, records[:1])
    assert dict(summarize(tmp_path).rows())['keep ratio of generator'] == '0.800'


def test_the_keep_ratio_beside_a_value_is_that_of_the_network_it_belongs_to(tmp_path):
    def keep(average):
        return {'generator': 0.5, 'generator_ema': average, 'discriminator': 0.25}

    records = [record(100, 3.0, keep=keep(0.9)), record(200, 4.0, keep=keep(0.8))]
    for one in records:
        one['evaluated'] = {'digits': 'generator_ema', 'other': 'generator'}
        one['metrics']['other/fid'] = 7.0
    write(tmp_path, records)
    summary = summarize(tmp_path)
    assert (summary.evaluated, summary.best_keep_ratio) == ('generator_ema', 0.9)
    assert summary.last_keep_ratio == 0.8
    rows = dict(summary.rows())
    assert rows['best digits/fid'] == '3.00 at iteration 100, generator_ema keeps 0.900'
    assert rows['last digits/fid'] == '4.00 at iteration 200, generator_ema keeps 0.800'
    assert rows['keep ratio of generator_ema (evaluated)'] == '0.800'
    assert rows['keep ratio of generator'] == '0.500'
    assert summarize(tmp_path, 'other/fid').best_keep_ratio == 0.5
    plot_curves(
        [record(50, 5.0, keep={'generator': 1.0}), *records], 'digits/fid', tmp_path / 'c.png'
    )


def test_records_that_do_not_say_what_was_evaluated_claim_nothing(tmp_path):
    write(tmp_path, [record(100, 3.0, keep={'generator': 0.5})])
    summary = summarize(tmp_path)
    assert (summary.evaluated, summary.best_keep_ratio) == (None, None)
    assert dict(summary.rows())['best digits/fid'] == '3.00 at iteration 100'
