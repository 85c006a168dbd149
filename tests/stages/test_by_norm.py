"""A stage's norms side by side: what it prints, how it fails, and that no run outlives it."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from dualperturb import launch
from dualperturb.params import load_params
from stages import by_norm, train_smoothing

PROJECT = Path(__file__).resolve().parents[2]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def test_lines_of_all_come_through_and_cores_are_shared(capfd: pytest.CaptureFixture[str]) -> None:
    told = "import os; print('{}', os.environ['OMP_NUM_THREADS'])"
    environment = os.environ.pop("OMP_NUM_THREADS", None)
    try:
        by_norm.side_by_side([python(told.format(name)) for name in ("L2", "Linf")])
    finally:
        if environment is not None:
            os.environ["OMP_NUM_THREADS"] = environment
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    assert sorted(capfd.readouterr().out.splitlines()) == [f"L2 {threads}", f"Linf {threads}"]


TRAINING = """
    import time
    from dualperturb.progress import TrainingProgress
    with TrainingProgress('{0}', 1) as show:
        for batch in range(1, 31):
            show(0, batch, 30, 1.0, 0.5)
            time.sleep(0.03)
    print('{0} is done')
"""


def test_on_a_terminal_two_trainings_have_one_display() -> None:
    commands = [python(TRAINING.format(name)) for name in ("L2", "Linf")]
    code = f"from stages.by_norm import side_by_side; side_by_side({commands!r})"
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    running = subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # raised at the end, when nobody holds the other side
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert running.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert re.search(r"^L(2|inf): epoch 1/1 [^\n]*\nL(2|inf): epoch 1/1 ", text, re.MULTILINE)
    assert "L2 is done" in text and "Linf is done" in text


def test_they_run_at_once(tmp_path: Path) -> None:
    """Each waits for the other's file."""
    code = """
        import pathlib, time
        pathlib.Path({own!r}).touch()
        while not pathlib.Path({other!r}).exists():
            time.sleep(0.01)
    """
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    by_norm.side_by_side([python(code.format(own=a, other=b)) for a, b in ((one, two), (two, one))])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_the_first_failure_ends_the_others_with_its_status() -> None:
    begun = time.monotonic()
    with pytest.raises(SystemExit) as end:
        by_norm.side_by_side([python("import time; time.sleep(60)"), python("raise SystemExit(7)")])
    assert end.value.code == 7 and time.monotonic() - begun < 30


def test_a_run_that_is_killed_is_a_failure() -> None:
    with pytest.raises(SystemExit) as end:
        by_norm.side_by_side([python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")])
    assert end.value.code == 128 + signal.SIGKILL


def test_no_run_outlives_its_parent(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    child = f"import os, time; open({str(started)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    call = f"side_by_side([[sys.executable, '-c', {child!r}]])"
    parent = f"import sys; from stages.by_norm import side_by_side; {call}"
    running = subprocess.Popen([sys.executable, "-c", parent], cwd=PROJECT)
    while not (started.exists() and started.read_text()):
        time.sleep(0.02)
    running.kill()
    running.wait()
    child_entry = Path("/proc") / started.read_text()
    until = time.monotonic() + 20
    while child_entry.exists() and "State:\tZ" not in (child_entry / "status").read_text():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("devices", "gpu", "ranks", "shared"),
    [
        ("auto", False, 1, True),
        (1, False, 1, True),
        (2, False, 1, False),
        ("auto", True, 1, False),
        ("auto", False, 2, False),
    ],
)
def test_where_runs_share_the_processors(
    devices: object, gpu: bool, ranks: int, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_norm, "gpu_files", lambda: gpu)
    monkeypatch.setattr(launch, "world_size", lambda: ranks)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    settings = SimpleNamespace(runtime=SimpleNamespace(devices=devices))
    assert by_norm.may_share(settings) is shared
    assert by_norm.at_once(settings) == (6 if shared else 1)


def test_each_norm_is_run_once_and_one_alone_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_params(PROJECT / "params.yaml")
    ran: list[list[str]] = []
    monkeypatch.setattr(by_norm, "side_by_side", lambda commands: ran.extend(c[1:] for c in commands))
    monkeypatch.setattr(by_norm, "in_this_process", lambda stage, arguments: ran.append([stage, *arguments]))
    monkeypatch.setattr(by_norm, "params", lambda: settings)
    by_norm.main("train", ["at_dual", "shapes6"])
    assert ran == [["-m", "stages.train", "at_dual", "shapes6", norm] for norm in ("L2", "Linf")]
    ran.clear()
    monkeypatch.setattr(by_norm, "params", lambda: settings.model_copy(update={"norms": ("Linf",)}))
    by_norm.main("train", ["at_dual", "shapes6"])
    assert ran == [["train", "at_dual", "shapes6", "Linf"]]


def test_the_smoothed_classifiers_are_trained_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[list[str]]] = []
    monkeypatch.setattr(by_norm, "side_by_side", lambda commands: ran.append([c[1:] for c in commands]))
    monkeypatch.chdir(PROJECT)
    expected = [["-m", "stages.train", name, "shapes6"] for name in ("smoothing", "smoothing_dual")]
    for shared, runs in ((True, [expected]), (False, [[one] for one in expected])):
        monkeypatch.setattr(by_norm, "may_share", lambda _, shared=shared: shared)
        train_smoothing.main("shapes6")
        assert ran == runs
        ran.clear()
