"""Who is told how far a download is."""

from types import SimpleNamespace

from huggingface_hub.utils._xet_progress_reporting import XetDownloadProgressReporter

from amused_edge.runtime.hub.progress import bar_class, downloads_shown_by


def test_a_bar_that_is_there_shows_downloads_too() -> None:
    """Two would draw over each other. A download that begins anew counts back."""
    told: list[tuple[str, int, int]] = []
    assert bar_class("file", 0, 10) is None
    with downloads_shown_by(lambda *what: told.append(what)):
        made = bar_class("second", 10, 30)
        assert made is not None
        with made(total=20, initial=5, desc="as the library calls it") as bar:
            for part in (10, -15, 20):
                bar.update(part)
    assert told == [("second", done, 30) for done in (15, 25, 10, 30)]
    assert bar_class("file", 0, 10) is None


def test_what_xet_reports_is_counted_once() -> None:
    """It makes two bars, of what is received and of what is written, unless it is shown that one takes both."""
    told: list[int] = []
    with downloads_shown_by(lambda _, done, __: told.append(done)):
        reporter = XetDownloadProgressReporter(
            reconstruction_desc="x", total=20, log_level=30, tqdm_class=bar_class("file", 100, 150)
        )
        with reporter:
            for received, written in ((10, 0), (20, 5), (20, 20)):
                reporter.update_progress(
                    SimpleNamespace(
                        total_bytes=20,
                        total_bytes_completed=written,
                        total_transfer_bytes_completed=received,
                        total_bytes_completion_rate=1.0,
                        total_transfer_bytes_completion_rate=1.0,
                    )
                )
    assert told == [100, 105, 120]
