"""venule's `data_speed` bench against the Python tools that do the same work, in turn, in one run.

    python data_peers.py --venule target/release/deps/data_speed-HASH --data data [--threads 1,2] [--runs 5]
        [--tasks decode,augment,clahe,distance,skeleton,auc] [--json FILE]

Needs opencv-python-headless, albumentations, scikit-image, scikit-learn, scipy, pillow, and DRIVE and HRF below --data. Inputs
are made once from DRIVE's photograph 21 and HRF's 01_dr and given to both sides; results are compared before times are printed:
CLAHE and skeletons must agree in every pixel, distances in their sum, the AUC to 1e-9. One row a task: medians of the runs and
the ratio venule / tool; below 1 venule is faster. Where several tools do the work each has its row.
"""
import argparse
import concurrent.futures
import json
import multiprocessing
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
import zlib

import cv2
import numpy as np
import scipy.ndimage
from PIL import Image
from skimage.morphology import skeletonize
from sklearn.metrics import roc_auc_score

SIZES = ("drive", "hrf")
TASKS = "decode,augment,clahe,distance,skeleton,auc"
VIEWS = 8
CROP = 256


def pgm(path, array):
    path.write_bytes(b"P5\n%d %d\n255\n" % array.shape[::-1] + np.ascontiguousarray(array).tobytes())


def make_inputs(folder, data):
    """The files that both sides read, and the same as arrays."""
    drive, hrf = data / "DRIVE/training", data / "HRF"
    arrays = {
        "drive": np.asarray(Image.open(drive / "images/21_training.tif"))[:, :, 1],
        "hrf": np.asarray(Image.open(hrf / "images/01_dr.JPG"))[:, :, 1],
        "drive_label": np.asarray(Image.open(drive / "1st_manual/21_manual1.gif").convert("L")),
        "hrf_label": np.asarray(Image.open(hrf / "manual1/01_dr.tif").convert("L")),
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        pgm(folder / f"{name}.pgm", array)
    # As many pixels as DRIVE's test set has in its fields of view, as many vessels among them, scores as a good model gives.
    noise = np.random.default_rng(0)
    targets = noise.random(4_538_143) < 577_649 / 4_538_143
    logits = noise.normal(-3 + 4.5 * targets, 1.5)
    arrays["targets"] = targets
    arrays["scores"] = (1 / (1 + np.exp(-logits))).astype("<f4")
    (folder / "targets.u8").write_bytes(targets.astype(np.uint8).tobytes())
    (folder / "scores.f32").write_bytes(arrays["scores"].tobytes())
    return arrays


def timed(job, runs):
    result = job()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return seconds, result


def read_drive(number, data):
    """Photograph, label and field of view; OpenCV reads the TIFF, Pillow the GIFs."""
    root = data / "DRIVE/training"
    image = cv2.imread(str(root / f"images/{number}_training.tif"))
    label = np.asarray(Image.open(root / f"1st_manual/{number}_manual1.gif").convert("L")) > 127
    fov = np.asarray(Image.open(root / f"mask/{number}_training_mask.gif").convert("L")) > 127
    return image, label, fov


def pipeline():
    """The recipe of `Augment::standard`: any rotation, scale, flips, contrast and brightness, noise on three views of ten.

    A crop that holds any turned and scaled view comes first, so that no more than needed is warped."""
    import albumentations as A

    room = int(CROP * 1.3 * 2**0.5) + 2
    return A.Compose([
        A.PadIfNeeded(room, room),
        A.RandomCrop(room, room),
        A.Affine(scale=(1 / 1.3, 1 / 0.75), rotate=(-180, 180), p=1.0),
        A.CenterCrop(CROP, CROP),
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0.4, p=1.0),
        A.GaussNoise(std_range=(0.1, 0.1), p=0.3),
    ])


def augment(sources, compose):
    total = 0
    for index in range(VIEWS * len(sources)):
        image, label, fov = sources[index % len(sources)]
        view = compose(image=image, masks=[label, fov])
        # What the network is given.
        view["image"].astype(np.float32)
        total += int(np.count_nonzero(view["masks"][0]))
    return total


