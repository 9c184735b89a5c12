"""The search for silent acceptances, for some hundred trials, and that it finds what nobody is told of."""

from . import runner, silent


def test_no_wrong_field_is_taken_silently():
    result = runner.run(silent.trial, seed=0, count=600)
    assert result.findings == []
    for outcome in ("refused", "warned", "visible"):
        assert result.outcomes[outcome] > 20


def test_a_silence_is_found(monkeypatch):
    """A reader that takes whatever it can load for the network as it was."""
    whole = silent.network
    monkeypatch.setattr(silent, "network", lambda texts: (str(whole(texts)) and "", []))
    silent.sound.cache_clear()
    try:
        assert "nobody is told" in runner.run(silent.layer_file, seed=0, count=300).findings[0]
    finally:
        silent.sound.cache_clear()
