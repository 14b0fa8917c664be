"""Opens a folder of event files with the real TensorBoard and checks what it finds there.

    pip install tensorboard
    python benches/peers/check_tensorboard.py runs/mae/tensorboard --steps 200 --images original_masked_reconstructed
"""

import argparse
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SCALARS = ["step/lr", "step/loss", "step/grad_norm", "epoch/loss"]
EVERYTHING = {"scalars": 0, "images": 0, "tensors": 0}


def png_size(data):
    """Width and height in the header of a PNG file."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:8]
    return struct.unpack(">II", data[16:24])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--scalars", nargs="*", default=SCALARS, help="tags of curves that must be there")
    parser.add_argument("--images", nargs="*", default=[], help="tags, or beginnings of tags, of pictures that must be there")
    parser.add_argument("--steps", type=int, help="steps that the run took: each must have its point, also after resuming")
    arguments = parser.parse_args()

    events = EventAccumulator(arguments.folder, size_guidance=EVERYTHING)
    events.Reload()
    tags = events.Tags()
    for tag in arguments.scalars:
        assert tag in tags["scalars"], f"no curve {tag}; there are {tags['scalars']}"
    for tag in tags["scalars"]:
        points = events.Scalars(tag)
        steps = [point.step for point in points]
        assert steps == sorted(set(steps)), f"{tag}: steps {steps}"
        print(f"{tag}: {len(points)} points, the last {points[-1].value:.6g} at step {steps[-1]}")
    if arguments.steps is not None:
        found = [point.step for point in events.Scalars("step/loss")]
        assert found == list(range(1, arguments.steps + 1)), f"points at steps {found}"
    for wanted in arguments.images:
        assert any(tag.startswith(wanted) for tag in tags["images"]), f"no picture {wanted}; there are {tags['images']}"
    for tag in tags["images"]:
        for image in events.Images(tag):
            size = png_size(image.encoded_image_string)
            assert size == (image.width, image.height), f"{tag}: {size}, said to be {(image.width, image.height)}"
        print(f"{tag}: {len(events.Images(tag))} pictures of {image.width}x{image.height}")


if __name__ == "__main__":
    sys.exit(main())
