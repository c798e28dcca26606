"""What could not be taken over, in Korean: the command line says it in English."""

import re

from sr_experiments.serve.languages import Language

#: What the command line says -> the same in Korean, with its numbers and names.
_KOREAN = (
    (r"the profile of its (\w+) colours is left out", r"\1 색상 프로파일은 제외되었습니다"),
    (r"(\d+) bits a channel became 8", r"채널당 \1비트를 8비트로 바꾸었습니다"),
    (
        r"H\.264 needs even sides, and (\S+) became (\S+)",
        r"H.264는 짝수 크기가 필요하여 \1이 \2로 바뀌었습니다",
    ),
    (r"its pixels were made square, (\S+) became (\S+)", r"정사각형 화소로 바꾸어 \1이 \2가 됨"),
    (r"its cover picture is left out", "표지 그림은 제외되었습니다"),
    (r"its other video is left out", "다른 영상 트랙은 제외되었습니다"),
    (
        r"(\w+) cannot hold its sound \((.+)\), encoded anew as (\w+)",
        r"\1에 담을 수 없는 소리(\2)를 \3로 다시 인코딩했습니다",
    ),
    (r"(\w+) cannot hold its sound \((.+)\), left out", r"\1에 담을 수 없는 소리(\2)는 제외"),
    (r"(\w+) cannot hold its subtitles \((.+)\), left out", r"\1에 담을 수 없는 자막(\2)은 제외"),
    (r"an attachment is left out", "첨부 파일은 제외되었습니다"),
    (r"(\d+) damaged pieces of the video were passed over", r"손상된 부분 \1개를 건너뛰었습니다"),
    (
        r"the video is interlaced, .*",
        "비월 주사 영상으로, 두 필드를 한 장의 사진으로 확대했습니다",
    ),
)


def say_note(note: str, language: Language) -> str:
    """A note in a language; one that is not known stays as it is."""
    for pattern, korean in _KOREAN if language == "ko" else ():
        if found := re.fullmatch(pattern, note):
            return found.expand(korean)
    return note
