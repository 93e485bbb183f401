"""Embedding models: the port, and an adapter for each way to run one."""

import os

# onnxruntime reports its use to its maker and keeps an id in the home folder, unless this is set before it is imported.
os.putenv("ORT_DISABLE_TELEMETRY", "1")
