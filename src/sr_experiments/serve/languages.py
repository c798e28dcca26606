"""What the page says, in English and Korean, in one place."""

from typing import Literal

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = ("en", "ko")

#: key -> English, Korean. Names in braces are filled in.
WORDS: dict[str, tuple[str, str]] = {
    "language": ("English", "한국어"),
    "title": ("Larger, sharper pictures and videos", "사진과 동영상을 더 크고 선명하게"),
    "lead": (
        "A small neural network enlarges what you drop here. The work is done on this server, and "
        "nothing is sent on.",
        "여기에 놓은 파일을 작은 신경망이 확대합니다. 모든 처리는 이 서버에서 이루어지며 다른 "
        "곳으로 전송되지 않습니다.",
    ),
    "settings": ("Settings", "설정"),
    "model": ("Network", "신경망"),
    "scale": ("Times larger", "배율"),
    "denoise": ("Remove noise", "노이즈 제거"),
    "sharpen": ("Sharpen", "선명도"),
    "filters": ("Beforehand, 0 is off", "확대 전에 적용, 0은 끔"),
    "default_model": ("default", "기본"),
    "bicubic": ("bicubic, no network", "바이큐빅, 신경망 없음"),
    "keep": (
        "Keep my pictures on this server to train on later",
        "이후 학습에 쓰도록 내 사진을 이 서버에 보관하는 데 동의합니다",
    ),
    "keep_info": (
        "Off by default. Kept without file name, place or date. Without this tick every file is "
        "deleted after {minutes} minutes.",
        "기본은 꺼짐입니다. 파일 이름, 위치, 날짜 없이 보관됩니다. 선택하지 않으면 모든 파일은 "
        "{minutes}분 뒤에 삭제됩니다.",
    ),
    "drop": ("Drop pictures and videos here", "사진과 동영상을 여기에 놓으세요"),
    "add": ("Add files", "파일 추가"),
    "start_all": ("Start all", "모두 시작"),
    "cancel_all": ("Cancel all", "모두 취소"),
    "remove_all": ("Remove all", "모두 제거"),
    "start": ("Start", "시작"),
    "again": ("Again", "다시"),
    "cancel": ("Cancel", "취소"),
    "remove": ("Remove", "제거"),
    "compare": ("Compare", "비교"),
    "download": ("Download", "내려받기"),
    "truth": ("Add the original", "원본 추가"),
    "truth_hint": (
        "The true picture in the result's size, to measure PSNR and SSIM",
        "결과와 같은 크기의 원본 사진. PSNR과 SSIM을 측정합니다",
    ),
    "files": ("Files", "파일"),
    "none": ("No files yet.", "아직 파일이 없습니다."),
    "uploading": ("Uploading {percent} %", "업로드 {percent} %"),
    "checking": ("Checking", "확인 중"),
    "ready": ("Ready to start", "시작할 수 있습니다"),
    "waiting": ("Waiting, {ahead} ahead", "대기 중, 앞에 {ahead}개"),
    "working": ("Working, {percent} %", "처리 중, {percent} %"),
    "left": ("{time} left", "{time} 남음"),
    "seconds": ("{n} s", "{n}초"),
    "minutes": ("{n} min", "{n}분"),
    "done": ("Done in {time}", "완료, {time} 걸림"),
    "cancelled": ("Cancelled", "취소됨"),
    "failed": ("Not possible", "처리할 수 없음"),
    "scoring": ("Measuring", "측정 중"),
    "scores": (
        "PSNR and SSIM against the original, protocol {protocol}: bicubic {bicubic}, "
        "network {network}",
        "원본 대비 PSNR과 SSIM, 프로토콜 {protocol}: 바이큐빅 {bicubic}, 신경망 {network}",
    ),
    "comparison": ("Comparison of {name}", "{name} 비교"),
    "before": ("Bicubic", "바이큐빅"),
    "after": ("Network", "신경망"),
    "slider": ("Where the network's side begins", "신경망 쪽이 시작되는 곳"),
    "magnifier": ("Magnifier", "돋보기"),
    "magnifier_hint": (
        "Point at the picture, or move with the arrow keys",
        "사진을 가리키거나 화살표 키로 움직이세요",
    ),
    "part": ("The middle of a large picture is shown.", "큰 사진의 가운데 부분입니다."),
    "first_seconds": (
        "The first {n} seconds are shown, without sound; the download is whole.",
        "처음 {n}초를 소리 없이 보여 줍니다. 내려받는 파일은 전체입니다.",
    ),
    "play": ("Play", "재생"),
    "pause": ("Pause", "일시 정지"),
    "position": ("Position", "위치"),
    "close": ("Close", "닫기"),
    "no_play": (
        "This browser cannot show this video. The download is not affected.",
        "이 브라우저에서는 이 동영상을 볼 수 없습니다. 내려받기는 가능합니다.",
    ),
    "notes": ("Notes", "안내"),
    "note_kinds": (
        "Images: GIF, PNG, JPG, JPEG, BMP, WebP. Videos: MP4, MKV, WMV, MOV.",
        "사진: GIF, PNG, JPG, JPEG, BMP, WebP. 동영상: MP4, MKV, WMV, MOV.",
    ),
    "note_limits": (
        "Up to {megabytes} MB a file, {megapixels} megapixels, {seconds} seconds of video, and "
        "{count} files at a time.",
        "파일당 최대 {megabytes}MB, {megapixels}메가픽셀, 동영상 {seconds}초, 한 번에 {count}개.",
    ),
    "note_delete": (
        "Files and results are deleted {minutes} minutes after they were uploaded.",
        "파일과 결과는 업로드하고 {minutes}분이 지나면 삭제됩니다.",
    ),
    "note_turns": (
        "Visitors take turns, one file each.",
        "방문자마다 한 파일씩 차례로 처리합니다.",
    ),
    "note_speed": (
        "Speed here: {model} enlarges {rate} frames a second from {size} by {scale}, measured on "
        "{machine}.",
        "이 서버의 속도: {model}, {size} 영상을 {scale}배로, 초당 {rate}프레임. 측정한 장치: "
        "{machine}.",
    ),
    "lost": (
        "The server does not answer. The list goes on when it is back.",
        "서버가 응답하지 않습니다. 다시 연결되면 목록이 갱신됩니다.",
    ),
    # Refusals.
    "r_suffix": (
        "{name}: this kind of file is not taken. Images are GIF, PNG, JPG, JPEG, BMP or WebP, "
        "videos MP4, MKV, WMV or MOV.",
        "{name}: 받지 않는 형식입니다. 사진은 GIF, PNG, JPG, JPEG, BMP, WebP, 동영상은 MP4, MKV, "
        "WMV, MOV입니다.",
    ),
    "r_bytes": (
        "{name}: larger than the {megabytes} MB that are allowed.",
        "{name}: 허용된 {megabytes}MB보다 큽니다.",
    ),
    "r_empty": ("{name}: the file is empty.", "{name}: 빈 파일입니다."),
    "r_picture": (
        "{name}: not a picture that can be read, or damaged.",
        "{name}: 읽을 수 없거나 손상된 사진입니다.",
    ),
    "r_video": (
        "{name}: not a video that can be read, or damaged.",
        "{name}: 읽을 수 없거나 손상된 동영상입니다.",
    ),
    "r_cut": (
        "{name}: the video is cut short. Copy it again from where it came from.",
        "{name}: 동영상이 중간에 잘렸습니다. 원래 있던 곳에서 다시 복사하세요.",
    ),
    "r_pixels": (
        "{name}: {found} megapixels, where {most} are allowed.",
        "{name}: {found}메가픽셀이며 {most}메가픽셀까지 허용됩니다.",
    ),
    "r_result": (
        "{name}: the result would have {found} megapixels, and {most} are allowed. Choose a "
        "smaller factor.",
        "{name}: 결과가 {found}메가픽셀이 되며 {most}메가픽셀까지 허용됩니다. 더 작은 배율을 "
        "고르세요.",
    ),
    "r_seconds": (
        "{name}: longer than the {most} seconds of video that are allowed.",
        "{name}: 허용된 동영상 길이 {most}초보다 깁니다.",
    ),
    "r_yours": (
        "{name}: you have {most} files here, and no more are allowed. Remove some first.",
        "{name}: 이미 {most}개의 파일이 있어 더 추가할 수 없습니다. 먼저 몇 개를 제거하세요.",
    ),
    "r_all": (
        "{name}: the server holds as many files as it may. Try again in some minutes.",
        "{name}: 서버에 파일이 가득 찼습니다. 몇 분 뒤에 다시 시도하세요.",
    ),
    "r_disk": (
        "{name}: the server's disk is full. Try again later.",
        "{name}: 서버의 디스크가 가득 찼습니다. 나중에 다시 시도하세요.",
    ),
    "r_memory": (
        "{name}: not enough memory. Choose a smaller factor or a smaller picture.",
        "{name}: 메모리가 부족합니다. 더 작은 배율이나 사진을 고르세요.",
    ),
    "r_time": (
        "{name}: took longer than the {minutes} minutes that are allowed.",
        "{name}: 허용된 {minutes}분보다 오래 걸렸습니다.",
    ),
    "r_slow": (
        "{name}: the upload stood still for too long.",
        "{name}: 업로드가 너무 오래 멈춰 있었습니다.",
    ),
    "r_gone": (
        "This file is no longer here. Files are deleted {minutes} minutes after their upload.",
        "파일이 더 이상 없습니다. 업로드하고 {minutes}분이 지나면 삭제됩니다.",
    ),
    "r_busy": (
        "{name}: it is being worked on. Cancel it first.",
        "{name}: 처리 중입니다. 먼저 취소하세요.",
    ),
    "r_settings": (
        "A setting is not one that can be chosen: {what}.",
        "선택할 수 없는 설정입니다: {what}.",
    ),
    "r_factor": (
        "{name}: this network enlarges up to {most} times only. Choose a smaller factor or "
        "another network.",
        "{name}: 이 신경망은 최대 {most}배까지만 확대합니다. 더 작은 배율이나 다른 신경망을 "
        "고르세요.",
    ),
    "r_still": (
        "{name}: an original is compared with a single picture, not with a video or animation.",
        "{name}: 원본은 한 장의 사진과만 비교할 수 있습니다.",
    ),
    "r_truth": (
        "{name}: the original has {found} pixels and the result {wanted}; only pictures of one "
        "size can be compared.",
        "{name}: 원본은 {found}픽셀, 결과는 {wanted}픽셀입니다. 크기가 같은 사진만 비교할 수 "
        "있습니다.",
    ),
    "r_small": (
        "{name}: too small to be measured, where the border is cut.",
        "{name}: 가장자리를 잘라 내면 너무 작아 측정할 수 없습니다.",
    ),
    "r_other": (
        "{name}: not possible ({reason}).",
        "{name}: 처리할 수 없습니다 ({reason}).",
    ),
    "r_defect": (
        "{name}: something went wrong on the server; its log says what.",
        "{name}: 서버에서 오류가 발생했습니다. 자세한 내용은 서버 기록에 있습니다.",
    ),
}


def say(key: str, language: Language, **values: object) -> str:
    """The text of a key, filled in."""
    return WORDS[key][LANGUAGES.index(language)].format(**values)


def chosen(header: str) -> Language:
    """The language of an ``Accept-Language`` header: the better ranked of ours, else English."""
    ranked = []
    for place, part in enumerate(header.split(",")[:20]):
        tag, _, weight = part.strip().partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            quality = 0.0
        ranked.append((-quality, place, tag.strip().lower()[:2]))
    for quality, _, tag in sorted(ranked):
        if quality < 0 and tag in LANGUAGES:
            return "ko" if tag == "ko" else "en"
    return "en"
