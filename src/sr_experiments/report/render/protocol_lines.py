"""What the named scoring rules mean, in a line each: a table never shows a number without one.

The rules themselves are computed in :mod:`sr_experiments.metrics.protocols`, which needs torch;
a report does not.
"""

PSNR_RULES = {
    "y": "luma (BT.601, studio range), not rounded; border of scale pixels cut; mean of dB",
    "y_rounded": "luma rounded to 8 bit as MATLAB does; border of scale pixels cut; mean of dB",
    "rgb": "all of R, G, B; border of scale pixels cut; mean of dB",
    "rgb_div2k": "all of R, G, B; border of scale + 6 pixels cut; mean of dB",
    "y_first": "luma rounded to 8 bit before the shrinking; border of scale pixels cut; mean of dB",
}

SSIM_RULES = {
    "y": "Wang 2004 on luma: 11x11 Gaussian, sigma 1.5, valid region; after the cut",
    "y_rounded": "MATLAB's ssim() on 8-bit luma: borders replicated, full map",
    "rgb": "Wang 2004 on each of R, G, B, then their mean; after the cut",
    "y_first": "Wang 2004 on the 8-bit luma of the shrinking; after the cut",
}
