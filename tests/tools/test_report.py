"""The report as a person opens it: in a browser, without a network."""

import shutil

import pytest
from recorded_runs import write_run
from tool_modules import load_tool

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')

pytest.importorskip('bokeh', reason='the extra report is not installed')
playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
report = load_tool('analysis/report')


@pytest.fixture(scope='module')
def browser():
    """A browser of this machine; Playwright brings none."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f'no browser: none of {", ".join(BROWSERS)} is installed')
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=path, args=['--no-sandbox'])
        yield found
        found.close()


@pytest.fixture
def opened(browser, tmp_path, monkeypatch):
    """A report of two runs in the browser, and what it complained of or asked for."""
    folders = [write_run(tmp_path / name) for name in ('first', 'second')]
    for path in list((folders[1] / 'samples').iterdir())[1:]:
        path.unlink()
    path = tmp_path / 'report.html'
    monkeypatch.setattr('sys.argv', ['report.py', *map(str, folders), '-o', str(path)])
    assert report.main() == 0
    page = browser.new_page()
    trouble, asked = [], []
    page.on('console', lambda message: message.type == 'error' and trouble.append(message.text))
    page.on('pageerror', lambda error: trouble.append(str(error)))
    page.on('request', lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector('.bk-Figure')
    yield page, trouble, asked
    page.close()


def test_nothing_is_wrong_and_nothing_is_asked_of_a_network(opened):
    page, trouble, asked = opened
    page.wait_for_function('Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle')
    assert trouble == []
    assert [url for url in asked if not url.startswith('data:')] == [page.url]
    # The comparison; of each run metric, keep ratios, two heat maps, thresholds and losses.
    assert page.locator('.bk-Figure').count() == 1 + 2 * 6


def test_the_slider_moves_the_samples(opened):
    page, trouble, _ = opened
    viewer = page.locator('.viewer').nth(1)  # of the first run; number 0 shows both
    picture, slider = viewer.locator('img'), viewer.locator('input')
    assert viewer.locator('output').inner_text() == 'iteration 300'
    last = picture.get_attribute('src')
    slider.focus()
    page.keyboard.press('ArrowLeft')
    assert viewer.locator('output').inner_text() == 'iteration 200'
    assert 'digits/fid 40.00' in viewer.locator('figcaption').inner_text()
    assert picture.get_attribute('src') != last
    assert picture.evaluate('image => image.naturalWidth') == 32
    assert trouble == []


def test_one_slider_moves_the_samples_of_all_runs(opened):
    page, _, _ = opened
    viewer = page.locator('.viewer').first
    viewer.locator('input').fill('0')
    assert viewer.locator('output').inner_text() == 'iteration 100'
    captions = viewer.locator('figcaption').all_inner_texts()
    assert len(captions) == 2
    assert captions[0].startswith('first, iteration 100')


def test_missing_records_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['report.py', str(tmp_path)])
    assert report.main() == 1
    assert capsys.readouterr().err.startswith('error: ')
