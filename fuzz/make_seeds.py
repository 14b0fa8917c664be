"""Seeds for the fuzz targets: tiny files, each of another kind. Made with Pillow 13 and NumPy 2.

    python make_seeds.py        # writes seeds/ beside itself

The images of ../crates/data/tests/fixtures/images and the files of ../configs are seeds as well, see docs/datasets.md.
"""

import gzip
import io
import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

SEEDS = Path(__file__).parent / "seeds"
y, x = np.mgrid[0:6, 0:9]
RGB = np.stack([x * 28, y * 50, (x + y) * 18], axis=2).astype(np.uint8)
GRAY = (x * 28 + y).astype(np.uint8)
MASK = ((x + 2 * y) % 3 == 0) * np.uint8(255)


def write(target, name, data):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def encode(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width, height, depth, color, rows, *chunks):
    """A PNG by hand, for what Pillow does not write; `rows` hold the filter byte of each row."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *(chunk(*c) for c in chunks), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def images():
    color, gray, mask = Image.fromarray(RGB), Image.fromarray(GRAY), Image.fromarray(MASK)
    palette = color.quantize(5)
    for name, data in {
        "rgb.bmp": encode(color, "BMP"),
        "palette.bmp": encode(palette, "BMP"),
        "rgb.jpg": encode(color, "JPEG"),
        "subsampled.jpg": encode(color, "JPEG", subsampling=2, optimize=True),
        "restart.jpg": encode(color, "JPEG", restart_marker_rows=1),
        "gray.jpg": encode(gray, "JPEG"),
        "turned.jpg": encode(color, "JPEG", exif=exif(5)),
        "turned.png": encode(color, "PNG", exif=exif(8)),
        "deep.png": png(2, 2, 16, 6, b"\0" + bytes(range(16)) + b"\2" + bytes(range(16))),
        "two_bit.png": png(5, 2, 2, 0, b"\0\x1b\x40\0\xe4\x80"),
        "profile.png": encode(color, "PNG", icc_profile=b"\0" * 132),
        "text.png": png(1, 1, 8, 0, b"\0\x80", (b"zTXt", b"Comment\0\0" + zlib.compress(b"drawn by hand"))),
        "filters.png": png(3, 5, 8, 0, b"".join(bytes([f, 10 * f, 20, 30]) for f in range(5))),
        "animated.gif": encode(palette, "GIF", save_all=True, append_images=[palette.rotate(180)], loop=0),
        "plain.tif": encode(color, "TIFF"),
        "jpeg.tif": encode(color, "TIFF", compression="jpeg"),
        "lzw_predicted.tif": encode(color, "TIFF", compression="tiff_lzw", tiffinfo={317: 2}),
        "turned.tif": encode(color, "TIFF", tiffinfo={274: 6}),
        "strips.tif": encode(color, "TIFF", tiffinfo={278: 2}),
        "big_endian.tif": b"MM\0*" + struct.pack(">I", 10) + b"\x80\x20" + struct.pack(">H", 9) + b"".join(
            struct.pack(">HHI", tag, 3, 1) + struct.pack(">HH", value, 0)
            for tag, value in ((256, 2), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 2))
        ) + b"\0\0\0\0",
        "gray.pgm": b"P5\n# by hand\n3 2\n255\n\x00\x40\x80\xc0\xff\x7f",
        "deep.pgm": b"P5 2 1 1023\n\x03\xff\x01\xff",
        "gray.txt.pgm": b"P2 3 1 4 0 2 4",
        "rgb.ppm": b"P6 1 2 255\n\x00\x40\x80\xc0\xff\x7f",
        "gray.pam": b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n\x00\xff",
        "rgb.ppm.gz": gzip.compress(b"P6 1 2 255\n\x00\x40\x80\xc0\xff\x7f", mtime=0),
    }.items():
        write("images", name, data)
    for name, data in {
        "gray.png": encode(mask, "PNG"),
        "one_bit.png": encode(mask.convert("1"), "PNG"),
        "rgba.png": encode(Image.fromarray(np.dstack([MASK] * 4)), "PNG"),
        "palette.gif": encode(mask.convert("P"), "GIF"),
        "packbits.tif": encode(mask, "TIFF", compression="packbits"),
        "fax.tif": encode(mask.convert("1"), "TIFF", compression="group4"),
        "rgb.tif": encode(mask.convert("RGB"), "TIFF", compression="tiff_lzw"),
        "gray.jpg": encode(mask, "JPEG"),
        "one_bit.bmp": encode(mask.convert("1"), "BMP"),
        "bits.pbm": b"P4 3 1\n\xa0",
        "bits.txt.pbm": b"P1 3 1 1 0 1",
        "gray.pgm": b"P5\n# by hand\n3 2\n255\n\x00\xff\x00\xff\xff\x00",
        "gray.pgm.gz": gzip.compress(b"P5 3 2 255\n\x00\xff\x00\xff\xff\x00", mtime=0),
    }.items():
        write("masks", name, data)


def names():
    """Three patterns, then names of photographs, labels and fields of view in turn."""
    write("pairing", "stems", "{id}\n{id}\n{id}\na\na\na\nb\nb\nb\n")
    write("pairing", "roles", "{id}_training\n{id}_manual1\n{id}_training_mask\n21_training\n21_manual1\n21_training_mask\n22_training\n22_manual1\n22_training_mask\n")
    write("pairing", "words", "{id}-eye\n{id}.vk\n{id} fov\n7_left eye\n7-drawn\n7.fov\n8_right eye\n8-drawn\n8.fov\n")
    write("pairing", "numbers", "im{id}\nim{id}.ah\n{id}\nim0002\nim0002.ah\nim0002 ROI\nim10\nim10.ah\nim10 ROI\n")
    drive = [f"{p}/{f}/{n:02}_{w}" for p, numbers, w in (("training", (21, 37), "training"), ("test", (1,), "test")) for n in numbers
             for f, w in (("images", f"{w}.tif"), ("1st_manual", "manual1.gif"), ("mask", f"{w}_mask.gif"), ("2nd_manual", "manual2.gif"))
             if p == "test" or f != "2nd_manual"]
    chase = [f"Image_{n:02}{e}{s}" for n in (1, 4, 5) for e in "LR" for s in (".jpg", "_1stHO.png", "_2ndHO.png")]
    stare = [f"{f}/im{n:04}{s}.ppm.gz" for n in (1, 82, 162) for f, s in (("stare-images", ""), ("labels-ah", ".ah"), ("labels-vk", ".vk"))]
    hrf = [f"{f}/{n:02}_{c}{s}" for n, c in ((1, "dr"), (5, "g"), (6, "h")) for f, s in (("images", ".JPG"), ("manual1", ".tif"), ("mask", "_mask.tif"))]
    fives = [f"{p}/{f}/{n}_A.png" for p in ("train", "test") for n in (1, 2) for f in ("Original", "Ground truth")]
    blood = [f"{p}/{f}/{n}.png" for p in ("train", "test") for n in (0, 1) for f in ("image", "mask")]
    plain = [f"{f}/{n}{s}.png" for n in (1, 2) for f, s in (("Images", "_test"), ("labels", "_gt"), ("fov", "_test_mask"))]
    loose = ["a.jpg", "clinic/b.png", "clinic/left/c.tif", "clinic/b.gif"]
    for name, paths in dict(drive=drive, chase_db1=chase, stare=stare, hrf=hrf, fives=fives, retina_blood_vessel=blood, folder=plain, unlabelled=loose).items():
        write("layouts", name, "\n".join(paths) + "\n")


def weights():
    encoder = dict(image_size=[16, 16], patch_size=8, in_channels=1, width=8, depth=1, heads=2, mlp_ratio=2.0, qkv_bias=True,
                   layer_norm_eps=1e-6, positions="sin_cos", drop_path=0.0, taps=[])
    decoder = dict(multi_scale=dict(in_channels=1, detail=[2, 2], project=4, groups=1, logit_bias=-2.0))
    metadata = dict(
        model=dict(encoder=encoder, decoder=decoder),
        preprocess=dict(channel="green", resize=None, wiener=None, clahe=None, standardize=True),
        field_of_view="given_or_detect",
        threshold=0.5,
        provenance=dict(data=["a"], pretrained=None, seed=0, version="0.1.0"),
    )
    metadata = {key: json.dumps(value) for key, value in metadata.items()}
    tensor = {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]}
    for name, entries in {"model": {}, "tensor": {"decoder.head.weight": tensor}}.items():
        header = json.dumps({"__metadata__": metadata, **entries}).encode()
        header += b" " * (-len(header) % 8)
        write("weights", name, struct.pack("<Q", len(header)) + header + bytes(32 * len(entries)))


if __name__ == "__main__":
    shutil.rmtree(SEEDS, ignore_errors=True)
    images()
    names()
    weights()
