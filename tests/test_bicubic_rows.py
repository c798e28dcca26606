"""The bicubic rows that every paper prints, from the command that a user would type."""

import json

# Measured with MATLAB's definitions, PSNR under y_first, x2 / x3 / x4; and as papers print them.
MEASURED = {
    "Set5": (33.6614, 30.3922, 28.4207),
    "Set14": (30.2318, 27.5405, 26.0001),
    "B100": (29.5579, 27.2061, 25.9606),
}
PUBLISHED = {
    "Set5": ((33.66, 0.9299), (30.39, 0.8682), (28.42, 0.8104)),
    "Set14": ((30.24, 0.8688), (27.55, 0.7742), (26.00, 0.7027)),
    "B100": ((29.56, 0.8431), (27.21, 0.7385), (25.96, 0.6675)),
}


def test_bicubic_rows_are_the_published_ones(research, command, tmp_path, environment):
    environment["SR_DATA"] = str(research)
    result = command("-m", "model=bicubic", "benchmarks=small", "scale=2,3,4", "logger=csv")
    assert result.returncode == 0, result.stderr
    seen = 0
    for file in tmp_path.glob("runs/runs/bicubic-*/result.json"):
        run = json.loads(file.read_text())
        place = run["scale"] - 2
        for name, entry in run["means"].items():
            score = entry["raw"]["y_first"]
            psnr, ssim = PUBLISHED[name][place]
            assert abs(score["psnr"] - MEASURED[name][place]) < 6e-5, (name, run["scale"])
            assert abs(score["psnr"] - psnr) < 0.01, (name, run["scale"])
            # Papers print SSIM of several programs; they agree to a thousandth.
            assert abs(score["ssim"] - ssim) < 0.001, (name, run["scale"])
            seen += 1
    assert seen == 9
