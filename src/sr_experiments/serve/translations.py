"""The page's texts in every language: one TOML file of ``languages/`` each, found by its name."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sr_experiments.core.errors import Message, UserError

_FOLDER = Path(__file__).parent / "languages"
#: The language of the templates in the code.
ENGLISH = "en"


@dataclass(frozen=True)
class Language:
    """One file of ``languages/``.

    Attributes:
        page: key -> text, with ``{field}`` placeholders.
        messages: message code -> template with the fields of the message.
    """

    page: Mapping[str, str]
    messages: Mapping[str, str]


@cache
def languages() -> Mapping[str, Language]:
    """Language code -> its texts, English first."""
    files = sorted(_FOLDER.glob("*.toml"), key=lambda path: (path.stem != ENGLISH, path.stem))
    return {path.stem: Language(**tomllib.loads(path.read_text("utf-8"))) for path in files}


def page_text(key: str, language: str, **fields: object) -> str:
    """A text of the page."""
    return languages()[language].page[key].format(**fields)


def message_template(message: Message, language: str) -> str:
    """The template of a message; its own, which is English, where the language has none."""
    for code in (language, ENGLISH):
        if message.code in languages()[code].messages:
            return languages()[code].messages[message.code]
    return message.template


def translate(message: Message | UserError, language: str) -> str:
    """A message in a language, and in it the messages among its fields."""
    if isinstance(message, UserError):
        message = message.message
    fields = {
        name: translate(value, language) if isinstance(value, Message | UserError) else value
        for name, value in message.fields.items()
    }
    return message_template(message, language).format_map(fields)


def preferred_language(accept_language: str) -> str:
    """The best of our languages for an ``Accept-Language`` header; Starlette does not parse it."""
    ranked = []
    for position, part in enumerate(accept_language.split(",")[:20]):
        tag, _, weight = part.strip().partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            quality = 0.0
        if quality > 0:
            ranked.append((-quality, position, tag.strip().lower().partition("-")[0]))
    return next((tag for *_, tag in sorted(ranked) if tag in languages()), ENGLISH)
