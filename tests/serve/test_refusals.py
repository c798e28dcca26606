import errno
from pathlib import Path

import pytest

from sr_experiments.core.errors import UserError
from sr_experiments.serve.refusals import VisitorError, for_visitor
from sr_experiments.serve.translations import languages, translate

SOURCE = Path("/w/1/source.png")


def chained(cause: OSError) -> UserError:
    error = UserError(
        "cannot-write", "{path}: cannot be written ({reason})", path=SOURCE, reason=""
    )
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "server-disk-full"),
        (chained(OSError(errno.EDQUOT, "Disk quota exceeded")), "server-disk-full"),
        (chained(OSError(errno.EACCES, "Permission denied")), "server-error"),
        (MemoryError(), "server-out-of-memory"),
        (RuntimeError("/w/1 unforeseen"), "server-error"),
        (UserError("nobody-translated-it", "{path}: --tile may help", path=SOURCE), "server-error"),
        (UserError("image-empty", "{path}: empty; replace it", path=SOURCE), "image-empty"),
        (VisitorError("job-busy", "{name}: it is being processed.", name="a.png"), "job-busy"),
    ],
)
def test_what_went_wrong_is_told_without_paths_and_options(error: BaseException, code: str) -> None:
    told = for_visitor(error, "a.png")
    assert told.code == code
    for language in languages():
        sentence = translate(told, language)
        assert sentence.startswith("a.png") and "/w" not in sentence and "--" not in sentence
