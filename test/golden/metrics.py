"""
Golden values of how good predictions are, by scikit-learn (1.9): probabilities, confusion matrix, precision / recall / F1, top-k, ROC-AUC one
against the rest; the expected calibration error by its definition (Guo et al. 2017) with NumPy, as scikit-learn has none.

    python test/golden/metrics.py      writes test/golden/data/metrics.json
"""

import json
import pathlib

import numpy as np
from scipy.special import softmax
from sklearn import metrics

rng = np.random.default_rng(5)


def ece(confidence, correct, bins=15):
    edges = np.linspace(0, 1, bins + 1)
    total, rows = 0.0, []
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        n = int(inside.sum())
        accuracy = float(correct[inside].mean()) if n else 0.0
        mean = float(confidence[inside].mean()) if n else 0.0
        total += abs(accuracy - mean) * n / len(confidence)
        rows.append([n, accuracy, mean])
    return total, rows


def case(n, classes, steps):
    """Scores in steps, so that many probabilities are equal."""
    labels = rng.integers(0, classes, n)
    scores = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    scores = (np.round(scores * steps) / steps).astype(np.float32)
    p = softmax(scores.astype(np.float64), axis=1)
    predicted = scores.argmax(1)
    every = list(range(classes))
    by_class = metrics.precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    means = {
        kind: metrics.precision_recall_fscore_support(labels, predicted, labels=every, average=kind, zero_division=0)[:3]
        for kind in ('macro', 'weighted')
    }
    # Equal scores give equal probabilities only up to rounding of the row's sum: areas are of the probabilities rounded to 12 digits.
    rounded = np.round(p, 12)
    areas = [metrics.roc_auc_score(labels == c, rounded[:, c]) for c in every]
    error, bins = ece(p.max(1), predicted == labels)
    support = by_class[3]
    return {
        'classes': classes,
        'scores': [float(s) for s in scores.ravel()],
        'labels': labels.tolist(),
        'rounded': [float(v) for v in rounded.ravel()],
        'accuracy': metrics.accuracy_score(labels, predicted),
        'logLoss': metrics.log_loss(labels, p, labels=every),
        'confusion': metrics.confusion_matrix(labels, predicted, labels=every).ravel().tolist(),
        'precision': by_class[0].tolist(),
        'recall': by_class[1].tolist(),
        'f1': by_class[2].tolist(),
        'support': support.tolist(),
        'macro': list(means['macro']),
        'weighted': list(means['weighted']),
        'areas': areas,
        'areaMacro': float(np.mean(areas)),
        'areaWeighted': float(np.average(areas, weights=support)),
        'ece': error,
        'bins': bins,
        'meanConfidence': float(p.max(1).mean()),
    }


cases = [case(40, 2, 2), case(120, 4, 1), case(90, 7, 64)]
out = pathlib.Path(__file__).parent / 'data' / 'metrics.json'
out.write_text(json.dumps({'by': 'scikit-learn 1.9.1, NumPy 2.4.6', 'cases': cases}) + '\n')
