# Why do seeds of a dense run differ? Three sets of initial weights, each with three seeds of all
# else: order of the images, noise. The weights of seed K are those of a run that does not learn:
#     python tools/train.py configs/sngan_digits_35.py --work-dir work_dirs/initial_K --cfg-options
#         randomness.seed=K train_cfg.max_iters=1 train_cfg.val_interval=1
#         optim_wrapper.generator.optimizer.lr=0 optim_wrapper.discriminator.optimizer.lr=0
metric = 'digits/fid'
report = 'held_out/fid'
seeds = [0, 1, 2]
baseline = 'weights_0'
methods = {
    f'weights_{k}': dict(
        config='configs/sngan_digits_35.py',
        changes={'load_from': f'work_dirs/initial_{k}/iter_1.pth'},
    )
    for k in (0, 1, 2)
}
