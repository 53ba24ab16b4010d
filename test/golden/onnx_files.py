"""ONNX files as exporters write them, without their weights: what test/onnx/import-files.test.ts imports.

`python3 test/golden/onnx_files.py [NAME ...]` writes data/onnx/NAME.onnx.gz and data/onnx/NAME.json for those (or all) rows below. Float tensors of
more than 64 numbers are taken out: their data are said to lie in a file named `NAME:SHAPE`, which stands for `initial(NAME, SHAPE)` of counter.py,
so that both sides make the same weights. The JSON holds input shapes and ONNX Runtime's outputs: shape, digest, first values.

Rows ending in `.script` come from PyTorch's older exporter (TorchScript), `.dynamo` from the newer one, `paddle` ones are written here by hand the
way paddle2onnx writes them. The batch is dynamic: files are made with 2 pictures and run with 3.
"""

import gzip
import json
import pathlib
import re
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from counter import digest, filled, initial
from onnx import TensorProto, helper, numpy_helper

from zoo import tm, torchvision, tv  # makes torchvision importable where its compiled part is missing

HERE = pathlib.Path(__file__).parent / "data" / "onnx"
SMALL = 64


class Backbone(torch.nn.Module):
    """What SSDLite computes before boxes are chosen: class scores and box offsets of all places."""

    def __init__(self):
        super().__init__()
        model = tv("ssdlite320_mobilenet_v3_large", weights_backbone=None)()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, x):
        head = self.head(list(self.backbone(x).values()))
        return head["cls_logits"], head["bbox_regression"]


class Segmenter(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)["out"]


