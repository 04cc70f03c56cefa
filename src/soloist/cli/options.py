"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

EngineOption = Annotated[
    Literal["auto", "torch", "openvino", "onnxruntime"],
    typer.Option(help="What runs the model's network; see docs/engines.md.", rich_help_panel="How"),
]
