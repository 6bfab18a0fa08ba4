"""Files that a study leaves in its folder."""

import json
from collections.abc import Sequence

import pandas as pd

from rggan_mm.files import written_whole

from .picture import draw
from .plan import Study
from .tables import as_markdown


def write_results(
    study: Study, runs: pd.DataFrame, methods: pd.DataFrame, command: Sequence[str]
) -> None:
    """Writes results.md, results.csv, runs.csv, results.png and environment.json.

    Args:
        study: The study; its folder takes the files.
        runs: From :func:`rggan_mm.analysis.study.results.run_table`.
        methods: From :func:`rggan_mm.analysis.study.results.method_table`.
        command: The command that made them.
    """
    texts = {
        'results.md': as_markdown(study, runs, methods),
        'results.csv': methods.to_csv(index=False),
        'runs.csv': runs.to_csv(index=False),
        'environment.json': json.dumps(_environments(study, command), indent=1) + '\n',
    }
    for name, text in texts.items():
        with written_whole(study.folder / name) as temporary:
            temporary.write_text(text, encoding='utf-8')
    if 'best' in runs:
        draw(study, runs, methods, study.folder / 'results.png')


def _environments(study: Study, command: Sequence[str]) -> dict:
    """Each environment in which runs were made, with the names of these runs."""
    places: dict[str, list[str]] = {}
    for run in study.runs:
        place = run.record().get('environment')
        if place:
            places.setdefault(json.dumps(place), []).append(run.name)
    return {
        'command': ' '.join(command),
        'environments': [{**json.loads(text), 'runs': names} for text, names in places.items()],
    }
