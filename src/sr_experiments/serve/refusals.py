"""What a visitor is told when something cannot be done: errors without paths of the server."""

import errno
from pathlib import Path

from sr_experiments.core.errors import UserError
from sr_experiments.serve.translations import ENGLISH, languages


class VisitorError(UserError):
    """An error of the page; its fields are fit to be shown to a visitor."""


class JobCancelledError(Exception):
    """Raised inside a conversion whose visitor has cancelled it."""


def upload_too_large(name: str, megabytes: object) -> VisitorError:
    """The error of an upload beyond the limit of bytes."""
    return VisitorError(
        "upload-too-large",
        "{name}: the file is larger than the limit of {megabytes} MB.",
        name=name,
        megabytes=megabytes,
    )


def upload_empty(name: str) -> VisitorError:
    """The error of an upload without content."""
    return VisitorError("upload-empty", "{name}: the file is empty.", name=name)


def upload_type(name: str, images: str, videos: str) -> VisitorError:
    """The error of a file name with a suffix that is not supported."""
    return VisitorError(
        "upload-type",
        "{name}: this file type is not supported. Add an image ({images}) or a video ({videos}).",
        name=name,
        images=images,
        videos=videos,
    )


def too_many_pixels(name: str, megapixels: int) -> VisitorError:
    """The error of an upload beyond the limit of pixels."""
    return VisitorError(
        "upload-too-many-pixels",
        "{name}: larger than the limit of {limit} megapixels.",
        name=name,
        limit=megapixels,
    )


def video_too_long(name: str, seconds: int) -> VisitorError:
    """The error of a video beyond the limit of seconds."""
    return VisitorError(
        "upload-video-too-long",
        "{name}: the video is longer than the limit of {limit} seconds.",
        name=name,
        limit=seconds,
    )


def needs_still_image(name: str) -> VisitorError:
    """The error of an original that is, or is meant for, a video or an animation."""
    return VisitorError(
        "reference-needs-still-image",
        "{name}: an original can be compared with a single image only, not with a video or an "
        "animation.",
        name=name,
    )


def out_of_memory(name: str) -> VisitorError:
    """The error of a job that needs more memory than there is."""
    return VisitorError(
        "server-out-of-memory",
        "{name}: the server has not enough memory for this. Choose a smaller scale or a smaller "
        "file.",
        name=name,
    )


def file_expired(keep_minutes: float) -> VisitorError:
    """The error of a job or file that is not there, or belongs to another visitor."""
    return VisitorError(
        "file-expired",
        "This file is no longer here. Files are deleted {minutes} minutes after the upload.",
        minutes=f"{keep_minutes:g}",
    )


def for_visitor(error: BaseException, name: str) -> VisitorError:
    """The error that a visitor is shown for an exception.

    Errors of the commands name files of the server. They are shown if the language files have a
    wording for their code, with ``name`` in place of paths; any other is a ``server-error``.

    Args:
        error: raised while a file was uploaded, converted or measured.
        name: the visitor's name of that file.
    """
    if isinstance(error, VisitorError):
        return error
    cause = error.__cause__ if isinstance(error, UserError) else error
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return VisitorError(
            "server-disk-full", "{name}: the server's disk is full. Try again later.", name=name
        )
    if isinstance(error, MemoryError):
        return out_of_memory(name)
    if isinstance(error, UserError) and error.code in languages()[ENGLISH].messages:
        fields = {
            key: name if isinstance(value, Path) else value
            for key, value in error.message.fields.items()
        }
        return VisitorError(error.code, error.message.template, **{"name": name} | fields)
    return VisitorError(
        "server-error",
        "{name}: something went wrong on the server; its log has the details.",
        name=name,
    )
