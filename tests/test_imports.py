"""Who may import whom. Each check is a fresh interpreter that looks at what came along."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
PURE = ["camera", "files", "geometry", "metrics", "model_card", "model_files", "pipeline", "postprocess", "preprocess"]
PURE += ["preview", "sources", "predict", "cli", "parameters", "errors", "engines"]
PURE += ["run", "dds", "documentation", "inbox", "stats", "timing", "notes", "health", "settings", "loader", "workers"]
PURE += ["parameter_table", "mount", "regions", "scale", "processes", "versions", "point_filters"]
PURE += ["doctor", "model_library"]
WITH_ROS = {"messages", "node", "subscription", "demo", "lane", "intake", "outputs", "diagnostics", "benchmark"}
WITH_TORCH = {"gpu"}
# matplotlib, but neither ROS nor torch
PICTURES = {"picture"}


def modules_after(code: str) -> set[str]:
    report = "; import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_every_module_is_on_one_side() -> None:
    rooms = {p.stem for p in (SOURCE / "cloudypoints_ros").glob("*.py")} | {
        p.parent.name for p in (SOURCE / "cloudypoints_ros").glob("*/__init__.py")
    }
    assert rooms - {"__init__"} == set(PURE) | WITH_ROS | WITH_TORCH | PICTURES


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_no_ros_no_torch_no_training(module: str) -> None:
    loaded = modules_after(f"import cloudypoints_ros.{module}")
    assert not loaded & {"rclpy", "sensor_msgs", "torch", "cloudypoints_training", "rosbags", "matplotlib"}


def test_engines_import_their_vendor_only_when_opened() -> None:
    assert "onnxruntime" not in modules_after("import cloudypoints_ros.pipeline")


def test_a_cpu_run_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from cloudypoints_ros.pipeline import Pipeline; "
        "from cloudypoints_ros.camera import Camera; "
        "p = Pipeline.open(); "
        "d = p.depth(np.zeros((100, 200, 3), np.uint8), Camera(200, 100, 150., 150., 99.5, 49.5)).depth; "
        "assert d.shape == (100, 200)"
    )
    loaded = modules_after(code)
    assert "onnxruntime" in loaded and not loaded & {"torch", "cloudypoints_training", "rclpy"}


def test_training_uses_only_the_runtimes_pure_modules() -> None:
    used = set()
    for path in (SOURCE / "cloudypoints_training").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cloudypoints_ros."):
                used.add((node.module or "").split(".")[1])
            elif isinstance(node, ast.Import):
                used |= {n.name.split(".")[1] for n in node.names if n.name.startswith("cloudypoints_ros.")}
    assert used and used <= set(PURE)


def test_runtime_never_names_training_and_torch_only_for_gpus() -> None:
    for path in (SOURCE / "cloudypoints_ros").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [n.name for n in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {n.split(".")[0] for n in names}
            assert "cloudypoints_training" not in roots, path
            assert "torch" not in roots or path.parent.name in WITH_TORCH or path.stem == "tensorrt", path
