"""What a machine lacks to run the engine on a GPU, said one thing at a time."""

from alexnet_rosetta.legacy import gpu


def lacks(monkeypatch, *names):
    """A machine that has everything but the checks of these names."""

    def fail(name):
        def check():
            raise LookupError(f"no {name}:\n  get one")

        return check

    for name in ("card", "compiler", "pycuda", "nvmath"):
        monkeypatch.setattr(gpu, f"_{name}", fail(name) if name in names else lambda name=name: name)


def test_everything_is_there(monkeypatch):
    lacks(monkeypatch)
    assert gpu.missing() == []
    assert gpu.probe() == (True, "card, compiler, pycuda, nvmath")


def test_a_line_for_each_thing_that_is_not(monkeypatch):
    lacks(monkeypatch, "card", "pycuda")
    assert gpu.missing() == ["no card: get one", "no pycuda: get one"]
    assert gpu.probe() == (False, "no card: get one")


def test_no_compiler(monkeypatch):
    monkeypatch.setattr(gpu.cubins, "find_compiler", lambda: None)
    assert any("install the CUDA toolkit" in line for line in gpu.missing())


def test_no_pycuda(monkeypatch):
    gpu._pycuda.cache_clear()
    monkeypatch.setattr(gpu, "find_spec", lambda name: None)
    assert "no PyCUDA: pip install -e '.[gpu]' in the source tree" in gpu.missing()
