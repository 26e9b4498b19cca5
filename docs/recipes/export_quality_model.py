"""Export the quality model: one file that runs without this package, for batches of any length of one image size.

PyTorch 2.6 cannot do it.
"""

import argparse
from pathlib import Path

import torch

from dsmix_aug import QualityModel

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, nargs="?", default=Path("quality_model.pt2"), help="what to write")
    parser.add_argument("--size", type=int, nargs=2, default=(384, 512), metavar=("H", "W"), help="size of the images")
    parser.add_argument("--onnx", action="store_true", help="write ONNX instead; needs onnx and onnxscript")
    args = parser.parse_args()

    model = QualityModel.from_pretrained("small")
    model.autocast = False  # float32 everywhere
    images = torch.rand(2, 3, *args.size)
    dynamic_shapes = ({0: torch.export.Dim("batch", min=1)},)
    if args.onnx:
        names = {"input_names": ["images"], "output_names": ["scores"]}
        torch.onnx.export(model, (images,), args.path, dynamo=True, dynamic_shapes=dynamic_shapes, **names)
    else:
        torch.export.save(torch.export.export(model, (images,), dynamic_shapes=dynamic_shapes), args.path)
        others = torch.rand(3, 3, *args.size)
        difference = (torch.export.load(args.path).module()(others) - model(others)).abs().max()
        print(f"largest difference between the file's scores and the model's: {difference:.1e}")
    print(f"{args.path}: {args.path.stat().st_size / 1e6:.1f} MB")
