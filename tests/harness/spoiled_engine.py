"""An engine that knows what is right, and spoils results: spoiled_engine.py PACK HOW,HOW CASES RESULTS; NumPy alone.

The case number 3 is spoiled in the first way, the case number 5 in the second, and so on.
"""

import io
import json
import os
import pickle
import sys
import time
import zipfile
from pathlib import Path

import numpy as np

FIRST, NEXT = 3, 2


def main(pack, hows, cases, results):
    hows = dict(zip(range(FIRST, 1000, NEXT), hows.split(","), strict=False))
    names = sorted(path.stem for path in Path(pack, "cases").glob("*.json"))
    for path in sorted(Path(cases).glob("*.json")):
        with np.load(Path(pack, "expected", f"{path.stem}.npz")) as held:
            right = {name: facts for name, facts in json.loads(path.read_bytes())["results"].items()}
            arrays = {name: held[f"{name}.value"].astype(facts["dtype"]) for name, facts in right.items()}
        place = Path(results, f"{path.stem}.npz")
        if spoil(hows.get(names.index(path.stem)), arrays, place, right):
            continue
        np.savez(place, **arrays)
    sys.exit(4 if "late" in hows.values() else 0)


def spoil(how, arrays, place, right):
    """Change arrays, or do something else and return True."""
    name = next(iter(arrays))
    if how == "crash":
        print("\x1b[31mno such luck")
        sys.exit(3)
    if how == "signal":
        os.kill(os.getpid(), 11)
    if how == "hang":
        time.sleep(60)
    if how == "shout":
        while True:
            print("x" * 1000)
    if how == "unsupported":
        place.with_suffix(".unsupported").write_text("too \x1b[31mred\nfor me")
        return True
    if how == "nothing":
        return True
    if how == "garbage":
        place.write_bytes(b"PK\3\4" + bytes(100))
        return True
    if how == "pipe":
        os.mkfifo(place)
        return True
    if how == "folder":
        place.mkdir()
        return True
    if how == "endless":
        place.symlink_to("/dev/zero")
        return True
    if how in ("bomb", "pickle", "short", "lying"):
        held = io.BytesIO()
        shape = (1 << 40,) if how == "bomb" else tuple(right[name]["shape"])
        np.lib.format.write_array_header_1_0(held, {"descr": "<f4", "fortran_order": False, "shape": shape})
        body = pickle.dumps(os.getcwd) if how == "pickle" else bytes(100 << 20) if how == "bomb" else bytes(8)
        if how == "pickle":
            held = io.BytesIO()
            np.save(held, np.array([os.getcwd], object), allow_pickle=True)
            body = b""
        if how == "lying":
            body = bytes(int(np.prod(shape)) * 4 + 8)
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.npy", held.getvalue() + body)
        return True
    if how == "nan":
        arrays[name].flat[5] = np.nan
    if how == "value":
        arrays[name].flat[5] += 1
    if how == "flip":
        arrays[name] = np.ascontiguousarray(arrays[name].T)
    if how == "double":
        arrays[name] = arrays[name].astype(np.float64)
    if how == "big-endian":
        arrays[name] = arrays[name].astype(">f4")
    if how == "fortran":
        arrays[name] = np.asfortranarray(arrays[name])
    if how == "extra":
        arrays["more"] = np.ones(3, np.float32)
    if how == "renamed":
        arrays["outputs"] = arrays.pop(name)
    return False


if __name__ == "__main__":
    main(*sys.argv[1:])
