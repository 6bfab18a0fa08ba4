"""Packaging of rggan_mm; the ranges are in requirements/."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
EXTRAS = ('lite', 'full', 'features', 'export', 'report', 'study', 'tests')


def requirements(name: str) -> list[str]:
    """Read one file of requirements/ without its comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line.partition('#')[0].strip() for line in lines if line.partition('#')[0].strip()]


def version() -> str:
    """Read the version without importing the package."""
    scope: dict[str, str] = {}
    exec((ROOT / 'rggan_mm' / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


def long_description() -> str:
    """Use the README where there is one."""
    readme = ROOT / 'README.md'
    return readme.read_text(encoding='utf-8') if readme.is_file() else ''


setup(
    name='rggan_mm',
    version=version(),
    description='RG-GAN: dynamic regenerative pruning for data-efficient GANs, as a MMagic plugin',
    long_description=long_description(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['rggan_mm', 'rggan_mm.*']),
    package_data={
        'rggan_mm.analysis': ['templates/*.html'],
        'rggan_mm.evaluation': ['weights/*.pth'],
    },
    python_requires='>=3.10,<3.13',
    install_requires=requirements('runtime'),
    extras_require={name: requirements(name) for name in EXTRAS},
)