class Recogniser(torch.nn.Module):
    """The shape of CRNN: convolutions, then a bidirectional LSTM along the width (Shi et al. 2015, arXiv:1507.05717)."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.Conv2d(8, 16, 3, padding=1)
        self.bn = torch.nn.BatchNorm2d(16)
        self.rnn = torch.nn.LSTM(32, 12, bidirectional=True)
        self.fc = torch.nn.Linear(24, 11)

    def forward(self, x):
        x = torch.nn.functional.max_pool2d(self.conv1(x).relu(), 2)
        x = torch.nn.functional.max_pool2d(self.bn(self.conv2(x)).relu(), 2)
        x = x.flatten(1, 2).permute(2, 0, 1)
        return self.fc(self.rnn(x)[0]).log_softmax(2)


class Sampler(torch.nn.Module):
    """Operations of segmentation and detection heads that classifiers have not."""

    def __init__(self):
        super().__init__()
        self.theta = torch.nn.Conv2d(3, 2, 1)
        self.up = torch.nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1)
        self.norm = torch.nn.GroupNorm(2, 4)
        self.slope = torch.nn.PReLU(4)

    def forward(self, x):
        n, _, h, w = x.shape
        grid = self.theta(x).tanh().permute(0, 2, 3, 1)
        sampled = torch.nn.functional.grid_sample(x, grid, align_corners=False)
        y = self.slope(self.norm(self.up(sampled)))
        y = torch.nn.functional.interpolate(y, size=(h, w), mode="bilinear", align_corners=False)
        y = torch.cat([y, torch.nn.functional.pixel_unshuffle(y[:, :1], 1)], 1)
        y = torch.nn.functional.pad(y, (1, 2, 0, 1), mode="reflect")
        z = torch.nn.functional.interpolate(y, scale_factor=2, mode="bicubic")
        return y.flatten(2).softmax(-1).reshape(n, -1, h + 1, w + 3), z.amax((2, 3))


def torch_rows():
    pictures = {
        "resnet18": tv("resnet18"),
        "mobilenet_v3_small": tv("mobilenet_v3_small"),
        "efficientnet_b0": tm("efficientnet_b0"),
        "convnext_atto": tm("convnext_atto"),
        "vit_tiny": tm("vit_tiny_patch16_224", img_size=64, depth=2),
        "swin_tiny": tm("swin_tiny_patch4_window7_224", img_size=64, window_size=4, depths=(2, 2), num_heads=(2, 4), embed_dim=24),
        "mobilevit_xxs": tm("mobilevit_xxs"),
        "densenet": lambda: torchvision.models.DenseNet(growth_rate=12, block_config=(2, 2), num_init_features=16),
        "googlenet": tv("googlenet", init_weights=False, aux_logits=False),
        "shufflenet_v2": tv("shufflenet_v2_x0_5"),
        "regnet_y": tm("regnety_002"),
        "lraspp": lambda: Segmenter(tv("lraspp_mobilenet_v3_large", weights_backbone=None)()),
        "deeplabv3": lambda: Segmenter(tv("deeplabv3_mobilenet_v3_large", weights_backbone=None)()),
        "ssdlite": Backbone,
        "sampler": Sampler,
    }
    rows = {name: (build, [3, 64, 64]) for name, build in pictures.items()}
    rows["crnn"] = (Recogniser, [1, 8, 40])
    return rows


ONLY_SCRIPT = {"googlenet", "regnet_y", "deeplabv3"}


def export(name, build, shape, exporter):
    torch.manual_seed(0)
    model = build().eval()
    x = torch.from_numpy(filled(f"{name} example", [2, *shape]))
    path = HERE / f"{name}.tmp.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter == "script":
            torch.onnx.export(
                model, (x,), path, dynamo=False, opset_version=17, input_names=["input"], dynamic_axes={"input": {0: "batch"}}
            )
        else:
            batch = torch.export.Dim("batch", min=1, max=64)
            program = torch.onnx.export(
                model, (x,), dynamo=True, input_names=["input"], dynamic_shapes=({0: batch},), external_data=False, verbose=False
            )
            program.save(path, external_data=False)
    loaded = onnx.load(path)
    path.unlink()
    return loaded


# paddle2onnx


def paddle_classifier():
    """A MobileNetV3-like head in paddle2onnx's style: Identity and Cast chains, sizes by Shape → Slice → Concat → Reshape, hard sigmoid with its own slope."""
    nodes, tensors = [], []

    def const(name, values, dtype=np.float32):
        nodes.append(helper.make_node("Constant", [], [name], name=f"Constant.{len(nodes)}", value=numpy_helper.from_array(np.asarray(values, dtype), name)))
        return name

    def weight(name, shape):
        tensors.append(helper.make_tensor(name, TensorProto.FLOAT, shape, initial(name, shape).reshape(-1)))
        return name

    def op(kind, inputs, **attributes):
        out = f"p2o.{kind}.{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [out], name=f"{out}.node", **attributes))
        return out

    def conv(x, name, cin, cout, k, stride=1, groups=1):
        w = weight(f"{name}.w_0", [cout, cin // groups, k, k])
        y = op("Conv", [x, w], dilations=[1, 1], group=groups, kernel_shape=[k, k], pads=[k // 2] * 4, strides=[stride] * 2)
        parts = [weight(f"{name}_bn.{part}", [cout]) for part in ("w_0", "b_0", "w_1", "running_var")]
        return op("BatchNormalization", [y, *parts], epsilon=1e-5, momentum=0.9)

    x = op("Identity", ["x"])
    x = op("HardSwish", [conv(x, "conv2d_0", 3, 8, 3, stride=2)])
    y = conv(x, "conv2d_1", 8, 8, 3, groups=8)
    y = op("Clip", [y, const("min_0", 0.0), const("max_6", 6.0)])
    pooled = op("GlobalAveragePool", [y])
    bias = const("se_bias", initial("conv2d_2.b_0", [4]).reshape(1, 4, 1, 1))
    squeezed = op("Relu", [op("Add", [op("Conv", [pooled, weight("conv2d_2.w_0", [4, 8, 1, 1])], kernel_shape=[1, 1]), bias])])
    gate = op("HardSigmoid", [op("Conv", [squeezed, weight("conv2d_3.w_0", [8, 4, 1, 1])], kernel_shape=[1, 1])], alpha=0.1666, beta=0.5)
    y = op("Add", [op("Mul", [y, gate]), x])
    # An upsampling as Paddle's nearest_interp writes it, and one to a size that is computed.
    up = op("Resize", [y, const("roi", []), const("scales", [1, 1, 2, 2])], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    shape = op("Shape", [y])
    size = op("Cast", [op("Slice", [shape, const("s2", [2], np.int64), const("s4", [4], np.int64), const("a0", [0], np.int64)])], to=TensorProto.INT64)
    whole = op("Concat", [op("Slice", [op("Shape", [up]), const("z0", [0], np.int64), const("z2", [2], np.int64), const("za", [0], np.int64)]), size], axis=0)
    y = op("Add", [op("Resize", [up, "", "", whole], mode="linear", coordinate_transformation_mode="half_pixel"), y])
    # flatten: the batch comes from the shape
    batch = op("Slice", [op("Shape", [y]), const("f0", [0], np.int64), const("f1", [1], np.int64), const("fa", [0], np.int64)])
    target = op("Concat", [op("Cast", [batch], to=TensorProto.INT64), const("rest", [-1], np.int64)], axis=0)
    flat = op("Reshape", [y, target])
    product = op("MatMul", [flat, weight("linear_0.w_0", [8 * 16 * 16, 10])])
    logits = op("Add", [product, weight("linear_0.b_0", [10])])
    nodes.append(helper.make_node("Softmax", [logits], ["softmax_0.tmp_0"], name="p2o.Softmax.0", axis=1))
    graph = helper.make_graph(
        nodes, "PaddlePaddle Graph 0",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("softmax_0.tmp_0", TensorProto.FLOAT, ["batch", 10])], tensors,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=7, producer_name="PaddlePaddle")


def paddle_recogniser():
    """An OCR head in paddle2onnx's style: a bidirectional LSTM between transpositions, states of zeros whose size is computed."""
    nodes, tensors = [], []

    def op(kind, inputs, outputs=1, **attributes):
        outs = [f"p2o.{kind}.{len(nodes)}.{i}" for i in range(outputs)]
        nodes.append(helper.make_node(kind, inputs, outs, name=f"{kind}_{len(nodes)}", **attributes))
        return outs if outputs > 1 else outs[0]

    def const(values, dtype=np.int64):
        name = f"helper.constant.{len(nodes)}"
        nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(values, dtype))))
        return name

    def weight(name, shape):
        tensors.append(helper.make_tensor(name, TensorProto.FLOAT, shape, initial(name, shape).reshape(-1)))
        return name

    features, hidden = 12, 6
    x = op("Squeeze", ["x", const([2])])
    x = op("Transpose", [x], perm=[2, 0, 1])  # [T, N, C]
    for i in range(2):
        inputs = features if i == 0 else 2 * hidden
        batch = op("Slice", [op("Shape", [x]), const([1]), const([2]), const([0])])
        states = op("Concat", [const([2]), op("Cast", [batch], to=TensorProto.INT64), const([hidden])], axis=0)
        zeros = op("ConstantOfShape", [states], value=helper.make_tensor("value", TensorProto.FLOAT, [1], [0.0]))
        parts = [weight(f"lstm_{i}.w_{k}", shape) for k, shape in enumerate([[2, 4 * hidden, inputs], [2, 4 * hidden, hidden], [2, 8 * hidden]])]
        y, _, _ = op("LSTM", [x, *parts, "", zeros, zeros], outputs=3, direction="bidirectional", hidden_size=hidden)
        y = op("Transpose", [y], perm=[0, 2, 1, 3])
        x = op("Reshape", [y, const([0, 0, -1])])
    x = op("Transpose", [x], perm=[1, 0, 2])
    x = op("Add", [op("MatMul", [x, weight("linear_9.w_0", [2 * hidden, 20])]), weight("linear_9.b_0", [20])])
    nodes.append(helper.make_node("Softmax", [x], ["save_infer_model/scale_0.tmp_1"], axis=2))
    graph = helper.make_graph(
        nodes, "PaddlePaddle Graph 0",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", features, 1, "width"])],
        [helper.make_tensor_value_info("save_infer_model/scale_0.tmp_1", TensorProto.FLOAT, ["batch", "time", 20])], tensors,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7, producer_name="PaddlePaddle")


# writing


def strip(model):
    """Takes the weights out, and what a reader has no use for. Returns the model with weights from counter.py."""
    model.doc_string = ""
    model.graph.doc_string = ""
    del model.graph.value_info[:]
    for container in [model.graph, *model.functions]:
        for node in container.node:
            node.doc_string = ""
            kept = [p for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"]
            del node.metadata_props[:]
            node.metadata_props.extend(kept)
    for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
        value.doc_string = ""
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    for stripped, full in zip(model.graph.initializer, whole.graph.initializer):
        size = int(np.prod(stripped.dims))
        if stripped.data_type != TensorProto.FLOAT or size <= SMALL:
            continue
        shape = list(stripped.dims)
        values = initial(stripped.name, shape)
        full.CopyFrom(numpy_helper.from_array(values.astype(np.float32).reshape(shape), stripped.name))
        for field in ("raw_data", "float_data"):
            stripped.ClearField(field)
        stripped.data_location = TensorProto.EXTERNAL
        del stripped.external_data[:]
        entry = stripped.external_data.add()
        entry.key, entry.value = "location", f"{stripped.name}:{','.join(map(str, shape))}"
    return whole


def write(name, model, shape):
    whole = strip(model)
    onnx.checker.check_model(whole)
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    x = filled("input", [3, *shape])
    outputs = session.run(None, {session.get_inputs()[0].name: x})
    results = [
        {"name": o.name, "shape": list(y.shape), "digest": digest(y), "first": [float(f"{v:.7g}") for v in y.reshape(-1)[:8]]}
        for o, y in zip(session.get_outputs(), outputs)
    ]
    assert all(np.isfinite(y).all() and y.std() > 1e-6 for y in outputs), name
    packed = gzip.compress(model.SerializeToString(), 9, mtime=0)
    (HERE / f"{name}.onnx.gz").write_bytes(packed)
    (HERE / f"{name}.json").write_text(json.dumps({"input": [3, *shape], "outputs": results}) + "\n")
    print(f"{name}: {len(model.graph.node)} nodes, {len(packed)} bytes, first {results[0]['first'][:3]}", flush=True)


def main(wanted):
    HERE.mkdir(parents=True, exist_ok=True)
    picked = lambda name: not wanted or any(re.fullmatch(w, name) for w in wanted)  # noqa: E731
    for name, (build, shape) in torch_rows().items():
        for exporter in ["script"] if name in ONLY_SCRIPT else ["script", "dynamo"]:
            if picked(f"{name}.{exporter}"):
                write(f"{name}.{exporter}", export(name, build, shape, exporter), shape)
    if picked("paddle_classifier"):
        write("paddle_classifier", paddle_classifier(), [3, 32, 32])
    if picked("paddle_recogniser"):
        write("paddle_recogniser", paddle_recogniser(), [12, 1, 15])


if __name__ == "__main__":
    main(sys.argv[1:])
