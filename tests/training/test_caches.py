from __future__ import annotations

from pathlib import Path

from cloudypoints_training.scenes.caches import drop_stale


def test_compiled_kernels_go_when_any_source_changes(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "a.py").write_text("one")
    (tmp_path / "b.py").write_text("two")
    drop_stale(tmp_path)
    compiled = [tmp_path / "__pycache__/a.f-1.py311.nbi", tmp_path / "__pycache__/a.f-1.py311.1.nbc"]
    for path in (*compiled, tmp_path / "__pycache__/a.cpython-311.pyc"):
        path.touch()
    drop_stale(tmp_path)
    assert all(path.exists() for path in compiled)
    (tmp_path / "b.py").write_text("three")
    drop_stale(tmp_path)
    assert [p.suffix for p in (tmp_path / "__pycache__").iterdir() if p.suffix != ".sha256"] == [".pyc"]


def test_a_folder_without_a_cache_gets_its_stamp(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one")
    drop_stale(tmp_path)
    assert (tmp_path / "__pycache__/kernels.sha256").is_file()
