"""The page itself, in Gradio: its settings, and the places that the page's script fills.

Gradio's own upload keeps clients' file names, takes what it is given before anybody can refuse,
and has no turns between visitors; so files go through :mod:`sr_experiments.serve.routes`, and of
Gradio the page has its controls, its look, and nothing that is asked of its server again.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr

from sr_experiments.serve.jobs import SCALES
from sr_experiments.serve.languages import LANGUAGES, Language, say
from sr_experiments.serve.limits import Limits
from sr_experiments.serve.model_list import BICUBIC, Catalogue
from sr_experiments.serve.storage import PICTURES, VIDEOS

#: Fonts of the visitor's system: none is asked for elsewhere.
FONTS = [gr.themes.Font(name) for name in ("system-ui", "Segoe UI", "Noto Sans KR", "sans-serif")]
MONO = [gr.themes.Font(name) for name in ("ui-monospace", "Consolas", "monospace")]
#: The page's script may come later than Gradio's first word of the settings, so that waits here.
_TELL = """(model, scale, denoise, sharpen, keep) => {
  window.srSettings = {model, scale, denoise, sharpen, keep: keep === true};
}"""
HEAD = (
    '<link rel="stylesheet" href="/page/page.css">'
    '<script type="module" src="/page/page.js"></script>'
    '<meta name="color-scheme" content="light dark">'
)


def theme() -> gr.themes.Base:
    """Plain, in the system's fonts."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.blue,
        neutral_hue=gr.themes.colors.slate,
        font=FONTS,
        font_mono=MONO,
        radius_size=gr.themes.sizes.radius_sm,
    ).set(block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300")


def page(
    language: Language,
    catalogue: Catalogue,
    limits: Limits,
    *,
    may_keep: bool,
    speed: Mapping[str, object] | None = None,
) -> gr.Blocks:
    """The page in one language.

    Args:
        language: of every word on it.
        catalogue: the networks to choose from.
        limits: stated on the page.
        may_keep: whether the visitor is asked if her pictures may be kept.
        speed: what fills in the line on how fast this machine is; None for no such line.
    """

    def word(key: str, **values: object) -> str:
        return say(key, language, **values)

    models = [(_model_label(name, catalogue, language), name) for name in catalogue.names]
    scales = [f"{float(scale):g}" for scale in SCALES]
    minutes = f"{limits.keep_minutes:g}"
    with gr.Blocks(title=word("title"), analytics_enabled=False) as blocks:
        gr.HTML(_heading(language), apply_default_css=False, elem_id="sr-heading")
        gr.HTML(_drop(language), apply_default_css=False, elem_id="sr-drop")
        with gr.Group(elem_id="sr-settings"):
            with gr.Row():
                model = gr.Dropdown(models, value=catalogue.default, label=word("model"))
                scale = gr.Radio(scales, value="2", label=word("scale"))
            with gr.Row():
                info = word("filters")
                denoise, sharpen = (_strength(word(key), info) for key in ("denoise", "sharpen"))
            keep = gr.Checkbox(
                value=False,
                label=word("keep"),
                info=word("keep_info", minutes=minutes),
                visible=may_keep,
                elem_id="sr-keep",
            )
        gr.HTML(_list(language), apply_default_css=False, elem_id="sr-list")
        gr.HTML(_notes(language, limits, speed), apply_default_css=False, elem_id="sr-notes")
        inputs: list[Any] = [model, scale, denoise, sharpen, keep]
        # Functions of the browser alone: no word of this goes through Gradio's server.
        for control in inputs:
            control.change(None, inputs, None, js=_TELL, api_visibility="private")
        blocks.load(None, inputs, None, js=_TELL, api_visibility="private")
    return blocks


def _strength(label: str, info: str) -> gr.Slider:
    return gr.Slider(0.0, 1.0, 0.0, step=0.1, label=label, info=info, buttons=[], min_width=260)


def _model_label(name: str, catalogue: Catalogue, language: Language) -> str:
    if name == BICUBIC:
        return say("bicubic", language)
    return f"{name} ({say('default_model', language)})" if name == catalogue.default else name


def _heading(language: Language) -> str:
    links = "".join(
        f'<a href="/?lang={other}" lang="{other}" hreflang="{other}"'
        + (' aria-current="true"' if other == language else "")
        + f">{say('language', other)}</a>"
        for other in LANGUAGES
    )
    return (
        f'<header class="sr-heading" data-lang="{language}"><div><h1>{say("title", language)}</h1>'
        f"<p>{say('lead', language)}</p></div>"
        f'<nav class="sr-languages" aria-label="Language, 언어">{links}</nav></header>'
    )


def _drop(language: Language) -> str:
    return (
        '<div class="sr-drop" id="sr-dropzone"><p>'
        f"{say('drop', language)}</p>"
        f'<button type="button" class="sr-button sr-main" data-do="add">{say("add", language)}'
        f'</button><input type="file" id="sr-file" accept="{",".join(sorted(PICTURES | VIDEOS))}"'
        ' multiple hidden tabindex="-1" aria-hidden="true">'
        f'<input type="file" id="sr-truth" accept="{",".join(sorted(PICTURES))}"'
        ' hidden tabindex="-1" aria-hidden="true"></div>'
    )


def _list(language: Language) -> str:
    buttons = "".join(
        f'<button type="button" class="sr-button" data-do="{key}" disabled>'
        f"{say(key, language)}</button>"
        for key in ("start_all", "cancel_all", "remove_all")
    )
    return (
        f'<section class="sr-files" aria-label="{say("files", language)}">'
        f'<div class="sr-bar"><h2>{say("files", language)}</h2><div>{buttons}</div></div>'
        '<p class="sr-lost" id="sr-lost" role="alert" hidden></p>'
        f'<p class="sr-none" id="sr-none">{say("none", language)}</p>'
        '<ul class="sr-rows" id="sr-rows"></ul>'
        '<div class="sr-hidden" id="sr-said" aria-live="polite"></div></section>'
        '<section class="sr-view" id="sr-view" hidden tabindex="-1"></section>'
    )


def _notes(language: Language, limits: Limits, speed: Mapping[str, object] | None) -> str:
    def word(key: str, **values: object) -> str:
        return say(key, language, **values)

    lines = [
        word("note_kinds"),
        word(
            "note_limits",
            megabytes=limits.megabytes,
            megapixels=limits.megapixels,
            seconds=limits.seconds,
            count=limits.per_visitor,
        ),
        word("note_delete", minutes=f"{limits.keep_minutes:g}") + " " + word("note_turns"),
    ]
    if speed:
        lines.append(escape(word("note_speed", **speed)))
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f'<footer class="sr-notes"><h2>{word("notes")}</h2><ul>{items}</ul></footer>'
