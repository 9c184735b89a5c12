"""The part ``bench``: seconds per layer and pass, with the work, the share of the peak, the model, and 2012."""

from ... import engines
from ...bench import tables
from ...bench.measure import PASSES, measure, refusals
from ...engines import peaks
from ...running.prepare import Options
from .job import Job

OTHERS = ("torch-gpu", "legacy-cpu", "port")


def timing(job: Job) -> str:
    """Time training steps of the engine, of PyTorch on the same card, and of the engines on the CPU."""
    names = job.target.engines(*(name for name in OTHERS if available(job, name)))
    job.check_time()
    net = job.settings.bench
    options = Options(net, engines=names, input="random", batch=job.settings.batches[net], threads=job.threads)
    found = measure(options, job.settings.repeat)
    job.problems.extend(f"not timed: {text}" for text in refusals(found.broken))
    names = found.options.engines
    job.numbers |= {
        "network": net, "batch": options.batch, "repeat": found.repeat, "engines": names,
        "layers": tables.plain(found),
        "total_seconds": {name: {step: found.total(name, step).seconds for step in (*PASSES, "all")}
                          for name in names},
        "copy_seconds": {name: copies.seconds for name, copies in found.copies.items()},
        "images_per_second": {name: found.images_per_second(name) for name in names},
        "images_per_second_2012_two_gtx_580_derived": peaks.images_per_second_of_2012(),
        "images_per_second_model_one_gtx_580_at_most": options.batch / tables.model_seconds(found),
        "peaks": {name: {"flops": peak.flops, "bytes_per_second": peak.bandwidth}
                  for name, peak in found.peaks.items()},
        "table": [*tables.seconds_table(found), *tables.work_table(found),
                  *tables.comparison_with_2012(found)],
    }  # fmt: skip
    return ", ".join(f"{name} {found.images_per_second(name):.1f} images/s" for name in names)


def available(job: Job, name: str) -> bool:
    """Whether an engine runs here; if not, the evidence says why."""
    ok, reason = engines.find(name).probe()
    if not ok:
        job.numbers.setdefault("unavailable", {})[name] = reason
    return ok
