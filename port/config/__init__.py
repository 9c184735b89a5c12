"""The language of layer files: `load_network` turns two files into a checked network with all its sizes.

The files are a layer-definition file and a layer-parameter file, as in the AlexNet release; the rules, and what is
tolerated beyond them, are those of the specification, config-format 1 to 18. Nothing that a file names is ever imported
or executed. The work is done file by file: `ini` splits a text into sections and options, `grammar` reads one value,
`keys` describes keys, `layer_types` and `weight_types` derive the sizes of each layer type, `geometry` has the
arithmetic, `rates` translates the learning rates of 2014.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from . import grammar, rates
from .ini import MAX_WARNINGS, ConfigError, Section, read_ini, read_source
from .keys import REQUIRED, DataFacts, Draft, Tolerance, Tree, text
from .layer_types import LAYER_TYPES, LAYER_TYPES_OF_2014, NEURON

__all__ = [
    "LAYER_TYPES", "ConfigError", "LayerSpec", "NetworkSpec", "Tolerance", "Tree", "load_network", "read_sections",
]  # fmt: skip

DEFAULT_QUANTISER = MappingProxyType({"type": "default", "params": {}})
QUANTISERS = tuple(text(key, DEFAULT_QUANTISER, grammar.read_quantiser) for key in ("quantF", "quantB"))
FORWARD_DEFAULTS = MappingProxyType({"epsW": 0.0, "epsB": 0.0, "momW": 0.0, "momB": 0.0, "coeff": 1.0, "enable": True})
MAX_NAME = 100  # bytes: names of layers are parts of file names
OBSOLETE = {
    "sched": "is ignored, as in the release; write schedW and schedB, or read with the option sched",
    "wcnorm": "is obsolete and ignored; the release has wcNormMin and wcNormMax",
    "sumwidth": "belongs to cuda-convnet2 and is ignored",
    "supermom": "is read by the release but never used",
}


@dataclass(frozen=True)
class LayerSpec:
    """One checked layer."""

    # name, type: as in the file; a detached neuron layer is called ``<source>_neuron``
    name: str
    type: str
    inputs: tuple[str, ...]  # names of the layers below
    outputs: int  # output units per case; 0 for costs
    # every value of the layer under its historical name, whether the file gives the value or the reader derives it:
    # ``spec["modulesX"]``. As in the release, ``padding`` is negated, ``filters`` counts the filters of all groups,
    # ``scale`` of a norm layer is divided by the size of the window.
    keys: Mapping[str, Any]
    lines: Mapping[str, int]  # line number of every option that the files give, by lower-case name
    # file, line: definition file and line of the section
    file: str
    line: int
    tree: Tree | None = None  # the class tree of a treefc layer

    def __getitem__(self, key: str) -> Any:
        return self.keys[key]

    def __contains__(self, key: str) -> bool:
        return key in self.keys

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default` where the layer type has no such value."""
        return self.keys.get(key, default)

    def to_dict(self) -> dict[str, Any]:
        """All values as a new dict of plain numbers, texts, lists and dicts."""
        return {key: _plain(item) for key, item in self.keys.items()}

    def error(self, what: str, **facts: Any) -> ConfigError:
        """A ConfigError about this layer."""
        return ConfigError(what, file=self.file, line=self.line, layer=self.name, **facts)


@dataclass(frozen=True)
class NetworkSpec:
    """A checked network: its layers in an order in which inputs come first."""

    layers: tuple[LayerSpec, ...]  # in definition order; a detached neuron layer stands right after its source
    # the values of a parameter file are there: from a file, or as `FORWARD_DEFAULTS` for forward passes
    has_params: bool
    warnings: tuple[str, ...]  # one line for each place that the reader accepted although it looks odd
    # the places that the reader accepted and the parser of 2012 did not (`keys.TOLERANCES`)
    tolerances: tuple[Tolerance, ...] = ()

    def __iter__(self) -> Iterator[LayerSpec]:
        return iter(self.layers)

    def __getitem__(self, name: str) -> LayerSpec:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    @property
    def parameter_count(self) -> int:
        """Number of weights and biases."""
        trained = [layer for layer in self.layers if "biasShape" in layer]
        shapes = [shape for layer in trained for shape in (*layer["weightShapes"], layer["biasShape"])]
        return sum(rows * columns for rows, columns in shapes)


