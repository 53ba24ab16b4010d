"""GoogLeNet and Inception v3, with their auxiliary heads."""

from torch.nn import functional as F
from zoo import labels, tv


def with_auxiliary(batch, weight):
    """Cross entropy of the answer and, `weight` times, of the auxiliary heads."""

    def loss(outputs, step):
        answer, *auxiliary = (F.cross_entropy(y, labels(step, batch, 1000)) for y in outputs)
        return answer + weight * sum(auxiliary)

    return loss


ROWS = {
    "googlenet": {
        "model": tv("googlenet", init_weights=False, dropout=0.0, dropout_aux=0.0),
        "options": {"auxLogits": True, "dropoutAux": 0},
        "batch": 2,
        "loss": with_auxiliary(2, 0.3),
        "kinks": True,
        "below": r"branch\d\.\d\.bn\.bias$",
        "everywhere": True,
    },
    "inception_v3": {
        "model": tv("inception_v3", init_weights=False, dropout=0.0),
        "input": 299,
        "native": 299,
        "batch": 2,
        "loss": with_auxiliary(2, 0.4),
        "kinks": True,
        "below": r"branch7x7dbl_\d\.bn\.bias$",
    },
}
