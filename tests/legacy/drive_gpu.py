"""What the engine asks of PyCUDA and nvmath, once each: test_gpu_driver.py runs this on an emulated driver."""

import numpy as np

from alexnet_rosetta.legacy import gpu
from alexnet_rosetta.legacy.gpu.device import GpuDevice
from alexnet_rosetta.legacy.gpu.driver import CudaDriver
from alexnet_rosetta.legacy.gpu.memory import Memory


class Kernels:
    """Any file is a cubin."""

    def path(self, kernel, kinds):
        return __file__


class Launch:
    """A launch record with an argument of each kind, on a grid that takes two launches."""

    kernel, kinds, grid, block = "kNothing<1>", "Pi?f", (3, 70000, 2), (32, 4, 1)

    def __init__(self, address):
        self.values = [address, -5, True, 1.5]


def main():
    """Run `drive` on PyCUDA and nvmath."""
    available, reason = gpu.probe()
    assert available, reason
    driver = CudaDriver()
    assert (driver.name, driver.architecture) == ("Emulated GPU", "sm_90")
    drive(driver)


def drive(driver):
    """Allocate, copy, spoil, launch, multiply and time."""
    device = GpuDevice(driver, Memory(driver, debug=True), Kernels())
    device.logging = True
    a, b, c = (device.allocate(6) for _ in range(3))
    values, seen = np.arange(6, dtype=np.float32), np.empty(6, np.float32)
    device.copy_out(seen, c)
    assert not seen.any()
    device.copy_in(a, values)
    device.copy_within(b, a, 6)
    device.copy_out(seen, b)
    assert (seen == values).all()
    with device.step("layer", "forward"):
        device.launch(Launch(a))
        device.gemm("n", "t", 2, 2, 3, 2.0, a, 2, b, 2, 0.0, c, 2)
    matrix = values.reshape(3, 2).T
    device.copy_out(seen[:4], c)
    assert (2 * matrix @ matrix.T == seen[:4].reshape(2, 2).T).all()
    assert device.seconds("layer", "forward") == sum(device.launch_seconds()) > 0
    device.forget(b, 6)
    device.copy_out(seen, b)
    assert np.isnan(seen).all()
    try:
        device.allocate(2**29)
    except MemoryError as error:
        print(error)
    for address in (a, b, c):
        device.release(address)
    print(f"{a:x}")


if __name__ == "__main__":
    main()
