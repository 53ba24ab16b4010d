"""Golden values for what training adds to a plain step, from PyTorch, timm and scikit-learn on the CPU.

Run `python3 test/golden/training.py`; it writes data/training.json:
  nll       negative log-likelihood of log-probabilities with shares of classes and with smoothing (PyTorch has both in cross_entropy, whose
            log_softmax leaves log-probabilities as they are)
  distil    T² · KL of softened probabilities, batchmean, and its gradient by the student
  weights   scikit-learn's compute_class_weight('balanced')
  ema       timm's ModelEmaV3 (decay 0.9, no warm-up) over five steps of SGD on a Linear + BatchNorm1d
  groups    which parameters timm's param_groups_weight_decay spares
"""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight
from timm.optim import param_groups_weight_decay
from timm.utils import ModelEmaV3

torch.manual_seed(7)


def rounded(t):
    return (t.double() * 1e4).round() / 1e4


def numbers(t):
    return [float(f"{v:.9g}") for v in t.detach().flatten().tolist()]


def nll():
    rows = []
    weight = torch.tensor([0.5, 1.0, 2.0, 0.25], dtype=torch.float64)
    labels = torch.tensor([1, 3, 0, 1, 2])
    for soft in [False, True]:
        for smoothing in [0.0, 0.1]:
            for reduction in ["mean", "sum", "none"]:
                logp = F.log_softmax(rounded(torch.randn(5, 4)), 1).float().double().requires_grad_()
                shares = rounded(torch.rand(5, 4).softmax(1))
                target = shares if soft else labels
                # Once by hand, so that nothing depends on cross_entropy's own log_softmax.
                q = shares if soft else F.one_hot(labels, 4).double()
                by_hand = -((q * (1 - smoothing) + smoothing / 4) * weight * logp).sum(1)
                used = 5 if soft else weight[labels].sum()
                out = {"mean": by_hand.sum() / used, "sum": by_hand.sum(), "none": by_hand}[reduction]
                check = F.cross_entropy(logp, target, weight, reduction=reduction, label_smoothing=smoothing)
                assert torch.allclose(out, check, atol=1e-6)
                out.sum().backward()
                rows.append({"soft": soft, "options": {"labelSmoothing": smoothing, "reduction": reduction},
                             "weight": numbers(weight), "input": numbers(logp),
                             "target": numbers(shares) if soft else labels.tolist(),
                             "output": numbers(out), "grad": numbers(logp.grad)})
    return rows


def distil():
    rows = []
    for t in [1.0, 4.0]:
        student = rounded(torch.randn(6, 5)).requires_grad_()
        teacher = rounded(torch.randn(6, 5) * 3)
        p, logq = F.softmax(teacher / t, 1), F.log_softmax(student / t, 1)
        out = t * t * (p * (p.log() - logq)).sum() / len(student)
        assert torch.allclose(out, t * t * F.kl_div(logq, p, reduction="batchmean"))
        out.backward()
        rows.append({"temperature": t, "student": numbers(student), "teacher": numbers(teacher),
                     "output": out.item(), "grad": numbers(student.grad)})
    return rows


def weights():
    labels = np.array([0, 0, 0, 2, 2, 1, 0, 0, 4])
    present = np.unique(labels)
    return {"labels": labels.tolist(), "classes": present.tolist(),
            "balanced": compute_class_weight("balanced", classes=present, y=labels).tolist()}


def ema():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(rounded(torch.randn_like(p)))
    start = {k: numbers(v) for k, v in model.state_dict().items()}
    average = ModelEmaV3(model, decay=0.9)
    opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x = rounded(torch.rand(20, 3))
    y = torch.arange(20) % 2
    for i in range(5):
        part = slice(4 * i, 4 * i + 4)
        opt.zero_grad()
        F.cross_entropy(model(x[part]), y[part]).backward()
        opt.step()
        average.update(model)
    return {"start": start, "x": numbers(x), "y": y.tolist(),
            "model": {k: numbers(v) for k, v in model.state_dict().items()},
            "average": {k: numbers(v) for k, v in average.module.state_dict().items()}}


def groups():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.LayerNorm([2, 2]), torch.nn.Linear(8, 3))
    names = {id(p): n for n, p in model.named_parameters()}
    found = param_groups_weight_decay(model, 0.05)
    return [{"weightDecay": g["weight_decay"], "names": [names[id(p)] for p in g["params"]]} for g in found]


out = pathlib.Path(__file__).parent / "data" / "training.json"
out.write_text(json.dumps({"nll": nll(), "distil": distil(), "weights": weights(), "ema": ema(), "groups": groups()}) + "\n")
print(out.stat().st_size)
