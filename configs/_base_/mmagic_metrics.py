# MMagic's own FID and Inception Score under the published protocol, in place of GANMetrics;
# docs/configs.md shows how. inception_path: a local inception-2015-12-05.pt; None
# downloads it. MMagic's own file name for statistics of real images leaves out the split,
# so inception_pkl names one; take another
# name with other images, another inception_path or another reference: what is there is used.
mmagic_metrics = [
    dict(
        type='FrechetInceptionDistance',
        prefix='FID-Full',
        fake_nums=10000,
        inception_style='StyleGAN',
        inception_path=None,
        inception_pkl='data/mmagic_inception_cifar10_test.pkl',
        sample_model='ema',
    ),
    dict(
        type='InceptionScore',
        prefix='IS',
        fake_nums=10000,
        inception_style='StyleGAN',
        inception_path=None,
        sample_model='ema',
    ),
]