def in_processes(job, parts):
    """Runs `job` on each part in a process of its own, as data loaders do; the processes are there before the clock starts."""
    pool = concurrent.futures.ProcessPoolExecutor(len(parts), multiprocessing.get_context("fork"))
    list(pool.map(time.sleep, [0.05] * len(parts)))
    return lambda: sum(pool.map(job, parts))


def decode_part(numbers):
    cv2.setNumThreads(1)
    return sum(int(read_drive(number, DATA)[1].sum()) for number in numbers)


def augment_part(numbers):
    cv2.setNumThreads(1)
    return augment([SOURCES[number] for number in numbers], pipeline())


def peers(task, arrays, threads, runs):
    """(name, tool, seconds, result) of every tool for a task."""
    cv2.setNumThreads(threads)
    numbers = list(range(21, 41))
    parts = [numbers[start::threads] for start in range(threads)]
    if task == "decode":
        job = (lambda: decode_part(numbers)) if threads == 1 else in_processes(decode_part, parts)
        yield "decode", "OpenCV + Pillow", *timed(job, runs)
    if task == "augment":
        job = (lambda: augment_part(numbers)) if threads == 1 else in_processes(augment_part, parts)
        yield "augment", "albumentations", timed(job, runs)[0], None
    for size in SIZES if task in ("clahe", "distance", "skeleton") else ():
        image, label = arrays[size], arrays[f"{size}_label"] > 127
        if task == "clahe":
            equaliser = cv2.createCLAHE(2.0, (8, 8))
            seconds, out = timed(lambda: equaliser.apply(image), runs)
            yield f"clahe {size}", "OpenCV", seconds, zlib.crc32(out.tobytes())
        if task == "distance":
            byte = label.astype(np.uint8)
            seconds, out = timed(lambda: cv2.distanceTransform(byte, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), runs)
            yield f"distance {size}", "OpenCV", seconds, int(np.rint(out.astype(np.float64) ** 2).sum())
            seconds, out = timed(lambda: scipy.ndimage.distance_transform_edt(label), runs)
            yield f"distance {size}", "SciPy", seconds, int(np.rint(out**2).sum())
        if task == "skeleton":
            seconds, out = timed(lambda: skeletonize(label), runs)
            yield f"skeleton {size}", "scikit-image", seconds, zlib.crc32(out.astype(np.uint8).tobytes())
    if task == "auc":
        seconds, out = timed(lambda: roc_auc_score(arrays["targets"], arrays["scores"]), runs)
        yield "auc", "scikit-learn", seconds, out


def ours(a, folder, task, threads):
    command = [a.venule, "--tasks", task, "--inputs", str(folder), "--drive", str(a.data / "DRIVE"), "--runs", str(a.runs), "--threads", str(threads)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {line["task"]: line for line in map(json.loads, out.splitlines())}


def main():
    global DATA, SOURCES
    parser = argparse.ArgumentParser()
    parser.add_argument("--venule", required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path)
    a = parser.parse_args()
    warnings.filterwarnings("ignore")
    DATA = a.data
    read = {number: read_drive(number, a.data) for number in range(21, 41)}
    SOURCES = {n: (np.ascontiguousarray(i[:, :, 1:2]), l.astype(np.uint8), f.astype(np.uint8)) for n, (i, l, f) in read.items()}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        arrays = make_inputs(folder, a.data)
        for threads in map(int, a.threads.split(",")):
            for task in a.tasks.split(","):
                mine = ours(a, folder, task, threads)
                for name, tool, seconds, result in peers(task, arrays, threads, a.runs):
                    found = mine[name]["result"]
                    if result is not None and abs(found - result) > 1e-9 * max(abs(result), 1):
                        sys.exit(f"{name}: venule gives {found}, {tool} {result}")
                    venule, peer = statistics.median(mine[name]["seconds"]), statistics.median(seconds)
                    rows.append(dict(task=name, threads=threads, tool=tool, venule=venule, peer=peer, ratio=venule / peer))
                    print(f"| {name} | {threads} | {1000 * venule:.2f} ms | {tool} | {1000 * peer:.2f} ms | {venule / peer:.2f} |", flush=True)
    if a.json:
        a.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
