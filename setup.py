"""Packaging of rggan_mm; the ranges are in requirements/."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
EXTRAS = ('lite', 'full', 'mmagic-all', 'features', 'export', 'report', 'study', 'tests')
# Tools that need dev/, which only a clone has.
DEVELOPERS = ('benchmark*.py', 'fault_test.py', 'analysis/communication.py')
CLASSIFIERS = [
    'Development Status :: 4 - Beta',
    'Environment :: GPU :: NVIDIA CUDA',
    'Intended Audience :: Developers',
    'Intended Audience :: Science/Research',
    'Operating System :: POSIX :: Linux',
    *(f'Programming Language :: Python :: 3.{minor}' for minor in (11, 12, 13, 14)),
    'Topic :: Scientific/Engineering :: Artificial Intelligence',
    'Topic :: Scientific/Engineering :: Image Processing',
]


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
    license_expression='Apache-2.0',
    license_files=['LICENSE'],
    author='The rggan_mm authors',
    project_urls={
        'MMagic': 'https://github.com/open-mmlab/mmagic',
        'Published code of RG-GAN': 'https://github.com/IntellicentAI-Lab/RG-GAN',
    },
    keywords=['GAN', 'pruning', 'sparsity', 'few-shot', 'data-efficient', 'MMagic', 'OpenMMLab'],
    classifiers=CLASSIFIERS,
    packages=find_packages(include=['rggan_mm', 'rggan_mm.*']),
    # .mim/ holds configs/ and tools/ (links in a clone), where OpenMMLab's mim looks for them.
    package_data={
        'rggan_mm': ['.mim/**/*'],
        'rggan_mm.analysis': ['templates/*.html'],
        'rggan_mm.evaluation': ['weights/*.pth'],
    },
    exclude_package_data={'rggan_mm': [f'.mim/tools/{name}' for name in DEVELOPERS]},
    python_requires='>=3.11,<3.15',
    install_requires=requirements('runtime'),
    extras_require={name: requirements(name) for name in EXTRAS},
)
