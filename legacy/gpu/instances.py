"""The kernel instances that the dispatch of this build can reach: the templates that it made the compiler instantiate.

The compiler wrote them down: every instance that some launch names is a function of the extension module, and its
symbol has the kernel, its template arguments and the types of its parameters.
"""

import re
import shutil
import subprocess

from .. import isa
from ..errors import Refused

SYMBOL = re.compile(r"Invoke<&?\(?(?:void )?(?P<kernel>.+?)\((?:Block const&)(?P<parameters>[^()]*)\)\)?>::run\(")
KINDS = {"float*": "P", "float const*": "P", "int*": "P", "int const*": "P", "int": "i", "float": "f", "bool": "?"}


def instances() -> dict[str, str]:
    """All instances of the strict build.

    Returns: kernel string, as in launch records, to argument kinds (letters as in `cuda_source.TYPES`).
    Raises Refused: nm (binutils) is not there, or the module has no symbols.
    """
    nm = shutil.which("nm")
    if not nm:
        raise Refused("the symbols of the engine cannot be listed", "nm on PATH", "none", "install binutils")
    module = str(isa.load(isa.available()[0]).__file__)
    lines = subprocess.run([nm, "-C", module], capture_output=True, text=True, check=True).stdout.splitlines()
    found = dict(_instance(match) for line in lines if (match := SYMBOL.search(line)))
    if not found:
        raise Refused("the engine has no symbols", "an extension module that was not stripped", module)
    return dict(sorted(found.items()))


def _instance(match: re.Match[str]) -> tuple[str, str]:
    parameters = [part.strip() for part in match["parameters"].split(",") if part.strip()]
    return match["kernel"].replace("cc2::", "").replace("> >", ">>"), "".join(KINDS[part] for part in parameters)