def _plain(value: Any) -> Any:
    """The value with nested mappings and tuples turned into new dicts and lists."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def load_network(
    definition: str | Path,
    params: str | Path | None = None,
    *,
    data_dims: Sequence[int] | Mapping[int, int] | None = None,
    num_classes: int | None = None,
    tree: Tree | None = None,
    strict_2012: bool = False,
    salvage: bool = False,
    sched: bool = False,
    forward_only: bool = False,
) -> NetworkSpec:
    """Read a layer-definition file and a layer-parameter file.

    Parameters
    ----------
    definition, params : path or str
        Path of a file, or the text of the file (a str that contains a line end). Without `params` the sizes are
        complete, but learning rates and the constants of norm, dropout and cost layers are missing.
    data_dims : sequence or mapping of int, optional
        Values per case, by data index. By default the key ``dims`` of the data section; without that key 150528 for
        data index 0 and 1 for data index 1.
    num_classes : int, optional
        Number of classes of the data set. By default any number of outputs below a softmax is right.
    tree : Tree, optional
        Class tree of the data set, for treefc layers. By default the layer's own key ``tree``, which lists the children
        of every inner node in the order of the node numbers: ``tree=0 1 2, 3 4, 5 6``.
    strict_2012 : bool
        Refuse every file that only a rule of `keys.TOLERANCES` makes acceptable, as the parser of 2012 did.
    salvage : bool
        Accept a file that begins with stray characters before its first header.
    sched : bool
        Use the key ``sched``, which the parser of 2012 ignored, as ``schedW`` and ``schedB`` where those are absent.
    forward_only : bool
        Use `FORWARD_DEFAULTS` for the values that the parameter file leaves out; no parameter file is needed then.

    Returns
    -------
    NetworkSpec

    Raises
    ------
    ConfigError
        A file is wrong; the message names file, line, layer and key.
    """
    dims = dict(data_dims if isinstance(data_dims, Mapping) else enumerate(data_dims or ()))
    facts = DataFacts(dims, num_classes, tree)
    contents, file = read_source(definition)
    sections, warnings = read_ini(contents, file, salvage)
    if not sections:
        raise ConfigError("has no layers", file=file, expected="sections [name] with type=...")
    drafts: dict[str, Draft] = {}
    tolerances: list[Tolerance] = []
    for section in sections.values():
        drafts[section.name] = _define(Draft(section, facts, warnings, tolerances), drafts)
    drafts = _detach_neurons(drafts)
    _require_use(drafts)
    if params is not None or forward_only:
        _add_params(drafts, params, warnings, salvage, sched, forward_only)
    if strict_2012:
        _require_none(tolerances, drafts)
    layers = tuple(_freeze(draft) for draft in drafts.values())
    if len(warnings) > MAX_WARNINGS:
        warnings[MAX_WARNINGS:] = [f"{len(warnings) - MAX_WARNINGS} more notes on these files are left out"]
    return NetworkSpec(layers, params is not None or forward_only, tuple(warnings), tuple(tolerances))


def read_sections(definition: str | Path, salvage: bool = False) -> dict[str, dict[str, str]]:
    """The options of a layer-definition file as the file writes them: {layer: {lower-case key: text}}.

    `salvage` means the same as in `load_network`.

    Raises ConfigError: the file cannot be read, or is no layer file.
    """
    sections, _ = read_ini(*read_source(definition), salvage)
    return {name: {key: option.text for key, option in section.options.items()} for name, section in sections.items()}


def _define(draft: Draft, earlier: dict[str, Draft]) -> Draft:
    """Parse one section of the definition file."""
    draft.name = draft.section.name
    draft.earlier = earlier
    draft.check(
        _is_name(draft.name), "is no layer name", actual=draft.name,
        expected=f"at most {MAX_NAME} bytes of printable characters, no comma, bracket, slash or blank at its ends",
    )  # fmt: skip
    option = draft.section.find("type")
    if option is None:
        raise draft.error("is missing", "type", expected="a line type=... in this section")
    later = LAYER_TYPES_OF_2014.get(option.text)
    draft.check(later is None, "is a layer type of cuda-convnet2 (2014) only", "type", actual=option.text, hint=later)
    if option.text not in LAYER_TYPES:
        near = difflib.get_close_matches(option.text, LAYER_TYPES, 1)
        hint = f"did you mean {near[0]}?" if near else "the types are " + ", ".join(LAYER_TYPES)
        raise draft.error("is no layer type", "type", actual=option.text, hint=hint)
    draft.type = option.text
    row = LAYER_TYPES[draft.type]
    acts, inputs, own = row.uses
    draft.values |= {
        "name": draft.name, "type": draft.type, "requiresParams": row.needs_params, "usesActs": acts,
        "usesInputs": inputs, "forceOwnActs": own, "gradConsumer": False, "actsTarget": -1, "actsGradTarget": -1,
        "conserveMem": 0, "gpu": -1,
    }  # fmt: skip
    if draft.type != "data":
        _connect(draft, row)
    draft.read(row.keys, draft.section)
    row.derive(draft)
    _warn_unknown(draft, draft.section, ["type", "inputs", "neuron", "gpu", *(key.name for key in row.keys)])
    return draft


def _is_name(name: str) -> bool:
    """Whether a layer can have this name: it is printed, listed in ``inputs`` and made part of file names."""
    right = name.isprintable() and name == name.strip() and name not in (".", "..")
    return right and not set(name) & set(",[/\\") and len(name.encode()) <= MAX_NAME


def _connect(draft: Draft, row: Any) -> None:
    """Read inputs, device and neuron, which all layer types but data have."""
    option = draft.section.find("inputs")
    if option is None:
        raise draft.error("is missing", "inputs", expected="a line inputs=... in this section")
    names = [name.strip() for name in option.text.split(",")]
    if facts := row.wrong_count(len(names)):
        raise draft.error("has the wrong number of entries", "inputs", **facts)
    for name in names:
        draft.check(
            name in draft.earlier, f"{name[:60]!r} is no layer above this one", "inputs", actual=option.text,
            hint="layers must be defined before they are used",
        )  # fmt: skip
        draft.check(draft.earlier[name]["outputs"] > 0, f"{name} produces no output", "inputs", actual=option.text)
    draft.inputs = [draft.earlier[name] for name in names]
    draft.assumed = any(source.assumed for source in draft.inputs)
    below = any(source.weights_below for source in draft.inputs)
    draft.check(row.gradient or not below, "passes no gradient and cannot stand above layers with weights", "type")
    draft.weights_below = row.weights or below
    gpu = draft.value(text("gpu", None, grammar.read_device, low=0), draft.section)
    draft.values["inputs"] = tuple(names)
    draft.values["numInputs"] = tuple(source["outputs"] for source in draft.inputs)
    draft.values["gpu"] = draft.inputs[0]["gpu"] if gpu is None else gpu
    if draft["gpu"] < 0:
        draft.tolerate("device", "gpu")
    if not draft.type.startswith("cost."):
        neuron = draft.section.find("neuron")
        draft.values["neuron"] = neuron.text if neuron else ""


def _warn_unknown(draft: Draft, section: Section, keys: Iterable[str]) -> None:
    """Warn about each option of a section that is not in `keys` and that the layer type does not look up itself."""
    row = LAYER_TYPES[draft.type]
    known = {name.lower() for name in (*keys, *row.also)}
    elsewhere = {key.name.lower() for key in (*row.keys, *row.params)}
    for name in section.options:
        if name in OBSOLETE:
            draft.warnings.append(str(section.error(OBSOLETE[name], name)))
        elif name not in known:
            what = "belongs in the other file and is ignored" if name in elsewhere else "is unknown and ignored"
            draft.warnings.append(str(section.error(what, name)))


def _detach_neurons(drafts: dict[str, Draft]) -> dict[str, Draft]:
    """Give every ``neuron=`` a layer of its own, right after its source (section 8)."""
    taken, moved, result = set(drafts), {}, {}
    for draft in drafts.values():
        result[draft.name] = draft
        if draft.type != "neuron" and draft.values.get("neuron"):
            detached = _detached(draft, taken)
            moved[draft.name] = detached.name
            result[detached.name] = detached
    for draft in drafts.values():
        if draft.inputs:
            draft.values["inputs"] = tuple(moved.get(name, name) for name in draft["inputs"])
    return result


def _detached(source: Draft, taken: set[str]) -> Draft:
    """The neuron layer of a layer with ``neuron=``."""
    base = f"{source.name}_neuron"
    names = [base, *(f"{base}.{i}" for i in range(1, 100))]
    name = next((name for name in names if name not in taken), None)
    if name is None:
        raise source.error("no name is left for its neuron layer", "neuron", actual=base)
    draft = Draft(source.section, source.facts, source.warnings, source.tolerances, name, "neuron", [source])
    neuron = source.convert(NEURON, source["neuron"], source.section)
    draft.values = {
        "name": name, "type": "neuron", "src_layer": source.name, "inputs": (source.name,),
        "numInputs": (source["outputs"],), "outputs": source["outputs"], "neuron": neuron, "gpu": source["gpu"],
        "usesActs": neuron["usesActs"], "usesInputs": neuron["usesInputs"], "forceOwnActs": False,
        "requiresParams": False, "gradConsumer": False, "actsTarget": -1, "actsGradTarget": -1, "conserveMem": 0,
    }  # fmt: skip
    return draft


def _require_use(drafts: dict[str, Draft]) -> None:
    """Raise unless every layer except the costs is an input of some layer."""
    used = {name for draft in drafts.values() for name in draft.values.get("inputs", ())}
    for draft in drafts.values():
        draft.check(
            draft.name in used or draft.type.startswith("cost."), "is not used by any layer",
            hint="make it an input of another layer or delete the section",
        )  # fmt: skip


def _require_none(tolerances: list[Tolerance], drafts: dict[str, Draft]) -> None:
    """Raise for the first place that the parser of 2012 did not accept."""
    for found in tolerances:
        what = f"the parser of 2012 does not accept this: {found.meaning}"
        raise drafts[found.layer].error(what, found.key, actual=found.value, hint="leave strict_2012 off")


def _add_params(
    drafts: dict[str, Draft],
    params: str | Path | None,
    warnings: list[str],
    salvage: bool,
    sched: bool,
    forward_only: bool,
) -> None:
    """Read the parameter file and give every layer its section."""
    contents, file = ("", "no parameter file") if params is None else read_source(params)
    sections, more = read_ini(contents, file, salvage)
    warnings += more
    if forward_only:
        _give_defaults(drafts, sections, file, warnings)
    for draft in drafts.values():
        row = LAYER_TYPES[draft.type]
        draft.params = sections.get(draft.name)
        oldest = draft.type in ("rnorm", "cnorm") and draft.section.find("scale") and draft.section.find("pow")
        if draft["requiresParams"] and draft.params is None and not oldest:
            raise ConfigError(
                "has no section in the parameter file", file=file, layer=draft.name,
                expected=f"a section [{draft.name}] for this {draft.type} layer",
            )  # fmt: skip
        if draft.params is not None:
            if row.weights:
                rates.translate(draft, draft.params, sched)
            draft.read(row.params, draft.params)
            _warn_unknown(draft, draft.params, [key.name for key in (*row.params, *QUANTISERS)])
        row.finish(draft)
        home = draft.params or (sections.get(draft["src_layer"]) if "src_layer" in draft.values else None)
        draft.values |= {key.name: draft.value(key, home) if home else key.default for key in QUANTISERS}
    unmatched = [section for name, section in sections.items() if name not in drafts]
    warnings += [str(section.error("matches no layer and is ignored")) for section in unmatched]


def _give_defaults(drafts: dict[str, Draft], sections: dict[str, Section], file: str, warnings: list[str]) -> None:
    """Add the missing sections and values that only learning and costs need, never a forward pass."""
    left_out = set()
    for draft in drafts.values():
        needed = {key.name for key in LAYER_TYPES[draft.type].params if key.default is REQUIRED}
        if needed and needed <= set(FORWARD_DEFAULTS):
            given = sections.setdefault(draft.name, Section(file, draft.name, 0))
            draft.defaults = FORWARD_DEFAULTS
            left_out |= {key for key in needed if not given.find(key)}
    if left_out:
        taken = ", ".join(f"{key}={value:g}" for key, value in FORWARD_DEFAULTS.items() if key in left_out)
        warnings.append(f"{file}: values that the forward pass does not need are missing; taken: {taken}")


def _freeze(draft: Draft) -> LayerSpec:
    """The finished, read-only layer."""
    for key in QUANTISERS:
        draft.values.setdefault(key.name, key.default)
    return LayerSpec(
        draft.name, draft.type, draft.values.get("inputs", ()), draft["outputs"], MappingProxyType(draft.values),
        MappingProxyType(draft.lines), draft.section.file, draft.section.line, draft.tree,
    )  # fmt: skip
