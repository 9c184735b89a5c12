"""Where a*b + c is one rounding: on the GPU and in the FMA builds for the CPU at the same places of a convolution.

Every product of a sum is fused with it. In scaleTargets * old + scaleOutput * sum the first product is.
"""

import re
import shutil
import subprocess

import numpy as np
import pytest
from conv_calls import Layer
from kernel_launches import kernel_name

from alexnet_rosetta.legacy import _call, isa, use_isa
from alexnet_rosetta.legacy.gpu import cuda_source
from alexnet_rosetta.legacy.gpu.recording import DryDevice

FUSING = [name for name in isa.available() if isa.load(name).build_info()["fma"]]
LAYERS = [dict(c=3, f=16), dict(c=4, f=16), dict(c=8, f=32), dict(c=16, f=64), dict(c=8, g=2, k=8, f=32),
          dict(c=8, g=2, k=4, f=32)]  # fmt: skip


def launched(scale):
    """(kernel string, kinds) of the convolution kernels, one of each."""
    device = DryDevice()
    for sizes in LAYERS:
        layer = Layer(n=32, img=7, size=3, pad=1, scale=scale, device=device, **sizes)
        layer.forward()
        layer.image_gradient()
        layer.weight_gradient(0)
    return list({kernel_name(kernel): (kernel, kinds) for kernel, kinds in device.instances}.values())


@pytest.mark.nvcc
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on the path")
def test_nvcc_fuses_every_product_of_a_sum(tmp_path):
    instances = [*launched(scale=0), *launched(scale=1)]
    assert len(instances) == 2 * 11
    source, ptx = tmp_path / "kernels.cu", tmp_path / "kernels.ptx"
    source.write_text(cuda_source.source(instances))
    subprocess.run(["nvcc", "-ptx", "-arch=sm_90", "-std=c++17", "--fmad=true", f"-I{cuda_source.KERNELS}", str(source),
                    "-o", str(ptx)], check=True)  # fmt: skip
    for part in ptx.read_text().split(".visible .entry ")[1:]:
        operations = re.findall(r"\b(fma|add|sub|mul)(\.rn)?\.f32", part)
        assert {name for name, _ in operations} == {"fma", "mul"}, part[:100]
        # In the write of an output: scaleOutput * sum, rounded on its own where it is then an addend.
        assert {rounded for name, rounded in operations if name == "mul"} in ({""}, {".rn"})


@pytest.mark.skipif(not FUSING, reason="no module that fuses a*b + c was built, or runs here")
@pytest.mark.parametrize("sizes", LAYERS[:4])
def test_the_fma_build_fuses_the_first_product_of_a_write(sizes):
    random, layer = np.random.default_rng(5), Layer(n=32, img=7, size=3, pad=1, **sizes)

    def values(like):
        return random.standard_normal(like.shape, np.float32)

    def run(entry, given, targets, scales):
        scalars = {"imgSizeY": 7, "numModulesY": 7, "paddingStart": -1, "moduleStride": 1, "numImgColors": layer.c,
                   "numGroups": 1, "numModulesX": 7, "imgSizeX": 7, "filterSize": 3, "partialSum": 0}  # fmt: skip
        names = {"Filter": ("images", "filters"), "Img": ("hidActs", "filters"), "Weight": ("images", "hidActs")}[entry]
        operands = [_call.row(name, given[name]) for name in names]
        scalars |= dict(zip(("scaleTargets", "scaleOutput"), scales, strict=True))
        return _call.call(f"conv{entry}Acts", operands, [_call.row("targets", targets)], scalars)

    arrays = {"images": layer.images(), "filters": layer.filters(), "hidActs": layer.outputs()}
    given = {name: values(array) for name, array in arrays.items()}
    old_scale, new_scale = np.float32(0.3), np.float32(0.7)
    for entry, like in (("Filter", "hidActs"), ("Img", "images"), ("Weight", "filters")):
        old = values(given[like])
        with use_isa(FUSING[-1]):
            sums = run(entry, given, None, (0, 1))
            found = run(entry, given, old, (old_scale, new_scale))
        fused = np.float64(old_scale) * old + np.float64(new_scale * sums)
        assert (found == fused.astype(np.float32)).all()
