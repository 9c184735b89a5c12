"""Every package of the source tree is named in setup.py, so that a plain install has it."""

from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_setup_names_every_package():
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    for room in ("legacy", "port", "harness"):
        for folder in [path.parent for path in (ROOT / room).rglob("__init__.py")]:
            name = ".".join(folder.relative_to(ROOT).parts)
            assert f'f"{{PACKAGE}}.{name}"' in text, f"{name} is missing in setup.py"
