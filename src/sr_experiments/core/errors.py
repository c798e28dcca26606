"""What the suite tells a user: a code, fields, and the English sentence that they make.

A message is data. The terminal prints its English template; the web page looks the code up in a
table of its language and fills in the same fields. Nothing reads a sentence back.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

#: All control characters but the end of a line, and other ends of lines.
_CONTROL = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Message:
    """One sentence for a user, such as a note on something that could not be carried over.

    Args:
        code: what it says, in kebab case and unique in the suite; translations are looked up by it.
        template: the English sentence with ``{field}`` placeholders, as for :meth:`str.format`.
        fields: the values of the placeholders.
    """

    code: str
    template: str
    fields: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        # A name of a file or of a key may hold what a terminal would obey.
        return _CONTROL.sub(_escaped, self.template.format_map(self.fields))


class UserError(Exception):
    """A mistake that the user can correct: what was asked, what was found and what to do.

    The commands print it as one line without a traceback. Any other exception that escapes is a
    defect of the suite and keeps its traceback.

    Args:
        code: see :class:`Message`.
        template: the English sentence.
        fields: the values of its placeholders; one of them may be another :class:`UserError` or
            :class:`Message`.
    """

    def __init__(self, code: str, template: str, /, **fields: object) -> None:
        self.message = Message(code, template, fields)
        super().__init__(code, template, fields)

    @property
    def code(self) -> str:
        """What went wrong, in kebab case."""
        return self.message.code

    def __str__(self) -> str:
        return str(self.message)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message)


def _rebuild(kind: type[UserError], message: Message) -> UserError:
    return kind(message.code, message.template, **message.fields)


def _escaped(character: re.Match[str]) -> str:
    return character.group().encode("unicode_escape").decode()
