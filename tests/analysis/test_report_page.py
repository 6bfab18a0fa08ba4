"""The page of a report; tests/tools/test_report.py opens it in a browser."""

import base64
import io
import json
import re

import pytest
from PIL import Image
from recorded_runs import write_run

from rggan_mm.errors import ConfigError

pytest.importorskip('bokeh', reason='the extra report is not installed')
from rggan_mm.analysis import report_page


def page(folders, path):
    report_page.write_report(folders, path)
    return path.read_text(encoding='utf-8')


def samples(text):
    return json.loads(re.search(r'id="samples">(.*?)</script>', text, re.DOTALL)[1])


def test_a_page_says_what_the_run_was(tmp_path):
    text = page([write_run(tmp_path / 'run')], tmp_path / 'report.html')
    facts = dict(re.findall(r'<tr><td>(.*?)</td><td>(.*?)</td></tr>', text))
    assert facts['best digits/fid'] == '40.00 at iteration 200, generator keeps 0.800'
    assert facts['config'] == 'rg.py'
    assert facts['generator.blocks.0.conv'] == '2'
    assert facts['&lt;b&gt;twice&lt;/b&gt;'] == '2'  # of the log, no markup
    assert '<tr><td>seed</td><td>7</td><td>0</td></tr>' in text


def test_pictures_are_in_the_page_the_newest_of_those_that_fit(tmp_path, monkeypatch):
    folder = write_run(tmp_path / 'run')
    (found,) = samples(page([folder], tmp_path / 'all.html'))
    assert [one['iter'] for one in found] == [100, 200, 300]
    assert found[1]['text'] == 'digits/fid 40.00, sparse phase'
    assert found[2]['text'] == 'digits/fid 45.00, dense phase'
    data = base64.b64decode(found[1]['src'].partition(',')[2])
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (32, 32)
        assert abs(picture.getpixel((9, 9))[0] - 200) < 3
    monkeypatch.setattr(report_page, 'PICTURES', 2 * len(found[0]['src']) + 10)
    (found,) = samples(page([folder], tmp_path / 'few.html'))
    assert [one['iter'] for one in found] == [100, 300]


def test_large_pictures_are_made_smaller(tmp_path):
    path = tmp_path / 'large.png'
    Image.new('RGB', (2000, 1000)).save(path)
    data = base64.b64decode(report_page._encoded(path).partition(',')[2])
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (768, 384)


def test_runs_of_one_name_are_told_apart(tmp_path):
    folders = [write_run(tmp_path / where / 'run') for where in 'ab']
    found = re.search(r'<title>(.*?)</title>', page(folders, tmp_path / 'report.html'))
    assert found[1] == ', '.join(map(str, folders))
    with pytest.raises(ConfigError, match='one is named twice'):
        report_page.write_report([folders[0]] * 2, tmp_path / 'report.html')


def test_unlike_protocols_are_said(tmp_path):
    folders = [write_run(tmp_path / name) for name in 'ab']
    warning = 'do not compare the numbers'
    assert warning not in page(folders, tmp_path / 'like.html')
    records = json.loads((folders[1] / 'evaluations.json').read_text())
    for record in records:
        record['metrics']['digits/n_fake'] = 20.0
    (folders[1] / 'evaluations.json').write_text(json.dumps(records))
    assert warning in page(folders, tmp_path / 'unlike.html')


def test_a_dense_run_without_pictures(tmp_path):
    folder = write_run(tmp_path / 'run')
    records = json.loads((folder / 'evaluations.json').read_text())
    for record in records:
        record.update(keep_ratio={}, layers={}, threshold={}, resets={}, sparse=False)
    (folder / 'evaluations.json').write_text(json.dumps(records))
    for picture in (folder / 'samples').iterdir():
        picture.unlink()
    text = page([folder], tmp_path / 'report.html')
    headings = re.findall(r'<h3>(.*?)</h3>', text)
    assert headings == ['digits/fid', 'Losses', 'Warnings of the log']
