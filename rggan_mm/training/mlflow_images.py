"""Pictures of a run that logs to MLflow; MMEngine's backend names them without an ending."""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import VISBACKENDS
from mmengine.visualization import MLflowVisBackend
from PIL import Image


@VISBACKENDS.register_module()
class NamedMLflowVisBackend(MLflowVisBackend):
    """Names pictures so that MLflow can write them; takes the same arguments.

    MLflow chooses a picture's format by its ending, and MMEngine and MMagic hand on names
    without one: the first picture ends the run with ``unknown file extension``. Here a name
    gets the step and ``.png``, as in MMEngine's LocalVisBackend.

    :class:`SafeRunner` takes it for each MLflowVisBackend of a config.
    """

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Records a picture.

        Args:
            name: Its name; an ending of a picture format stays.
            image: RGB, (H, W, 3).
            step: The iteration, or the picture's number. Defaults to 0.
            **kwargs: As in MMEngine.
        """
        if Path(name).suffix.lower() not in Image.registered_extensions():
            name = f'{name}_{step}.png'
        super().add_image(name, image, step, **kwargs)


def with_named_images(visualizer: Any) -> Any:
    """Takes :class:`NamedMLflowVisBackend` in a visualizer's config.

    Args:
        visualizer: The config; anything else is given back.

    Returns:
        The config, a changed copy where it names MLflow.
    """
    backends = visualizer.get('vis_backends') if isinstance(visualizer, dict) else None
    if not isinstance(backends, (list, tuple)) or not any(map(_is_mlflow, backends)):
        return visualizer
    named = [{**b, 'type': NamedMLflowVisBackend} if _is_mlflow(b) else b for b in backends]
    return {**visualizer, 'vis_backends': named}


def _is_mlflow(backend: Any) -> bool:
    kind = backend.get('type') if isinstance(backend, dict) else None
    return (VISBACKENDS.get(kind) if isinstance(kind, str) else kind) is MLflowVisBackend
