"""Golden files for io/keras: small models saved by Keras 3 (.keras, .h5), as Keras 2 laid out its .h5, and in TensorFlow.js's layers format, with
what they give. (Keras 2 itself does not run beside Python 3.11's TensorFlow any more: its files are written here after its layout.)

`python3 test/golden/keras_files.py` writes data/keras/. Weights and inputs come from counter.py; a model's batch norms have statistics worth noticing.
Expected outputs are Keras's own, on the CPU in float32, in Keras's layout.
"""

import json
import os
import pathlib

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import h5py
import keras
import numpy as np
from counter import filled

HERE = pathlib.Path(__file__).parent / "data" / "keras"


def sequential(k, hard_sigmoid="hard_sigmoid"):
    """The tutorial's network, with what tutorials add."""
    L = k.layers
    return k.Sequential(
        [
            L.InputLayer((14, 14, 1)),
            L.Conv2D(4, (3, 3), activation="relu"),
            L.MaxPooling2D((2, 2)),
            L.BatchNormalization(),
            L.Conv2D(6, 3, padding="same", strides=2, activation="tanh"),
            L.SpatialDropout2D(0.2),
            L.Flatten(),
            L.Dropout(0.25),
            L.Dense(8, activation=hard_sigmoid),
            L.Dense(5, activation="softmax"),
        ],
        name="tutorial",
    )


def functional(k):
    """Two branches, a shared layer, squeeze-and-excitation, a model inside: MobileNet's kind."""
    L = k.layers
    image = k.Input((13, 11, 3), name="image")
    x = L.Rescaling(1 / 2, offset=-0.25)(image)
    x = L.ZeroPadding2D(((0, 1), (2, 1)))(x)
    x = L.Conv2D(8, 3, strides=2, use_bias=False, name="stem")(x)
    x = L.BatchNormalization(scale=False)(x)
    x = L.ReLU(6.0)(x)
    shared = L.Conv2D(8, 1, activation="swish", name="shared")
    a = L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=1)(x)
    b = L.AveragePooling2D(3, strides=2, padding="same")(x)
    x = L.Add()([shared(a), shared(b)])
    s = L.GlobalAveragePooling2D()(x)
    s = L.Reshape((1, 1, 8))(s)
    s = L.Dense(8, activation="sigmoid")(s)
    x = L.Multiply()([x, s])
    block_in = k.Input((3, 3, 8))
    y = L.SeparableConv2D(6, 3, padding="same", activation="elu", name="separable")(block_in)
    y = L.LeakyReLU(0.1)(y)
    block = k.Model(block_in, y, name="block")
    y = block(x)
    y = L.UpSampling2D(2)(y)
    y = L.Cropping2D(((1, 0), (0, 1)))(y)
    y = L.Conv2DTranspose(4, 3, strides=2, padding="same")(y)
    z = L.Conv2DTranspose(4, 2, strides=2, padding="same")(L.UpSampling2D(2)(x))
    z = L.Cropping2D(((0, 2), (2, 0)))(z)
    y = L.Concatenate()([y, z])
    y = L.PReLU(shared_axes=[1, 2])(y)
    flat = L.Flatten()(L.MaxPooling2D(5, padding="same")(y))
    return k.Model(image, [L.Dense(7, name="scores")(flat), L.Softmax(name="map")(y)], name="branches")


def text(k):
    """Words: embedding, convolutions of one axis, maxima over time."""
    L = k.layers
    words = k.Input((12,), name="words")
    x = L.Embedding(20, 6)(words)
    a = L.GlobalMaxPooling1D()(L.Conv1D(5, 3, activation="relu", padding="causal", dilation_rate=2)(x))
    b = L.GlobalAveragePooling1D()(L.LayerNormalization()(L.Dense(5, activation="gelu")(x)))
    c = L.Flatten()(L.MaxPooling1D(2)(L.Permute((2, 1))(x)))
    return k.Model(words, L.Dense(3)(L.Concatenate()([a, b, c])), name="text")


def volume(k):
    L = k.layers
    return k.Sequential(
        [L.InputLayer((6, 8, 8, 2)), L.Conv3D(3, 3, padding="same"), L.AveragePooling3D(2), L.GlobalMaxPooling3D(), L.Dense(2)], name="volume"
    )


MODELS = {"sequential": sequential, "functional": functional, "text": text, "volume": volume}


def fill(model):
    values = []
    for i, w in enumerate(model.weights):
        name = getattr(w, "path", w.name)
        if "variance" in name:
            values.append(filled(f"{i}", w.shape, scale=0.5, offset=1))
        elif "gamma" in name:
            values.append(filled(f"{i}", w.shape, scale=0.2, offset=1))
        else:
            fan = max(1, int(np.prod(w.shape[:-1])))
            values.append(filled(f"{i}", w.shape, scale=(3 / fan) ** 0.5 if len(w.shape) > 1 else 0.2))
    model.set_weights(values)


def outputs(name, model):
    shape = (2, *model.input_shape[1:])
    x = filled("input", shape)
    if name == "text":
        x = np.floor((x + 1) * 10).astype(np.int32)
    y = model.predict(x, verbose=0)
    y = y if isinstance(y, list) else [y]
    return {"input": list(shape), "outputs": [{"shape": list(v.shape), "values": [float(f"{e:.7g}") for e in v.reshape(-1).tolist()]} for v in y]}


