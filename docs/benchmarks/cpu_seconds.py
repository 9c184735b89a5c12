"""CPU seconds of one thread by kind of layer and pass, of the port and of PyTorch: the least of some steps, in turn.

Other programs on the machine cost a thread its time on the clock, but little of its CPU time. Needs the extra
``witness``.
"""

import argparse
from collections import defaultdict
from time import process_time

from threadpoolctl import threadpool_limits

from alexnet_rosetta.harness.bench.measure import training_step
from alexnet_rosetta.harness.running.prepare import Options, prepare

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("net", nargs="?", default="alexnet")
options.add_argument("--batch", type=int, default=128)
options.add_argument("--engines", default="port,torch-channels-last")
options.add_argument("--port-algorithm", default="direct")
options.add_argument("--steps", type=int, default=3, help="after one that is not counted")
asked = options.parse_args()

engines = tuple(asked.engines.split(","))
work = prepare(Options(asked.net, engines=engines, batch=asked.batch, threads=1, input="random",
                       port_algorithm=asked.port_algorithm))  # fmt: skip
seconds = defaultdict(lambda: defaultdict(list))
with threadpool_limits(1):
    sessions = work.open_sessions({})
    for step in range(asked.steps + 1):
        for name, session in sessions.items():
            begin = process_time()
            for layer, part in training_step(work, session):
                end = process_time()
                if step:
                    seconds[layer, part][name].append(end - begin)
                begin = end

kinds = defaultdict(lambda: dict.fromkeys(engines, 0.0))
for (layer, part), taken in seconds.items():
    tower = layer.replace("a_", "_").replace("b_", "_") if "_" in layer else layer.rstrip("ab")
    for key in ((tower, part), ("all", "passes")):
        for name in engines:
            kinds[key][name] += min(taken[name])
print(f"{'':24}" + "".join(f"{name:>24}" for name in engines) + "   first / last")
for (tower, part), taken in kinds.items():
    values = [taken[name] for name in engines]
    print(f"{tower:14}{part:10}" + "".join(f"{1e3 * v:21.1f} ms" for v in values) + f"{values[0] / values[-1]:15.2f}")
