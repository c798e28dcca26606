"""Why something is refused, in words a visitor understands, in her language."""

import errno
import re

from sr_experiments.core.errors import UserError
from sr_experiments.serve.languages import Language, say

#: What the command line's messages speak of -> the key of the page's own sentence. The messages
#: name files of the server and options that a visitor does not have.
_MEANINGS = (
    (r"No space left on device|Disk quota exceeded", "r_disk"),
    (r"cut short", "r_cut"),
    (r"the file is empty", "r_empty"),
    (r"damaged picture|not a picture that Pillow", "r_picture"),
    (
        r"not a video that can be read|there is no video|none of its frames|frames have no size",
        "r_video",
    ),
    (r"too small to be scored", "r_small"),
)
_MORE_THAN_IT_CAN = re.compile(r"this network enlarges by (\d+)")


class Refusal(UserError):  # noqa: N818 - it is one word of the page's
    """Something that is not done.

    Args:
        key: of :data:`sr_experiments.serve.languages.WORDS`.
        values: that fill its text in.
    """

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(say(key, "en", **values))
        self.key, self.values = key, values

    def say(self, language: Language) -> str:
        """The sentence in a language."""
        return say(self.key, language, **self.values)


class Cancelled(Exception):  # noqa: N818 - no error, the visitor wants it
    """Raised from a progress callback, to leave the work where it is."""


def meaning(error: BaseException, name: str) -> Refusal:
    """The refusal that an exception means.

    Args:
        error: of the command line's code, or of the system.
        name: by which the visitor knows the file.
    """
    if isinstance(error, Refusal):
        return error
    cause = error.__cause__ if isinstance(error, UserError) else error
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refusal("r_disk", name=name)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return Refusal("r_memory", name=name)
    if not isinstance(error, UserError):
        return Refusal("r_defect", name=name)
    message = str(error)
    for pattern, key in _MEANINGS:
        if re.search(pattern, message):
            return Refusal(key, name=name)
    if found := _MORE_THAN_IT_CAN.search(message):
        return Refusal("r_factor", name=name, most=found[1])
    return Refusal("r_other", name=name, reason=_cleaned(message))


def _cleaned(message: str) -> str:
    """A message without paths of the server and without advice on options."""
    message = re.sub(r"(?<![\w.])(/[^\s:;,]+)+:?\s*", "", message)
    clauses = [c for c in re.split(r";\s*|,\s*(?=--)", message) if "--" not in c]
    return " ".join("; ".join(clauses).split())[:200] or "no reason was given"