def legacy_config(value):
    """A configuration of Keras 3 in the words of Keras 2."""
    if isinstance(value, list):
        return [legacy_config(v) for v in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "DTypePolicy":
        return value["config"]["name"]
    out = {k: legacy_config(v) for k, v in value.items() if k not in ("module", "registered_name", "build_config", "compile_config", "inbound_nodes")}
    config = out.get("config")
    if isinstance(config, dict):
        if "batch_shape" in config:
            config["batch_input_shape"] = config.pop("batch_shape")
        if "negative_slope" in config and out["class_name"] == "LeakyReLU":
            config["alpha"] = config.pop("negative_slope")
    if "inbound_nodes" in value:
        out["inbound_nodes"] = [[[*h, {}] for h in histories(node["args"])] for node in value["inbound_nodes"]]
    for field in ("input_layers", "output_layers"):
        if field in out and isinstance(out[field][0], str):
            out[field] = [out[field]]
    return out


def histories(value):
    if isinstance(value, list):
        return [h for v in value for h in histories(v)]
    return [value["config"]["keras_history"]]


def legacy_weights(model, prefix=""):
    """(layer, [(name:0, value)]) of every layer, those of models inside under that model's name."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            inner = [pair for _, pairs in legacy_weights(layer) for pair in pairs]
            yield layer.name, inner
            continue
        names = {"DepthwiseConv2D": {"kernel": "depthwise_kernel"}}.get(type(layer).__name__, {})
        yield layer.name, [(f"{layer.name}/{names.get(w.name, w.name)}:0", w.numpy()) for w in layer.weights]


def keras2(model, file):
    with h5py.File(file, "w") as h5:
        h5.attrs["keras_version"] = "2.15.0"
        h5.attrs["backend"] = "tensorflow"
        h5.attrs["model_config"] = json.dumps(legacy_config(json.loads(model.to_json())))
        group = h5.create_group("model_weights")
        layers = list(legacy_weights(model))
        group.attrs["layer_names"] = [name.encode() for name, _ in layers]
        for name, pairs in layers:
            inner = group.create_group(name)
            inner.attrs["weight_names"] = [n.encode() for n, _ in pairs]
            for n, value in pairs:
                inner.create_dataset(n, data=value)


def tensorflowjs(model, folder):
    """model.json and its weights, as tfjs_layers_model of the converter lays them out."""
    folder.mkdir(exist_ok=True)
    weights = [(name.removesuffix(":0"), value) for _, pairs in legacy_weights(model) for name, value in pairs]
    parts, manifest = [], []
    for i, (name, value) in enumerate(weights):
        entry = {"name": name, "shape": list(value.shape), "dtype": "float32"}
        if i == 0:  # one tensor quantised to bytes, as the converter does on request
            low, high = float(value.min()), float(value.max())
            scale = (high - low) / 255
            entry["quantization"] = {"dtype": "uint8", "min": low, "scale": scale, "original_dtype": "float32"}
            value = np.round((value - low) / scale).astype(np.uint8)
        parts.append(value.astype(np.float32 if value.dtype != np.uint8 else np.uint8).tobytes())
        manifest.append(entry)
    data = b"".join(parts)
    cut = len(data) // 2
    (folder / "group1-shard1of2.bin").write_bytes(data[:cut])
    (folder / "group1-shard2of2.bin").write_bytes(data[cut:])
    topology = {"keras_version": "2.15.0", "backend": "tensorflow", "model_config": legacy_config(json.loads(model.to_json()))}
    out = {
        "format": "layers-model",
        "generatedBy": "keras v2.15.0",
        "convertedBy": "keras_files.py",
        "modelTopology": topology,
        "weightsManifest": [{"paths": ["group1-shard1of2.bin", "group1-shard2of2.bin"], "weights": manifest}],
    }
    (folder / "model.json").write_text(json.dumps(out))


def dequantised(model):
    """What the quantised file means."""
    first = model.weights[0].numpy()
    low, high = first.min(), first.max()
    scale = (high - low) / 255
    model.weights[0].assign(np.round((first - low) / scale).astype(np.float32) * scale + low)


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    expected = {}
    for name, build in MODELS.items():
        keras.backend.clear_session()
        model = build(keras)
        fill(model)
        model.save(HERE / f"{name}.keras")
        model.save(HERE / f"{name}.h5")
        expected[f"{name}.keras"] = expected[f"{name}.h5"] = outputs(name, model)
        keras2(model, HERE / f"{name}-keras2.h5")
        old = model
        if name == "sequential":
            # Keras 2 computed it otherwise.
            old = build(keras, lambda x: keras.ops.clip(0.2 * x + 0.5, 0, 1))
            fill(old)
        expected[f"{name}-keras2.h5"] = outputs(name, old)
        if name in ("sequential", "functional"):
            tensorflowjs(model, HERE / f"{name}-tfjs")
            dequantised(old)
            expected[f"{name}-tfjs/model.json"] = outputs(name, old)
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in expected.items()]
    (HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
