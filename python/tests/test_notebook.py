"""The notebook of the documentation, run from its first cell to its last."""

import pathlib
import shutil

import nbclient
import nbformat
import pytest

NOTEBOOKS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "notebooks"


@pytest.mark.skipif(not shutil.which("gnuplot"), reason="gnuplot is not installed")
def test_from_tsv_to_circuit(tmp_path):
    for path in NOTEBOOKS.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    notebook = nbformat.read(tmp_path / "tsv-to-circuit.ipynb", 4)
    nbclient.NotebookClient(notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [o for o in outputs if "image/svg+xml" in o.get("data", {})]
    assert len(pictures) == 2, "the curve and the circuit"
    assert not [o for o in outputs if o.get("name") == "stderr"]
    right = float(next(o.text for o in outputs if " right" in o.get("text", "")).split()[0])
    assert right > 0.9
