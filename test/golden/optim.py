"""Golden values for optim: 20 steps of each optimiser and 50 of each schedule, from PyTorch on the CPU in float64.

Run `python3 test/golden/optim.py`; it writes data/optim.json and data/schedules.json. The model is three numbers w and a 2 × 2 matrix m with
a loss whose gradient is known in closed form, so that the test needs no layers: loss = Σ aᵢ·(wᵢ − bᵢ)² / 2 + Σ sin(m) + w₀·m₀₀.
"""

import json
import pathlib
import warnings

import torch
from torch import optim
from torch.optim import lr_scheduler as schedules

HERE = pathlib.Path(__file__).parent / "data"
warnings.filterwarnings("ignore")

A = torch.tensor([1.0, 0.1, 10.0], dtype=torch.float64)
B = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)


def model():
    w = torch.tensor([0.4, -0.7, 1.1], dtype=torch.float64, requires_grad=True)
    m = torch.tensor([[0.2, -0.4], [1.5, 0.9]], dtype=torch.float64, requires_grad=True)
    return w, m


def loss_of(w, m):
    return (A * (w - B) ** 2).sum() / 2 + m.sin().sum() + w[0] * m[0, 0]


class Lion(optim.Optimizer):
    """Chen et al. 2023, arXiv:2302.06675, algorithm 2, with decoupled weight decay as in the authors' code."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_((b1 * m + (1 - b1) * p.grad).sign(), alpha=-group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


runs = []


def camel(name):
    head, *tail = name.split("_")
    return head + "".join(t.capitalize() for t in tail)


def run(cls, clip=None, schedule=None, **options):
    w, m = model()
    opt = cls([w, m], **options)
    sched = schedule(opt) if schedule else None
    values = []
    for _ in range(20):
        opt.zero_grad()
        loss_of(w, m).backward()
        norm = None
        if clip and clip[0] == "norm":
            norm = torch.nn.utils.clip_grad_norm_([w, m], clip[1], norm_type=clip[2] if len(clip) > 2 else 2).item()
        if clip and clip[0] == "value":
            torch.nn.utils.clip_grad_value_([w, m], clip[1])
        opt.step()
        if sched:
            sched.step()
        values.append(w.flatten().tolist() + m.flatten().tolist() + ([norm] if norm is not None else []))
    out = {camel(k): list(v) if isinstance(v, tuple) else v for k, v in options.items()}
    runs.append({"optimizer": cls.__name__, "options": out, "clip": clip, "scheduled": bool(schedule),
                 "values": [[float(f"{v:.10g}") for v in row] for row in values]})


run(optim.SGD, lr=0.05)
run(optim.SGD, lr=0.05, momentum=0.9)
run(optim.SGD, lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.01)
run(optim.SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)
run(optim.SGD, lr=0.05, maximize=True)
run(optim.SGD, clip=["norm", 0.5], lr=0.1, momentum=0.9)
run(optim.SGD, clip=["norm", 0.5, float("inf")], lr=0.1)
run(optim.SGD, clip=["value", 0.2], lr=0.1)
run(optim.SGD, lr=0.1, momentum=0.9, schedule=lambda o: schedules.CosineAnnealingLR(o, 15))
run(optim.Adam, lr=0.05)
run(optim.Adam, lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)
run(optim.Adam, lr=0.05, amsgrad=True)
run(optim.Adam, lr=0.05, schedule=lambda o: schedules.OneCycleLR(o, 0.1, total_steps=21))
run(optim.AdamW, lr=0.05)
run(optim.AdamW, lr=0.05, weight_decay=0.2, amsgrad=True)
run(optim.RMSprop, lr=0.02)
run(optim.RMSprop, lr=0.02, alpha=0.9, momentum=0.5, centered=True, weight_decay=0.05)
run(optim.Adagrad, lr=0.1)
run(optim.Adagrad, lr=0.1, lr_decay=0.05, weight_decay=0.02, initial_accumulator_value=0.1, eps=1e-6)
run(Lion, lr=0.02)
run(Lion, lr=0.02, betas=(0.8, 0.9), weight_decay=0.1)

# Infinity has no JSON form: the test reads the string.
text = "[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in runs) + "\n]\n"
(HERE / "optim.json").write_text(text.replace("Infinity", '"Infinity"'))

rows = []


def schedule(name, args, options, make, metric=None, steps=50):
    w, _ = model()
    opt = optim.Adam([{"params": [w], "lr": 0.1}], betas=(0.9, 0.99))
    sched = make(opt)
    lrs, betas = [], []
    for t in range(steps):
        lrs.append(opt.param_groups[0]["lr"])
        betas.append(opt.param_groups[0]["betas"][0])
        opt.step()
        if metric:
            sched.step(metric(t))
        else:
            sched.step()
    rows.append({"schedule": name, "args": args, "options": options, "lrs": [float(f"{v:.12g}") for v in lrs],
                 **({"betas": [float(f"{v:.12g}") for v in betas]} if len(set(betas)) > 1 else {}),
                 **({"metric": [metric(t) for t in range(steps)]} if metric else {})})


s = schedules
schedule("StepLR", [7], {"gamma": 0.5}, lambda o: s.StepLR(o, 7, 0.5))
schedule("MultiStepLR", [[5, 12, 12, 40]], {"gamma": 0.3}, lambda o: s.MultiStepLR(o, [5, 12, 12, 40], 0.3))
schedule("ExponentialLR", [0.93], {}, lambda o: s.ExponentialLR(o, 0.93))
schedule("ConstantLR", [], {"factor": 0.25, "totalIters": 8}, lambda o: s.ConstantLR(o, 0.25, 8))
schedule("LinearLR", [], {"startFactor": 0.1, "endFactor": 0.8, "totalIters": 12}, lambda o: s.LinearLR(o, 0.1, 0.8, 12))
schedule("PolynomialLR", [30], {"power": 2}, lambda o: s.PolynomialLR(o, 30, 2))
schedule("CosineAnnealingLR", [20], {"etaMin": 0.01}, lambda o: s.CosineAnnealingLR(o, 20, 0.01))
schedule("CosineAnnealingLR", [50], {}, lambda o: s.CosineAnnealingLR(o, 50))
schedule("CosineAnnealingWarmRestarts", [7], {}, lambda o: s.CosineAnnealingWarmRestarts(o, 7))
schedule("CosineAnnealingWarmRestarts", [6], {"tMult": 2, "etaMin": 0.02}, lambda o: s.CosineAnnealingWarmRestarts(o, 6, 2, 0.02))
schedule("OneCycleLR", [0.5], {"totalSteps": 51}, lambda o: s.OneCycleLR(o, 0.5, 51))
schedule("OneCycleLR", [0.5], {"totalSteps": 60, "pctStart": 0.4, "annealStrategy": "linear", "divFactor": 10, "finalDivFactor": 100, "threePhase": True, "cycleMomentum": False},
         lambda o: s.OneCycleLR(o, 0.5, 60, pct_start=0.4, anneal_strategy="linear", div_factor=10, final_div_factor=100, three_phase=True, cycle_momentum=False))
schedule("CyclicLR", [0.01, 0.3], {"stepSizeUp": 6, "stepSizeDown": 9}, lambda o: s.CyclicLR(o, 0.01, 0.3, 6, 9))
schedule("CyclicLR", [0.01, 0.3], {"stepSizeUp": 7, "mode": "triangular2", "cycleMomentum": False},
         lambda o: s.CyclicLR(o, 0.01, 0.3, 7, mode="triangular2", cycle_momentum=False))
schedule("CyclicLR", [0.01, 0.3], {"stepSizeUp": 5, "mode": "exp_range", "gamma": 0.97, "baseMomentum": 0.6, "maxMomentum": 0.95},
         lambda o: s.CyclicLR(o, 0.01, 0.3, 5, mode="exp_range", gamma=0.97, base_momentum=0.6, max_momentum=0.95))
schedule("MultiplicativeLR", ["1 - 1 / (t + 4)"], {}, lambda o: s.MultiplicativeLR(o, lambda t: 1 - 1 / (t + 4)))
# A metric that falls, stalls, falls, then stalls for good.
schedule("ReduceLROnPlateau", [], {"factor": 0.5, "patience": 3, "cooldown": 2, "minLr": 0.01},
         lambda o: s.ReduceLROnPlateau(o, factor=0.5, patience=3, cooldown=2, min_lr=0.01), lambda t: round(1 / (1 + min(t, 10) + max(0, t - 20) * (t < 28)), 6))
schedule("ReduceLROnPlateau", [], {"mode": "max", "patience": 4, "threshold": 0.01, "thresholdMode": "abs"},
         lambda o: s.ReduceLROnPlateau(o, "max", patience=4, threshold=0.01, threshold_mode="abs"), lambda t: round(0.5 + 0.005 * t if t < 25 else 0.6, 6))
schedule("SequentialLR", ["warmup+cosine"], {}, lambda o: s.SequentialLR(o, [s.LinearLR(o, 0.01, 1.0, 5), s.CosineAnnealingLR(o, 45)], [5]))
schedule("SequentialLR", ["warmup+step"], {}, lambda o: s.SequentialLR(o, [s.LinearLR(o, 0.2, 1.0, 4), s.StepLR(o, 10, 0.1)], [4]))
schedule("ChainedScheduler", ["constant+exponential"], {}, lambda o: s.ChainedScheduler([s.ConstantLR(o, 0.5, 6), s.ExponentialLR(o, 0.9)]))

(HERE / "schedules.json").write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in rows) + "\n]\n")
print(len(runs), "optimisers,", len(rows), "schedules")
