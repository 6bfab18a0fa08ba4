"""A generator as an ONNX file, checked against PyTorch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch

from rggan_mm.analysis.calling import Images
from rggan_mm.errors import ConfigError
from rggan_mm.files import written_whole

from .weight_files import needed

CHECKED = 64  # samples
TOLERANCE = 1e-4  # of the largest value
_AT_ONCE = 16
_PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')


def save_onnx(
    path: Path, images: Images, metadata: Mapping[str, str], checked: int = CHECKED
) -> float:
    """Writes a generator as ONNX, with any number of samples at a time.

    Args:
        path: The file.
        images: The generator, baked (:func:`rggan_mm.export.baking.bake`) and in eval mode.
        metadata: Text by name that the file carries.
        checked: Number of samples that are compared.

    Returns:
        Largest difference between onnxruntime and PyTorch, of the largest value.

    Raises:
        ConfigError: A missing package, a network that the exporter refuses, or images
            that differ by more than 1e-4.
    """
    for package in _PACKAGES:
        needed(package, '--format onnx')
    name = type(images.network).__name__
    program = _traced(images, name)
    program.model.metadata_props.update(metadata)
    with written_whole(path) as temporary:
        program.save(str(temporary), external_data=False)
        found = difference(temporary, images, checked)
        if not found <= TOLERANCE:
            raise ConfigError(
                f'{name}: onnxruntime and PyTorch differ by {found:.1e} of the largest value; '
                f'at most {TOLERANCE:g} is written'
            )
    return found


def difference(path: Path, images: Images, count: int = CHECKED) -> float:
    """Largest difference between a file's images and a network's, of the largest value."""
    runtime = needed('onnxruntime', '--format onnx')
    session = runtime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    if not isinstance(session.get_inputs()[0].shape[0], str):
        name = type(images.network).__name__
        raise ConfigError(f'{name}: torch.onnx refuses it: its forward needs a fixed batch size')
    apart = largest = 0.0
    for start in range(0, count, _AT_ONCE):
        inputs = images.example(min(_AT_ONCE, count - start), seed=start + 1)
        with torch.no_grad():
            wanted = images(*inputs)
        given = {name: value.numpy() for name, value in zip(images.names, inputs, strict=True)}
        found = torch.from_numpy(session.run(None, given)[0])
        apart = max(apart, float((found - wanted).abs().max()))
        largest = max(largest, float(wanted.abs().max()))
    return apart / largest


def _traced(images: Images, name: str) -> torch.onnx.ONNXProgram:
    inputs = tuple(images.example(2))
    batch = torch.export.Dim('batch')
    logger = logging.getLogger('torch.onnx')
    before, logger.disabled = logger.disabled, True
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return torch.onnx.export(
                images,
                inputs,
                input_names=images.names,
                output_names=['images'],
                dynamic_shapes=tuple({0: batch} for _ in inputs),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # whatever tracing stumbles over
        raise ConfigError(f'{name}: torch.onnx refuses it: {_reason(error)}') from error
    finally:
        logger.disabled = before


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
