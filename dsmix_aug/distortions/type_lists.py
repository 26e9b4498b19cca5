"""The distortion types by name: those of KADID-10k, and those beyond it."""

#: The 25 distortion types of KADID-10k, in its order.
KADID_10K = (
    "gaussian_blur",
    "lens_blur",
    "motion_blur",
    "color_diffusion",
    "color_shift",
    "color_quantization",
    "color_saturation_hsv",
    "color_saturation_lab",
    "jpeg2000",
    "jpeg",
    "white_noise",
    "white_noise_color",
    "impulse_noise",
    "multiplicative_noise",
    "denoise",
    "brighten",
    "darken",
    "mean_shift",
    "jitter",
    "non_eccentricity_patch",
    "pixelate",
    "quantization",
    "color_block",
    "high_sharpen",
    "contrast_change",
)

#: Distortion types that KADID-10k does not have: today's codecs, resizing and what cameras do.
BEYOND = ("webp", "avif", "resize", "poisson_gaussian_noise", "exposure", "chroma_subsampling")
