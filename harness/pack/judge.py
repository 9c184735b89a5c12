#!/usr/bin/env python3
"""Judge an engine with a conformance pack: ``python judge.py PACK [--out DIR] -- COMMAND ARGUMENTS``.

This one file needs Python 3.11, NumPy and nothing else; README.md, beside it in a pack, is the protocol. An element x
agrees with the value r that is right if ``|x - r| <= 8 sqrt(n) 2**-24 M + n 2**-126``: n operations are behind it, M is
the size of what they added up. Where M is 0, bits have to match. Exit code: 0 all agree; 1 something differs or is not
there; 2 the pack is broken, or the command cannot be started; 3 something was not compared, or not decided.
"""

import argparse
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from math import inf, prod
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy

FORMAT, MANIFEST, CONTENTS, PARTS = 1, "manifest-sha256.txt", "pack.json", ("value", "magnitude", "terms")
PASSES = ("forward", "input gradient", "weight gradient", "update", "steps")
LADDER = (("shapes", "forward", "exact"), ("exact forward", "forward", "exact"), ("real forward", "forward", "real"),
          *((name, name, "") for name in PASSES[1:4]), ("N steps", "steps", ""))  # fmt: skip
"""The levels: name, pass and tier of the cases that have to agree; of the first one only shapes and types."""
AGREES, UNDECIDED = ("identical", "equivalent"), ("unsupported", "inconclusive")
LOOSE = dict.fromkeys(("different", "nonfinite", "inconclusive"), "identical")
MARKS = {**dict.fromkeys(AGREES, "✓"), "unsupported": "-", "inconclusive": "?", "failed": "!", "missing": "!"}
LARGEST, HEADER, LETTERS, LINES = 64 * 2**20, 4096, 160, 40
"""Bytes of a pack, of a result and of what a command prints; of an array's header; letters and lines that are shown."""
STARTS, IN_VAIN = 20, 3
"""How often a command that ends too early is started; how often if it leaves no result at all."""
Row = dict[str, Any]


class Broken(Exception):
    """The pack, or how it was asked for, cannot be used."""


