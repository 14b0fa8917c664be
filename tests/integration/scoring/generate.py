"""Soft predictions, labels and fields of view, and their metrics by scikit-learn, scikit-image and SciPy.

python3 generate.py writes PNG files into predictions/, truth/ and fov/ here and expected.json beside them.
Versions used: scikit-learn 1.9.1, scikit-image 0.26.0, SciPy, NumPy, Pillow.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import skeletonize
from sklearn import metrics

HERE = Path(__file__).parent
THRESHOLD = 0.5
SIDE = 96


def lines(rng):
    """A few curved vessels of different widths."""
    truth = np.zeros((SIDE, SIDE), bool)
    for _ in range(6):
        angle, offset, width = rng.uniform(0, np.pi), rng.uniform(-30, 30), rng.choice([1, 2, 3, 5])
        y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
        across = x * np.cos(angle) + y * np.sin(angle) - offset + 6 * np.sin((x * np.sin(angle) - y * np.cos(angle)) / 11)
        truth |= np.abs(across) < width / 2
    return truth


def ratio(a, b):
    return None if b == 0 else a / b


def opened(mask):
    """Opening by a 3x3 square; outside the image is background."""
    return ndimage.binary_dilation(ndimage.binary_erosion(mask, np.ones((3, 3))), np.ones((3, 3)))


def binary(truth, prediction, fov):
    t, p = truth[fov], prediction[fov]
    tn, fp, fn, tp = metrics.confusion_matrix(t, p, labels=[False, True]).ravel()
    return {
        "accuracy": metrics.accuracy_score(t, p),
        "precision": metrics.precision_score(t, p),
        "recall": metrics.recall_score(t, p),
        "specificity": tn / (tn + fp),
        "f1": metrics.f1_score(t, p),
        "iou": metrics.jaccard_score(t, p),
        "mcc": metrics.matthews_corrcoef(t, p),
        "balanced_accuracy": metrics.balanced_accuracy_score(t, p),
    }


def expected_calibration_error(truth, scores, bins=15):
    """By NumPy: bins of equal width, closed on the right, 0 in the first."""
    index = np.clip(np.ceil(scores.astype(np.float64) * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    gap = np.abs(np.bincount(index, scores.astype(np.float64), bins) - np.bincount(index, truth, bins))
    return gap[count > 0].sum() / len(truth)


def score(images):
    """Metrics of one or several (scores, truth, fov), their pixels pooled."""
    flat = lambda i: np.concatenate([image[i][image[2]] for image in images])
    scores, truth = flat(0), flat(1)
    result = binary(truth[None], (scores > THRESHOLD)[None], np.ones((1, len(truth)), bool))
    result["roc_auc"] = metrics.roc_auc_score(truth, scores)
    result["average_precision"] = metrics.average_precision_score(truth, scores)
    result["brier"] = metrics.brier_score_loss(truth, scores.astype(np.float64))
    result["expected_calibration_error"] = expected_calibration_error(truth, scores)
    # On masks that are not empty Dice is F1; scikit-image and scikit-learn have no other.
    result["dice"] = metrics.f1_score(truth, scores > THRESHOLD)
    hit_p = len_p = hit_t = len_t = 0
    thin_t = thin_t_hit = thin_p = thin_p_hit = 0
    betti = []
    for s, t, f in images:
        p, t = (s > THRESHOLD) & f, t & f
        sp, st = skeletonize(p), skeletonize(t)
        hit_p, len_p = hit_p + (sp & t).sum(), len_p + sp.sum()
        hit_t, len_t = hit_t + (st & p).sum(), len_t + st.sum()
        tt, tp = t & ~opened(t), p & ~opened(p)
        thin_t, thin_t_hit = thin_t + tt.sum(), thin_t_hit + (tt & p).sum()
        thin_p, thin_p_hit = thin_p + tp.sum(), thin_p_hit + (tp & t).sum()
        betti.append(abs(label(p, connectivity=2).max() - label(t, connectivity=2).max()))
    precision, sensitivity = ratio(hit_p, len_p), ratio(hit_t, len_t)
    result["cl_dice"] = 2 * precision * sensitivity / (precision + sensitivity)
    result["thin_recall"] = ratio(thin_t_hit, thin_t)
    result["thin_precision"] = ratio(thin_p_hit, thin_p)
    p, r = result["thin_precision"], result["thin_recall"]
    result["thin_f1"] = 2 * p * r / (p + r)
    result["betti0_error"] = float(np.mean(betti))
    return {key: float(value) for key, value in result.items()}


def main():
    rng = np.random.default_rng(5)
    for name in ["predictions", "truth", "fov"]:
        (HERE / name).mkdir(exist_ok=True)
    images, expected = [], {"threshold": THRESHOLD, "per_image": []}
    for index in range(4):
        truth = lines(rng)
        y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
        fov = np.hypot(x, y) < SIDE * 0.47
        soft = ndimage.gaussian_filter(truth.astype(float), 1.0) * 1.4 + rng.normal(0, 0.15, truth.shape)
        # Half of the maps in 8 bits, half in 16.
        depth = 255 if index % 2 == 0 else 65535
        values = np.clip(soft, 0, 1) * depth
        values = values.round().astype(np.uint8 if depth == 255 else np.uint16)
        Image.fromarray(values).save(HERE / "predictions" / f"{index}_map.png")
        Image.fromarray((truth * 255).astype(np.uint8)).save(HERE / "truth" / f"{index}_manual1.png")
        Image.fromarray((fov * 255).astype(np.uint8)).save(HERE / "fov" / f"{index}_mask.png")
        images.append(((values / depth).astype(np.float32), truth, fov))
        expected["per_image"].append({"id": f"{index}_map"} | score(images[-1:]))
    expected["pooled"] = score(images)
    rows = expected["per_image"]
    column = lambda name: np.array([row[name] for row in rows])
    expected["mean"] = {
        name: {"mean": column(name).mean(), "std": column(name).std(ddof=1)} for name in expected["pooled"]
    }
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


main()
