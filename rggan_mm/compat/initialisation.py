"""DCGAN, CycleGAN and Pix2Pix cannot initialise their weights."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from mmengine.model.weight_init import update_init_info
from torch import nn

from rggan_mm.compat.repair import Repair

_RECORD = '_params_init_info'
_FUNCTION = 'generation_init_weights'
# Every module of MMagic that holds the function.
USERS = (
    'mmagic.models.utils.model_utils',
    'mmagic.models.utils',
    'mmagic.models.archs.patch_disc',
    'mmagic.models.archs.smpatch_disc',
    'mmagic.models.editors.cyclegan.cyclegan_generator',
    'mmagic.models.editors.pix2pix.pix2pix_generator',
)


def _as_the_generator_does(original: Callable[..., None]) -> Callable[..., None]:
    """Let DCGAN's discriminator borrow the generator's form: the same numbers, no bug."""

    @wraps(original)
    def init_weights(self: nn.Module) -> None:
        from mmagic.models.editors.dcgan import DCGANGenerator

        # The generator's form calls super() for pretrained weights, which
        # only works on a generator; that branch of the original is sound.
        pretrained = self.init_cfg is not None and self.init_cfg['type'] == 'Pretrained'
        (original if pretrained else DCGANGenerator.init_weights)(self)

    return init_weights


def fails_when_recorded() -> bool:
    """Ask the function, with the smallest module that MMEngine keeps a record of."""
    from mmagic.models.utils import generation_init_weights

    module = nn.Identity()
    module._params_init_info = {}
    try:
        generation_init_weights(module)
    except UnboundLocalError:
        return True
    return False


def _record_afterwards(init_weights: Callable[..., None]) -> Callable[..., None]:
    """Hide MMEngine's record while the weights are drawn, then write it."""

    @wraps(init_weights)
    def initialise(module: nn.Module, init_type: str = 'normal', init_gain: float = 0.02) -> None:
        hidden = {m: vars(m).pop(_RECORD) for m in module.modules() if _RECORD in vars(m)}
        try:
            init_weights(module, init_type, init_gain)
        finally:
            _put_back(hidden)
        if module in hidden:
            _write(module, f'{init_type} initialisation with gain {init_gain}')

    return initialise


def _put_back(hidden: dict[nn.Module, Any]) -> None:
    """Give every module its record again."""
    for module, record in hidden.items():
        module._params_init_info = record


def _write(module: nn.Module, what: str) -> None:
    """Record who changed the parameters that have changed."""
    update_init_info(module, f'Initialized by {type(module).__name__}: {what}')


def _once(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make one replacement of a function that several modules hold."""
    made: dict[Any, Any] = {}

    def replacement(original: Any) -> Any:
        return made.setdefault(original, make(original))

    return replacement


REPAIRS = (
    Repair(
        name='dcgan-init',
        symptom='DCGAN, LSGAN and GGAN: UnboundLocalError init_info from '
        'DCGANDiscriminator.init_weights. It is set for convolutions and batch norms only.',
        changes={
            'mmagic.models.editors.dcgan:DCGANDiscriminator.init_weights': (_as_the_generator_does)
        },
    ),
    Repair(
        name='cyclegan-init',
        symptom='CycleGAN and Pix2Pix: UnboundLocalError init_info from generation_init_weights '
        '(MMagic issue 2109), for a network that MMEngine keeps a record of.',
        changes=dict.fromkeys([f'{user}:{_FUNCTION}' for user in USERS], _once(_record_afterwards)),
        needed=fails_when_recorded,
    ),
)