def main(words: list[str]) -> int:
    """Judge, print, write; the exit code."""
    end = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(prog="judge.py", usage="%(prog)s PACK [options] -- COMMAND ARGUMENTS")
    parser.add_argument("pack", type=Path, help="a folder or a zip file")
    parser.add_argument("--out", type=Path, help="folder for score.json and junit.xml")
    parser.add_argument("--allow", action="append", default=[], choices=UNDECIDED, help="exit with 0 though it is so")
    parser.add_argument("--patience", type=float, default=60, help="seconds without a new result [60]")
    given = parser.parse_args(words[:end])
    try:
        if not words[end + 1 :]:
            raise Broken("there is no command (expected PACK -- COMMAND ARGUMENTS)")
        score = judge(given.pack, words[end + 1 :], given.patience, given.allow)
        for line in card(score):
            print(line)
        if given.out:
            write(score, given.out)
        return int(score["exit_code"])
    except (Broken, OSError) as error:
        print(f"error: {clean(error, 400)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def judge(pack: Path, command: Sequence[str], patience: float = 60, allow: Sequence[str] = ()) -> dict[str, Any]:
    """The score of a command, which gets the folders of cases and of results, as score.json holds it; raises Broken."""
    with opened(pack) as folder, TemporaryDirectory(prefix="rosetta-") as work:
        contents, seal, cases = checked(folder)
        ends = run(command, list(cases), folder, Path(work), patience)
        with reading(folder):
            rows = [one for case in cases.values() for one in judged(case, folder, Path(work, "results"), ends)]
    counts = Counter(row["status"] for row in rows)
    levels = {"level": level(rows, allow), "level_of_supported": level(rows, (*allow, "unsupported"))}
    return {**contents, "cases": len(cases), "seal": seal, "command": list(command), "allow": list(allow), **levels,
            "counts": counts, "exit_code": exit_code(counts, allow), "rows": rows}  # fmt: skip


@contextmanager
def opened(pack: Path) -> Iterator[Path]:
    """The folder of a pack, which a zip file is unpacked to."""
    with TemporaryDirectory(prefix="rosetta-") as folder:
        if not pack.is_dir():
            with reading(pack), ZipFile(pack) as archive:
                if sum(info.file_size for info in archive.infolist()) > LARGEST:
                    raise Broken(f"{pack} is too large (expected at most {LARGEST:,} bytes)")
                archive.extractall(folder)
        place = pack if pack.is_dir() else Path(folder)
        try:
            yield place
        except Broken as error:  # the user knows the pack, and not where it was unpacked
            raise Broken(str(error).replace(str(place), str(pack))) from error


def checked(folder: Path) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """What a pack says of itself, the hash of the hashes of all its files, which fit, and its cases by name."""
    listed: set[str] = set()
    with reading(folder):
        manifest = plain(folder / MANIFEST)
        for line in manifest.decode().splitlines():
            digest, name = line.split("  ", 1)
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise Broken(f"{folder}: the manifest lists {clean(name)}")
            if sha256(plain(folder / name)).hexdigest() != digest:
                raise Broken(f"{folder}: {clean(name)} is not as it was packed: its hash is another one")
            listed.add(name)
        found = json.loads(plain(folder / CONTENTS))
        places = ("cases/{}.json", "cases/{}.npz", "expected/{}.npz")
        needed = {place.format(name) for name in found["cases"] for place in places}
        if found["format"] != FORMAT or not needed or not needed | {CONTENTS} <= listed:
            raise Broken(f"{folder} has another format than {FORMAT}, no cases, or cases that are not whole")
        cases = {name: json.loads(plain(folder / "cases" / f"{name}.json")) for name in sorted(found["cases"])}
        if any(case["pass"] not in PASSES or case["name"] != name for name, case in cases.items()):
            raise Broken(f"{folder} has a case of another name, or of a pass that nobody knows")
    return found, sha256(manifest).hexdigest(), cases


@contextmanager
def reading(pack: Path) -> Iterator[None]:
    """Say of whatever goes wrong that the pack is broken; what may is not for us to list."""
    try:
        yield
    except Broken:
        raise
    except Exception as error:
        raise Broken(f"{pack} is no pack that can be read ({type(error).__name__}: {error})") from error


def plain(path: Path) -> bytes:
    """The bytes of a plain file that is not too large."""
    about = os.lstat(path)
    if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST:
        raise ValueError(f"{path.name} is no plain file of at most {LARGEST:,} bytes")
    return path.read_bytes()


def run(command: Sequence[str], names: Sequence[str], folder: Path, work: Path, patience: float) -> dict[str, str]:
    """Run a command until it ends well, or all cases have a result; by case, that to blame where it did not, why."""
    results, cases, ends = work / "results", work / "cases", dict[str, str]()
    results.mkdir()
    left = list(names)
    for starts in range(STARTS):
        if not left or (starts == IN_VAIN and len(ends) + len(left) == len(names)):
            break
        shutil.rmtree(cases, ignore_errors=True)
        cases.mkdir()
        for name in left:
            for suffix in ("json", "npz"):
                shutil.copyfile(folder / "cases" / f"{name}.{suffix}", cases / f"{name}.{suffix}")
        why = attempt([*command, str(cases), str(results)], results, work / "said", patience)
        done = [any(os.path.lexists(results / f"{name}{end}") for end in (".npz", ".unsupported")) for name in left]
        if not why:
            return ends
        behind = max((k + 1 for k, there in enumerate(done) if there), default=0)
        blamed = left[behind] if behind < len(left) else next((x for k, x in enumerate(left) if not done[k]), left[-1])
        ends[blamed] = why
        left = [name for name, there in zip(left, done, strict=True) if not there and name != blamed]
    return ends | dict.fromkeys(left, f"not run: the command ended too early {len(ends)} times")


def attempt(command: Sequence[str], results: Path, said: Path, patience: float) -> str:
    """Run a command once; why that was no good end, or ""."""
    why, count, since = "", -1, time.monotonic()
    with open(said, "wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        while process.poll() is None and not why:
            now = sum(1 for _ in os.scandir(results))
            if now != count:
                count, since = now, time.monotonic()
            late, loud = time.monotonic() - since > patience, said.stat().st_size > LARGEST
            why = f"no new result within {patience:g} s" if late else "it prints without end" if loud else ""
            time.sleep(0.02)
    finally:
        with suppress(OSError):  # and all that it started
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    if not why and code:
        why = f"the command ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"
    lines = said.read_bytes()[-HEADER:].decode(errors="replace").strip().splitlines()
    return f"{why}; its last line: {clean(lines[-1])}" if why and lines else why


def judged(case: dict[str, Any], folder: Path, results: Path, ends: dict[str, str]) -> Iterator[Row]:
    """A row for each tensor of a case, and for each that nobody asked for."""
    name, found, why = case["name"], dict[str, Any](), ends.get(case["name"], "")
    status = "failed" if why else "missing"
    about = {key: clean(case[key]) for key in ("name", "kind", "pass", "tier")}
    path, refusal = results / f"{name}.npz", results / f"{name}.unsupported"
    if os.path.lexists(path) and not why:
        try:
            found = dict(read(path, case["results"]))
        except Exception as error:  # what a damaged file does to zipfile, zlib and numpy is not for us to list
            status, why = "failed", f"no readable npz file ({type(error).__name__}: {error})"
    elif os.path.lexists(refusal) and not why:
        status = "unsupported"
        with suppress(OSError, ValueError):
            why = plain(refusal).decode(errors="replace")
    for tensor, facts in case["results"].items():
        if not isinstance(found.get(tensor), np.ndarray):
            yield about | found.get(tensor, row(tensor, status, why or "the command did not write it"))
            continue
        with np.load(io.BytesIO(plain(folder / "expected" / f"{name}.npz"))) as held:
            right = [np.broadcast_to(held[f"{tensor}.{part}"], facts["shape"]) for part in PARTS]
            verdict_is, share, at = verdict(found[tensor], *right)
            place = np.unravel_index(at, tuple(facts["axes"].values()))
        values = f"{found[tensor].flat[at]!s} in place of {right[0].flat[at]!s}"
        if verdict_is in ("equivalent", "inconclusive") and facts["exact"]:
            verdict_is, values = "different", f"the same bits are asked for: {values}"
        where = ", ".join(f"{axis} {k}" for axis, k in zip(facts["axes"], place, strict=True)) if share else ""
        yield about | row(tensor, verdict_is, "" if verdict_is in AGREES else values, share, where)
    yield from (about | one for tensor, one in found.items() if tensor not in case["results"])


def row(tensor: str, status: str, reason: str, share: float = 0.0, place: str = "") -> Row:
    """What is said of a tensor; the share is None where it is infinite."""
    return {"tensor": clean(tensor), "status": status, "share": share if share < inf else None, "place": clean(place),
            "reason": clean(reason)}  # fmt: skip


def read(path: Path, wanted: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """(name, array, or the row that says why there is none) of an npz file; nothing of it is run."""
    seen: set[str] = set()
    with ZipFile(io.BytesIO(plain(path))) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name in seen or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                raise ValueError(f"two arrays {name!r}, or packed in an unknown way")
            seen.add(name)
            if name not in wanted:
                yield name, row(name, "extra", "nobody asked for it")
                continue
            with archive.open(info) as member:
                head = io.BytesIO(member.read(HEADER))
                parse = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(head)]
                shape, fortran, dtype = parse(head)
                right, kind = tuple(wanted[name]["shape"]), np.dtype(wanted[name]["dtype"])
                if (shape, dtype) != (right, kind):
                    told = ("shape", shape, right) if shape != right else ("dtype", dtype.str, kind.str)
                    yield name, row(name, told[0], f"{told[1]} in place of {told[2]}")
                    continue
                data = head.read() + member.read(kind.itemsize * prod(shape))
                if len(data) != kind.itemsize * prod(shape) or member.read(1):  # at the end the checksum is looked at
                    raise ValueError(f"array {name!r} has another length than it says")
            yield name, np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


def verdict(x: Any, value: Any, magnitude: Any, terms: Any) -> tuple[str, float, int]:
    """Status of a tensor, the largest share of a bound that was used, and the flat index of that element."""
    with np.errstate(all="ignore"):
        x, r, n = np.asarray(x, np.float64).ravel(), np.asarray(value, np.float64).ravel(), np.ravel(terms)
        rounding = 8 * 2.0**-24 * np.sqrt(n) * np.ravel(magnitude)
        bound = np.where((rounding == 0) & (r == 0), 0.0, rounding + n * 2.0**-126)
        differs, special = r.astype(np.float32) != x.astype(np.float32), ~(np.isfinite(x) & np.isfinite(r))
        same = special & (~differs | (np.isnan(x) & np.isnan(r)))
        # an infinity may be an honest overflow: then it stands for 2**128
        error = np.abs(np.where(special, np.copysign(2.0**128, x), x) - r)
        odd = special & ~(np.isinf(x) & np.isfinite(r) & ~same & (error <= bound))
        share = np.where(bound > 0, error / bound, np.where(differs, inf, 0.0))
        share = np.where(odd, np.where(same, 0.0, inf), share)
        norms = [float(np.square(part[~odd]).sum()) for part in (bound, r)]
    at, largest = int(share.argmax()), float(share.max())
    found = (bool((odd & ~same).any()), largest > 1, not (differs & ~same).any(), norms[0] > 0.1**2 * norms[1], True)
    return ("nonfinite", "different", "identical", "inconclusive", "equivalent")[found.index(True)], largest, at


def level(rows: Sequence[Row], allow: Sequence[str]) -> str:
    """The last level that is reached, all those before it as well; "" if none is."""
    reached = [""]
    for name, of_pass, tier in LADDER:
        own = {one["status"] for one in rows if one["pass"] == of_pass and tier in ("", one["tier"])}
        if exit_code({LOOSE.get(one, one) for one in own} if name == "shapes" else own, allow):
            break
        reached.append(name)
    return reached[-1]


def exit_code(statuses: Iterable[str], allow: Sequence[str]) -> int:
    """1 if something failed, 3 if something was not compared or decided, or nothing agrees; else 0."""
    found, agree = {*statuses}, {*AGREES}
    return 1 if found - {*agree, *UNDECIDED} else 0 if found - {*allow} <= agree and found & agree else 3


def card(score: dict[str, Any]) -> Iterator[str]:
    """The score card: a line for each kind of layer with a cell for each pass, what failed, and the level."""
    rows: list[Row] = score["rows"]
    yield f"  {'layer':<16}{''.join(f'{name:<17}' for name in PASSES)}most of a bound"
    for kind in sorted({one["kind"] for one in rows}):
        own = [one for one in rows if one["kind"] == kind]
        worst = max(own, key=lambda one: inf if one["share"] is None else one["share"])
        cells = [cell([one for one in own if one["pass"] == of_pass]) for of_pass in PASSES]
        where = f"{worst['name']} {worst['tensor']}: {worst['place']}" if worst["place"] else ""
        mark = min((text[:1] for text in cells if text), key="✗!?-✓".index)
        yield f"{mark} {kind:<16}{''.join(f'{text:<17}' for text in cells)}{where}".rstrip()
    yield "  share of the bound; ✓ agree, ✗ differ, ! failed or missing, ? not decided, - unsupported"
    failed = [one for one in rows if one["status"] not in (*AGREES, *UNDECIDED)]
    told = [[f"{one['name']} {one['tensor']}: {one['status']}", one["place"], one["reason"]] for one in failed]
    yield from ("! " + "; ".join(filter(None, parts)) for parts in told[:LINES])
    yield from [f"! and {len(failed) - LINES} more: --out DIR writes them all"][: len(failed[LINES:])]
    agree, left = (sum(score["counts"][name] for name in names) for names in (AGREES, UNDECIDED))
    yield f"{agree} of {len(rows)} tensors agree, {len(failed)} do not, {left} were not compared or not decided."
    more = f"; of what it supports: {score['level_of_supported'] or 'none'}" if score["counts"]["unsupported"] else ""
    yield f"level reached: {score['level'] or 'none'}{more}"


def cell(own: Sequence[Row]) -> str:
    """The mark for the tensors of a kind of layer in a pass; the largest share of a bound, or how many it is about."""
    count = Counter(MARKS.get(one["status"], "✗") for one in own)
    mark = next((mark for mark in "✗!?-" if count[mark]), "")
    return f"{mark} {count[mark]} of {len(own)}" if mark else f"✓ {max(one['share'] for one in own):.0%}" if own else ""


def clean(text: object, most: int = LETTERS) -> str:
    """A text that came from elsewhere: one line of printable characters, and no more than that many."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(str(text).split())[:most])


def write(score: dict[str, Any], out: Path) -> None:
    """Write score.json and junit.xml."""
    out.mkdir(parents=True, exist_ok=True)
    suite = ElementTree.Element("testsuite", name="rosetta pack", tests=str(len(score["rows"])))
    for one in score["rows"]:
        name = f"{one['name']} {one['tensor']}"
        case = ElementTree.SubElement(suite, "testcase", classname=f"{one['kind']}.{one['pass']}", name=name)
        if one["status"] not in AGREES:
            text = f"{one['status']} {one['place']} {one['reason']}".encode("ascii", "backslashreplace").decode()
            ElementTree.SubElement(case, "skipped" if one["status"] in UNDECIDED else "failure", message=text)
    for name, text in (
        ("score.json", json.dumps(score, indent=1)),
        ("junit.xml", ElementTree.tostring(suite, "unicode")),
    ):
        draft = out / f".{name}.part"
        draft.write_text(text + "\n", encoding="utf-8")
        os.replace(draft, out / name)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(main(sys.argv[1:]))
