"""The dispatch tables of the specification as data and as rules, written apart from the engine's own.

Every rule gives (kernel string, grid (x, y), block (x, y), shared bytes). N images, C channels, G groups, F filters, M
modules, P filter pixels; K = C / G, or the channels per filter where a table connects them; O = K G / C.
"""


def ceil(a, b):
    """a / b, rounded up."""
    return -(-a // b)


def instance(name, *arguments):
    """A kernel string; booleans as C++ spells them."""
    return f"{name}<{', '.join(str(a).lower() if isinstance(a, bool) else str(a) for a in arguments)}>"


# conv-kernels 4.1: first divisor of N -> images per thread of 32-wide blocks (twice that of 16-wide ones), per block.
IMAGE_CLASSES = [(128, 4, 128), (64, 2, 64), (1, 1, 32)]


def images(n):
    """(images per thread, images per block, column of the shared-memory tables, bounds checked)."""
    for column, (divisor, per_thread, per_block) in enumerate(IMAGE_CLASSES):
        if n % divisor == 0:
            return per_thread, per_block, column, n % per_block != 0
    raise AssertionError


# 4.2, 4.3: (kernel, filters per thread, channels staged) -> bytes for 4, 2, 1 images per thread.
FORWARD_SHARED = {
    ("filterActs_YxX_color", 8, 1): (2560, 1536, 1024),
    ("filterActs_YxX_color", 8, 2): (5120, 3072, 2048),
    ("filterActs_YxX_color", 8, 3): (7680, 4608, 3072),
    ("filterActs_YxX_color", 4, 1): (2304, 1280, 768),
    ("filterActs_YxX_color", 4, 2): (4608, 2560, 1536),
    ("filterActs_YxX_color", 4, 3): (6912, 3840, 2304),
    ("filterActs_YxX_sparse", 8, 2): (5120, 3072, 2048),
    ("filterActs_YxX_sparse", 4, 2): (4608, 2560, 1536),
    ("filterActs_YxX_sparse_random", 8, 2): (5128, 3080, 2056),
    ("filterActs_YxX_sparse_random", 4, 2): (4616, 2568, 1544),
}


def forward(n, c, g, f, m, scale, sparse=False):
    """4.2 and 4.3."""
    per_thread, per_block, column, check = images(n)
    per_filter = 8 if f // g % 32 == 0 else 4
    name = "filterActs_YxX_sparse_random" if sparse else "filterActs_YxX_color" if c <= 3 else "filterActs_YxX_sparse"
    staged = c if name == "filterActs_YxX_color" else 2
    return (instance(name, 4, 32, per_thread, per_filter, staged, scale, check),
            (ceil(n, per_block), m * f // (32 if per_filter == 8 else 16)), (32, 4),
            FORWARD_SHARED[name, per_filter, staged][column])  # fmt: skip


# 4.4, 4.5: (kernel, channels per thread) -> bytes for the largest, middle and smallest number of images per thread.
IMAGE_SHARED = {
    ("conv_img_acts_manycolor", 4): (9280, 5184, 3136),
    ("conv_img_acts_manycolor", 2): (8736, 4640, 2592),
    ("img_acts_mediumcolor", 4): (12544, 8448, 6400),
    ("img_acts_mediumcolor", 2): (10368, 6272, 4224),
    ("img_acts_color", 3): (11456, 7360, 5312),
    ("img_acts_color", 2): (10368, 6272, 4224),
    ("img_acts_color", 1): (9280, 5184, 3136),
    ("img_acts_manycolor_sparse_rand", 4): (9344, 5248, 3200),
    ("img_acts_manycolor_sparse_rand", 2): (8768, 4672, 2624),
    ("img_acts_mediumcolor_sparse_rand", 4): (12560, 8464, 6416),
    ("img_acts_mediumcolor_sparse_rand", 2): (10376, 6280, 4232),
}


def image_gradient(n, c, k, side, scale, conv, samples=None):
    """4.4, and 4.5 where `samples` is O; `side` of the image."""
    per_thread, per_block, column, check = images(n)
    sparse = samples is not None
    if k % 8 == 0:
        name = "img_acts_manycolor_sparse_rand" if sparse else "conv_img_acts_manycolor"
        colors = 4 if k % 16 == 0 else 2
        list_, block = (4, 32, per_thread, colors, scale, check, conv), (32, 4)
        grid = (ceil(n, per_block) * (c // (16 if colors == 4 else 8)), side * side)
    else:
        medium = "img_acts_mediumcolor_sparse_rand" if sparse else "img_acts_mediumcolor"
        name = medium if k > 3 else "img_acts_color"
        colors = c if k <= 3 else 4 if k % 4 == 0 else 2
        list_, block = (2 * per_thread, colors, scale, check, conv), (16, 16)
        grid = (ceil(n, per_block) * (c // colors), ceil(side, 4) ** 2)
    return (instance(name, *list_), (grid[0], grid[1] * (samples or 1)), block, IMAGE_SHARED[name, colors][column])


# 4.6, more than 3 channels: first divisor of the filters per group, first divisor of the channels per filter ->
# B_Y, B_X, filters and channels per thread; filters, pixels and channels of a block; bytes, and those of 4.7.
MANY_WEIGHTS = [
    (64, 8, (4, 32, 2, 8), (64, 4, 8), 12560, 12592),
    (64, 4, (4, 32, 2, 4), (64, 4, 4), 10512, 10528),
    (32, 8, (8, 16, 2, 8), (32, 8, 8), 12448, 12480),
    (32, 4, (8, 16, 2, 4), (32, 8, 4), 8352, 8368),
    (16, 8, (8, 16, 1, 8), (16, 8, 8), 10336, 10368),
    (16, 4, (8, 16, 1, 4), (16, 8, 4), 6240, 6256),
]
# Up to 3: (first divisor of the filters, channels) -> B_Y, B_X, pixels per thread; filters, pixels of a block; bytes.
FEW_WEIGHTS = {
    (32, 1): ((4, 32, 8), (32, 32), 8448),
    (32, 2): ((4, 32, 5), (32, 20), 9424),
    (32, 3): ((4, 32, 5), (32, 20), 11984),
    (16, 1): ((8, 16, 5), (16, 40), 7392),
    (16, 2): ((8, 16, 2), (16, 16), 6272),
    (16, 3): ((8, 16, 2), (16, 16), 8320),
}


def weight_gradient(n, c, g, k, f, m, p, partial_sum, scale, sparse=False):
    """4.6 and 4.7."""
    slabs, check = m // (partial_sum or m), n % 32 != 0
    if k <= 3 and not sparse:
        (b_y, b_x, pixels), (filters, block_pixels), shared = FEW_WEIGHTS[32 if f % 32 == 0 else 16, c]
        kernel = instance("conv_weight_acts_c", b_y, b_x, pixels, 32, c, scale, check)
        return kernel, (slabs * (f // filters), ceil(p, block_pixels)), (b_x, b_y), shared
    row = next(row for row in MANY_WEIGHTS if f // g % row[0] == 0 and k % row[1] == 0)
    (b_y, b_x, per_filter, colors), (filters, pixels, channels), dense_shared, sparse_shared = row[2:]
    name = "conv_weight_acts_mc_mf_rand" if sparse else "conv_weight_acts_mc_mf"
    kernel = instance(name, b_y, b_x, per_filter, colors, 32, scale, check)
    grid = (slabs * (f // filters), ceil(p, pixels) * (k // channels))
    return kernel, grid, (b_x, b_y), sparse_shared if sparse else dense_shared


def pool_forward(generation, pooler, f, n, size, stride, outputs):
    """pool-norm 1.1."""
    if stride == 1 and size >= 6 and (generation != 2014 or outputs > 1):
        per_thread = 8 if n % 128 == 0 else 4
        filters = next(d for d in (4, 3, 2, 1) if f % d == 0)
        kernel = instance("kLocalPool2", pooler, 8, per_thread, filters, n % (8 * per_thread) != 0)
        grid = (ceil(outputs, 4) * ceil(n, 8 * per_thread), ceil(outputs, 4) * f // filters)
        return kernel, grid, (8, 16), 4 * filters * 8 * per_thread
    per_thread, per_block, _, check = images(n)
    many, divisor = (4, 16) if generation == 2014 else (2, 8)
    filters = many if f % divisor == 0 else 1
    kernel = instance("kLocalPool", pooler, 4, 32, per_thread, filters, check)
    return kernel, (ceil(n, per_block) * outputs, ceil(f, 4 * filters) * outputs), (32, 4), 0


def max_undo(f, n, side, scales):
    """1.2; only scales (0, 1) do not read the target."""
    per_thread, per_block, _, check = images(n)
    kernel = instance("kLocalMaxUndo", 4, 32, per_thread, 2, scales != (0, 1), check)
    return kernel, (ceil(n, per_block) * side, f // 8 * side), (32, 4), 4 * 8 * per_block


def avg_undo(generation, f, n, side, scales, total=False):
    """1.3."""
    per_thread, per_block, _, check = images(n)
    flags = (total, scales != (0, 1), check) if generation == 2014 else (scales != (0, 1), check)
    kernel = instance("kLocalAvgUndo", 4, 32, per_thread, 4, *flags)
    return kernel, (ceil(n, per_block) * side, f // 16 * side), (32, 4), 0


def map_norm(generation, f, n, side, size):
    """2.2; None where the original asserts."""
    if f > 8 and f % 16:
        return None
    if size >= 6 and f % 4 == 0:
        grid = (ceil(side, 4) * ceil(n, 64), ceil(side, 4) * f // 4)
        return instance("kCNorm2", 8, 8, 4, n % 64 != 0), grid, (8, 16), 1024
    check = n % 128 != 0
    if f <= 8:
        return instance("kCNorm_fewfilter", 1, f, check), (ceil(n, 128) * side, side), (128, 1), 0
    blocks = ceil(n, 128)
    grid = (blocks, f // 8, side * side) if generation == 2014 else (blocks * side, f // 8 * side)
    return instance("kCNorm_manyfilter", 4, 32, 4, 2, check), grid, (32, 4), 0


def map_norm_undo(generation, f, n, side, size, scales):
    """2.4, the kernel after the preliminaries; the flag of kRNormUndo2 is the wrong way round, as launched."""
    fresh = scales == (0, 1)
    if size >= 6:
        per_thread = 8 if n % 128 == 0 else 4 if n % 64 == 0 else 2
        grid = (ceil(side, 4) * ceil(n, 16 * per_thread), ceil(side, 4) * f // 4)
        kernel = instance("kRNormUndo2", 16, per_thread, 4, fresh, n % (16 * per_thread) != 0)
        return kernel, grid, (16, 16), 4 * 4 * 16 * per_thread
    if generation == 2014:
        per_thread = 4 if n % 128 == 0 else 1
        flags = (n % (32 * per_thread) != 0,)
    else:
        per_thread = 2 if n % 64 == 0 else 1
        flags = (not fresh, n % (32 * per_thread) != 0)
    kernel = instance("kRNormUndo", 4, 32, per_thread, 2, *flags)
    return kernel, (ceil(n, 32 * per_thread) * side, f // 8 * side), (32, 4), 0


def cross_map_norm(f, n, side, blocked):
    """2.5."""
    kernel = instance("kFCNorm", 4, 32, 4, n % 128 != 0, blocked)
    return kernel, (ceil(n, 128) * side, f // 4 * side), (32, 4), 0


def cross_map_norm_undo(generation, f, n, side, blocked, scales):
    """2.6, the kernel after the preliminaries."""
    name = "kFRNormUndo2" if generation == 2014 else "kFRNormUndo"
    kernel = instance(name, 4, 32, 4, scales != (0, 1), n % 128 != 0, blocked)
    return kernel, (ceil(n, 128) * side, f // 4 * side), (32, 4), 0


# 9.4, fewer than 16384 stored vectors: longest vector -> threads.
ROW_THREADS = [(64, 32), (128, 64), (256, 128), (511, 256)]


def row_reduction(width, height):
    """9.4, the row path of a sum: kernel, grid, block."""
    types = ("agg::Sum", "binary::Second")
    if height >= 16384:
        blocks = (1, ceil(height, 256))
        if width > 64:
            return instance("kAggShortRows2", *types), blocks, (32, 8)
        threads = ceil(width, 4) * 4 if width <= 16 else 32
        loops = 1 if width <= 16 else max(2, ceil(width, 16))
        return instance("kAggShortRows", *types, loops, threads), blocks, (threads, 8)
    if width >= 512:
        return instance("kAggRows_wholerow_nosync", *types), (1, min(1024, height)), (256, 1)
    threads = next(threads for longest, threads in ROW_THREADS if width <= longest)
    return instance("kAggRows", *types, threads), (1, height), (threads, 1)
