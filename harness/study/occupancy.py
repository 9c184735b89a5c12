"""How many blocks of a launch a multiprocessor can hold at a time, by the limits of an architecture."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Of a multiprocessor: warps, blocks, registers, bytes of shared memory; what a warp and a block take at least."""

    warps: int
    blocks: int
    registers: int
    shared: int
    register_unit: int
    shared_unit: int
    reserved: int = 0


# CUDA programming guide, technical specifications per compute capability; GTX 580: 2.0.
LIMITS = {
    "sm_20": Limits(48, 8, 32768, 48 * 1024, 64, 128),
    "sm_75": Limits(32, 16, 65536, 64 * 1024, 256, 256),
    "sm_80": Limits(64, 32, 65536, 164 * 1024, 256, 128, 1024),
    "sm_90": Limits(64, 32, 65536, 228 * 1024, 256, 128, 1024),
}
MOST_OF_SM_20 = 63  # registers of a thread


def occupancy(architecture: str, threads: int, shared: int, registers: int | None) -> tuple[int, float, str]:
    """(blocks at a time, share of the warps that they fill, what limits them), on one of the architectures of `LIMITS`.

    `threads` and `shared` bytes are those of a block, `registers` those of a thread; None where nobody knows.
    """
    limits = LIMITS[architecture]
    warps = -(-threads // 32)
    fit = {"warps": limits.warps // warps, "blocks": limits.blocks}
    if registers:
        per_warp = -(-32 * registers // limits.register_unit) * limits.register_unit
        fit["registers"] = limits.registers // (per_warp * warps)
    if shared + limits.reserved:
        fit["shared memory"] = limits.shared // (
            -(-(shared + limits.reserved) // limits.shared_unit) * limits.shared_unit
        )
    least = min(fit, key=fit.__getitem__)
    return fit[least], fit[least] * warps / limits.warps, least
