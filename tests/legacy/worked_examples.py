"""The worked examples of the convolution specification (conv-kernels 5.1 to 5.4), as tables.

A layer: geometry as `conv_calls.Layer` takes it. Its rows: pass (partialSum behind that of the weights), kernel, grid,
block, shared bytes.
"""

EXAMPLES = [
    (
        dict(c=3, f=96, img=224, size=11, stride=4, side=55),
        """
        fwd | filterActs_YxX_color<4, 32, 4, 8, 3, false, false> | 1 9075 | 32 4 | 7680
        img | img_acts_color<8, 3, false, false, true> | 1 3136 | 16 16 | 11456
        wgt 0 | conv_weight_acts_c<4, 32, 5, 32, 3, false, false> | 3 7 | 32 4 | 11984
        wgt 55 | conv_weight_acts_c<4, 32, 5, 32, 3, false, false> | 165 7 | 32 4 | 11984
        wgt 1 | conv_weight_acts_c<4, 32, 5, 32, 3, false, false> | 9075 7 | 32 4 | 11984
    """,
    ),
    (
        dict(c=96, g=2, f=256, img=27, size=5, pad=2),
        """
        fwd | filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false> | 1 5832 | 32 4 | 5120
        img | conv_img_acts_manycolor<4, 32, 4, 4, false, false, true> | 6 729 | 32 4 | 9280
        wgt 0 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 4 42 | 32 4 | 12560
        wgt 27 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 108 42 | 32 4 | 12560
        wgt 1 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 2916 42 | 32 4 | 12560
    """,
    ),
    (
        dict(c=256, f=384, img=13, size=3, pad=1),
        """
        fwd | filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false> | 1 2028 | 32 4 | 5120
        img | conv_img_acts_manycolor<4, 32, 4, 4, false, false, true> | 16 169 | 32 4 | 9280
        wgt 0 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 6 96 | 32 4 | 12560
        wgt 13 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 78 96 | 32 4 | 12560
        wgt 1 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 1014 96 | 32 4 | 12560
    """,
    ),
    (
        dict(c=384, g=2, f=384, img=13, size=3, pad=1),
        """
        fwd | filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false> | 1 2028 | 32 4 | 5120
        img | conv_img_acts_manycolor<4, 32, 4, 4, false, false, true> | 24 169 | 32 4 | 9280
        wgt 0 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 6 72 | 32 4 | 12560
        wgt 13 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 78 72 | 32 4 | 12560
        wgt 1 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 1014 72 | 32 4 | 12560
    """,
    ),
    (
        dict(c=384, g=2, f=256, img=13, size=3, pad=1),
        """
        fwd | filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false> | 1 1352 | 32 4 | 5120
        img | conv_img_acts_manycolor<4, 32, 4, 4, false, false, true> | 24 169 | 32 4 | 9280
        wgt 0 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 4 72 | 32 4 | 12560
        wgt 13 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 52 72 | 32 4 | 12560
        wgt 1 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 676 72 | 32 4 | 12560
    """,
    ),
    (
        dict(c=3, f=48, img=224, size=11, stride=4, side=55),
        """
        fwd | filterActs_YxX_color<4, 32, 4, 4, 3, false, false> | 1 9075 | 32 4 | 6912
        img | img_acts_color<8, 3, false, false, true> | 1 3136 | 16 16 | 11456
        wgt 0 | conv_weight_acts_c<8, 16, 2, 32, 3, false, false> | 3 8 | 16 8 | 8320
        wgt 55 | conv_weight_acts_c<8, 16, 2, 32, 3, false, false> | 165 8 | 16 8 | 8320
    """,
    ),
    (
        dict(c=48, f=128, img=27, size=5, pad=2),
        """
        fwd | filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false> | 1 2916 | 32 4 | 5120
        img | conv_img_acts_manycolor<4, 32, 4, 4, false, false, true> | 3 729 | 32 4 | 9280
        wgt 0 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 2 42 | 32 4 | 12560
        wgt 27 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 54 42 | 32 4 | 12560
    """,
    ),
    (
        dict(c=256, f=192, img=13, size=3, pad=1),
        """
        fwd | filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false> | 1 1014 | 32 4 | 5120
        img | conv_img_acts_manycolor<4, 32, 4, 4, false, false, true> | 16 169 | 32 4 | 9280
        wgt 0 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 3 96 | 32 4 | 12560
        wgt 13 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 39 96 | 32 4 | 12560
    """,
    ),
    (
        dict(c=192, f=192, img=13, size=3, pad=1),
        """
        fwd | filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false> | 1 1014 | 32 4 | 5120
        img | conv_img_acts_manycolor<4, 32, 4, 4, false, false, true> | 12 169 | 32 4 | 9280
        wgt 0 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 3 72 | 32 4 | 12560
        wgt 13 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 39 72 | 32 4 | 12560
    """,
    ),
    (
        dict(c=192, f=128, img=13, size=3, pad=1),
        """
        fwd | filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false> | 1 676 | 32 4 | 5120
        img | conv_img_acts_manycolor<4, 32, 4, 4, false, false, true> | 12 169 | 32 4 | 9280
        wgt 0 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 2 72 | 32 4 | 12560
        wgt 13 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 26 72 | 32 4 | 12560
    """,
    ),
    (
        dict(c=3, f=32, img=32, size=5, pad=2),
        """
        fwd | filterActs_YxX_color<4, 32, 4, 8, 3, false, false> | 1 1024 | 32 4 | 7680
        img | img_acts_color<8, 3, false, false, true> | 1 64 | 16 16 | 11456
        wgt 0 | conv_weight_acts_c<4, 32, 5, 32, 3, false, false> | 1 2 | 32 4 | 11984
        wgt 4 | conv_weight_acts_c<4, 32, 5, 32, 3, false, false> | 256 2 | 32 4 | 11984
    """,
    ),
    (
        dict(c=32, f=32, img=16, size=5, pad=2),
        """
        fwd | filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false> | 1 256 | 32 4 | 5120
        img | conv_img_acts_manycolor<4, 32, 4, 4, false, false, true> | 2 256 | 32 4 | 9280
        wgt 0 | conv_weight_acts_mc_mf<8, 16, 2, 8, 32, false, false> | 1 16 | 16 8 | 12448
        wgt 4 | conv_weight_acts_mc_mf<8, 16, 2, 8, 32, false, false> | 64 16 | 16 8 | 12448
    """,
    ),
    (
        dict(c=32, f=64, img=8, size=5, pad=2),
        """
        fwd | filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false> | 1 128 | 32 4 | 5120
        img | conv_img_acts_manycolor<4, 32, 4, 4, false, false, true> | 2 64 | 32 4 | 9280
        wgt 0 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 1 28 | 32 4 | 12560
        wgt 4 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 16 28 | 32 4 | 12560
    """,
    ),
    (
        dict(c=64, f=64, img=6, size=3, pad=1, conv=False),
        """
        fwd | filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false> | 1 72 | 32 4 | 5120
        img | conv_img_acts_manycolor<4, 32, 4, 4, false, false, false> | 4 36 | 32 4 | 9280
        wgt 1 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 36 24 | 32 4 | 12560
    """,
    ),
    (
        dict(n=64, c=3, f=96, img=224, size=11, stride=4, side=55),
        """
        fwd | filterActs_YxX_color<4, 32, 2, 8, 3, false, false> | 1 9075 | 32 4 | 4608
        img | img_acts_color<4, 3, false, false, true> | 1 3136 | 16 16 | 7360
        wgt 0 | conv_weight_acts_c<4, 32, 5, 32, 3, false, false> | 3 7 | 32 4 | 11984
    """,
    ),
    (
        dict(n=100, c=3, f=96, img=224, size=11, stride=4, side=55),
        """
        fwd | filterActs_YxX_color<4, 32, 1, 8, 3, false, true> | 4 9075 | 32 4 | 3072
        img | img_acts_color<2, 3, false, true, true> | 4 3136 | 16 16 | 5312
        wgt 0 | conv_weight_acts_c<4, 32, 5, 32, 3, false, true> | 3 7 | 32 4 | 11984
    """,
    ),
    (
        dict(n=64, c=96, g=2, f=256, img=27, size=5, pad=2),
        """
        fwd | filterActs_YxX_sparse<4, 32, 2, 8, 2, false, false> | 1 5832 | 32 4 | 3072
        img | conv_img_acts_manycolor<4, 32, 2, 4, false, false, true> | 6 729 | 32 4 | 5184
        wgt 0 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, false> | 4 42 | 32 4 | 12560
    """,
    ),
    (
        dict(n=96, c=96, g=2, f=256, img=27, size=5, pad=2, scale=1),
        """
        fwd | filterActs_YxX_sparse<4, 32, 1, 8, 2, true, false> | 3 5832 | 32 4 | 2048
        img | conv_img_acts_manycolor<4, 32, 1, 4, true, false, true> | 18 729 | 32 4 | 3136
        wgt 0 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, true, false> | 4 42 | 32 4 | 12560
    """,
    ),
    (
        dict(n=100, c=96, g=2, f=256, img=27, size=5, pad=2),
        """
        fwd | filterActs_YxX_sparse<4, 32, 1, 8, 2, false, true> | 4 5832 | 32 4 | 2048
        img | conv_img_acts_manycolor<4, 32, 1, 4, false, true, true> | 24 729 | 32 4 | 3136
        wgt 0 | conv_weight_acts_mc_mf<4, 32, 2, 8, 32, false, true> | 4 42 | 32 4 | 12560
    """,
    ),
    (
        dict(c=12, f=48, img=27, size=5, pad=2),
        """
        fwd | filterActs_YxX_sparse<4, 32, 4, 4, 2, false, false> | 1 2187 | 32 4 | 4608
        img | img_acts_mediumcolor<8, 4, false, false, true> | 3 49 | 16 16 | 12544
        wgt 0 | conv_weight_acts_mc_mf<8, 16, 1, 4, 32, false, false> | 3 12 | 16 8 | 6240
    """,
    ),
    (
        dict(c=1, f=16, img=28, size=5, side=24),
        """
        fwd | filterActs_YxX_color<4, 32, 4, 4, 1, false, false> | 1 576 | 32 4 | 2304
        img | img_acts_color<8, 1, false, false, true> | 1 49 | 16 16 | 9280
        wgt 0 | conv_weight_acts_c<8, 16, 5, 32, 1, false, false> | 1 1 | 16 8 | 7392
    """,
    ),
    (
        dict(c=64, g=4, k=32, f=128, img=16, size=5, pad=2),
        """
        fwd | filterActs_YxX_sparse_random<4, 32, 4, 8, 2, false, false> | 1 1024 | 32 4 | 5128
        img | img_acts_manycolor_sparse_rand<4, 32, 4, 4, false, false, true> | 4 512 | 32 4 | 9344
        wgt 0 | conv_weight_acts_mc_mf_rand<8, 16, 2, 8, 32, false, false> | 4 16 | 16 8 | 12480
    """,
    ),
    (
        dict(c=24, g=4, k=12, f=64, img=16, size=5, pad=2),
        """
        fwd | filterActs_YxX_sparse_random<4, 32, 4, 4, 2, false, false> | 1 1024 | 32 4 | 4616
        img | img_acts_mediumcolor_sparse_rand<8, 4, false, false, true> | 6 32 | 16 16 | 12560
        wgt 0 | conv_weight_acts_mc_mf_rand<8, 16, 1, 4, 32, false, false> | 4 12 | 16 8 | 6256
    """,
    ),
]
