from __future__ import annotations

import io

import pytest
from rich.console import Console

from dualperturb.progress import TrainingProgress, counting


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)


def printed(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def two_epochs(progress: TrainingProgress) -> None:
    for epoch in (0, 1):
        for done in range(1, 5):
            progress(epoch, done, 4, 1.25 / (epoch + 1), 0.512)


def test_elsewhere_one_short_line_an_epoch() -> None:
    shown = console(terminal=False)
    with TrainingProgress("shapes6 at_dual", 2, shown) as progress:
        two_epochs(progress)
    assert printed(shown) == (
        "shapes6 at_dual: epoch 1/2, loss 1.250, accuracy 51.2%\n"
        "shapes6 at_dual: epoch 2/2, loss 0.625, accuracy 51.2%\n"
    )


def test_on_a_terminal_a_live_line_with_all_that_a_person_asks() -> None:
    shown = console(terminal=True)
    with TrainingProgress("shapes6 at_dual", 3, shown) as progress:
        two_epochs(progress)
        progress._bar.refresh()
    live = printed(shown)
    for words in ("shapes6 at_dual: epoch 2/3", "batch 4/4", "loss 0.625, accuracy 51.2%", "0:0"):
        assert words in live


def test_a_run_that_goes_on_starts_its_bar_where_it_stopped() -> None:
    with TrainingProgress("shapes6 clean", 10, console(terminal=True)) as progress:
        progress(6, 1, 50, 1.0, 0.5)
        (task,) = progress._bar.tasks
        assert (task.completed, task.total) == (301, 500)
        assert sum(sample.completed for sample in task._progress) <= 1, "not 301 batches in no time"


def test_an_error_stops_the_live_line() -> None:
    shown = console(terminal=True)
    with pytest.raises(RuntimeError), TrainingProgress("shapes6 clean", 1, shown) as progress:
        raise RuntimeError
    assert not progress._bar.live.is_started


def test_counting_is_silent_when_there_is_no_terminal() -> None:
    shown = console(terminal=False)
    with counting("shapes6 masks", 8, shown) as show:
        show(4, 8)
        show(8, 8)
    assert printed(shown) == ""


@pytest.mark.parametrize("total", [None, 8])
def test_counting_shows_done_and_total_on_a_terminal(total: int | None) -> None:
    shown = console(terminal=True)
    with counting("shapes6 masks", total, shown) as show:
        show(8, 8)
    assert "shapes6 masks" in printed(shown) and "8/8" in printed(shown)


def test_by_default_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress("shapes6 clean", 2) as progress:
        two_epochs(progress)
    with counting("masks", 2) as show:
        show(2, 2)
    streams = capsys.readouterr()
    assert streams.out == "" and streams.err.count("\n") == 2
